"""A configuration survives its file and refuses what no network can be built from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from extpose_blender.engine.lift.extpose.config import BLOCK_LAYOUTS, ExtPoseConfig
from extpose_blender.protocol.errors import UsageError


@pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
def test_configuration_survives_json(layout: str) -> None:
    config = ExtPoseConfig(
        body="mano",
        image_size=(128, 96),
        block_layout=layout,
        temporal_position=True,
        context="image",
        drop_path=0.55,
    )
    assert ExtPoseConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_defaults_are_those_of_the_base_models() -> None:
    config = ExtPoseConfig.from_dict({})
    assert config == ExtPoseConfig()
    assert config.grid_hw == (16, 12) and config.tokens == 192 and config.num_joints == 24
    assert ExtPoseConfig(body="mano").num_joints == 16


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"embed_dims": 64}, "embed_dims"),
        ({"body": "smplx"}, "body"),
        ({"block_layout": ["union"]}, "block_layout"),
        ({"context": "skeleton"}, "context"),
        ({"image_size": [256]}, "image_size"),
        ({"image_size": [250, 192]}, "image_size"),
        ({"image_size": [0, 192]}, "image_size"),
        ({"image_size": "256x192"}, "image_size"),
        ({"patch_size": 4}, "patch_size"),
        ({"depth": 0}, "depth"),
        ({"depth": 2.0}, "depth"),
        ({"decoder_depth": True}, "decoder_depth"),
        ({"num_heads": 7}, "num_heads"),
        ({"embed_dim": 33, "num_heads": 3, "temporal_position": True}, "temporal_position"),
        ({"temporal_position": 1}, "temporal_position"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"drop_path": float("nan")}, "drop_path"),
        ({"drop_path": None}, "drop_path"),
    ],
)
def test_a_setting_that_cannot_be_is_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        ExtPoseConfig.from_dict(values)
