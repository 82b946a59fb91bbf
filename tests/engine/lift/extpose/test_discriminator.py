"""The discriminators are the public ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine.lift.extpose.discriminator import Discriminator
from extpose_blender.protocol.errors import BadShape

from .networks import below


@pytest.mark.parametrize(("kind", "joints"), [("body", 23), ("hand", 15)])
def test_scores_of_the_public_discriminators(
    shared_fixture: Callable[[str], np.lib.npyio.NpzFile], kind: str, joints: int
) -> None:
    arrays = shared_fixture(f"discriminator_{kind}.npz")
    judge = Discriminator(joints)
    judge.load_state_dict(below(arrays, "sd/"), strict=True)
    with torch.no_grad():
        scores = judge(
            torch.from_numpy(arrays["in/pose_rotmat"]), torch.from_numpy(arrays["in/betas"])
        )
    np.testing.assert_allclose(scores.numpy(), arrays["out/disc"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("model", "joints"), [("hmr2", 23), ("hamer", 15)])
def test_keys_and_shapes_are_those_of_the_checkpoints(
    shared_path: Callable[[str], Path], model: str, joints: int
) -> None:
    listed = json.loads(shared_path(f"fixtures/state_dict_{model}.json").read_text())
    wanted = {
        name.removeprefix("discriminator."): tuple(entry["shape"])
        for name, entry in listed["state_dict"].items()
        if name.startswith("discriminator.")
    }
    judge = Discriminator(joints)
    assert {name: tuple(value.shape) for name, value in judge.state_dict().items()} == wanted
    count = sum(value.numel() for value in judge.parameters())
    assert count == listed["parameter_counts"]["discriminator"]


def test_a_fresh_one_has_no_bias_and_other_shapes_are_refused() -> None:
    judge = Discriminator(15)
    assert not any(value.any() for name, value in judge.named_parameters() if "bias" in name)
    with pytest.raises(BadShape, match="15"):
        judge(torch.zeros(2, 23, 3, 3), torch.zeros(2, 10))
    with pytest.raises(BadShape):
        judge(torch.zeros(2, 15, 3, 3), torch.zeros(1, 10))
