"""Keys, shapes and counts are those of the base models: nothing is added."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from extpose_blender.engine.lift.extpose.config import BLOCK_LAYOUTS
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig


@pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
@pytest.mark.parametrize(("model", "body"), [("hmr2", "smpl"), ("hamer", "mano")])
def test_real_size_has_the_base_models_keys(
    shared_path: Callable[[str], Path], model: str, body: str, layout: str
) -> None:
    listed = json.loads(shared_path(f"fixtures/state_dict_{model}.json").read_text())
    wanted = {
        name: (tuple(entry["shape"]), entry["dtype"], entry["kind"])
        for name, entry in listed["state_dict"].items()
        if name.startswith(("backbone.", f"{body}_head."))
    }
    with torch.device("meta"):
        net = ExtPose(ExtPoseConfig(body=body, block_layout=layout, temporal_position=True))
    parameters = dict(net.named_parameters())
    ours = {
        name: (
            tuple(value.shape),
            str(value.dtype).removeprefix("torch."),
            "parameter" if name in parameters else "buffer",
        )
        for name, value in net.state_dict().items()
    }
    assert ours == wanted
    assert set(ours) >= {name for name, _ in net.named_buffers()}
    for part, module in (("backbone", net.backbone), (f"{body}_head", net.head)):
        count = sum(value.numel() for value in module.parameters())
        assert count == listed["parameter_counts"][part]
