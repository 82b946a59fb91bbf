"""The open body's joints alone, as training poses them millions of times."""

from __future__ import annotations

from extpose_blender.engine.body.layer import SkinLayer
from extpose_blender.engine.body.load import load_body

BODY_JOINTS = 22
"""Joints that are compared: SMPL's without the hands."""


def open_body_layer() -> SkinLayer:
    """A layer of the open body with its first 22 joints; its shape numbers are those predicted."""
    body = load_body("open")
    return SkinLayer(
        body.v_template,
        body.shapedirs,
        body.regressor[:BODY_JOINTS],
        body.skin_weights[:, :BODY_JOINTS],
        body.parents[:BODY_JOINTS].tolist(),
    )
