"""What Blender needs of a body: the rest mesh at one shape, its weights and its joints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...protocol.body_file import BodyGeometry

if TYPE_CHECKING:
    from .load import Body


def body_geometry(body: Body, betas: np.ndarray) -> BodyGeometry:
    """The body at rest, at a shape (10,)."""
    joint, weight = strongest_weights(body.skin_weights)
    return BodyGeometry(
        body_id=body.body_id,
        surface_model_type=body.model_type,
        rest_vertices_m=body.vertices_rest(betas),
        faces=body.faces,
        skin_joint=joint,
        skin_weight=weight,
        rest_joints_m=body.joints_rest(betas),
        joint_names=body.joint_names,
        parents=body.parents,
    )


def strongest_weights(weights: np.ndarray, most: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The strongest weights of each vertex.

    Args:
        weights: (V, J), rows sum to 1.
        most: Keep no more than this many.

    Returns:
        Joints (V, W) int16 and weights (V, W) float32, strongest first, rows sum to 1; short rows
        are filled with joint 0 and weight 0.
    """
    width = min(most, max(1, int((weights > 0).sum(1).max())))
    joint = np.argsort(-weights, axis=1, kind="stable")[:, :width]
    weight = np.take_along_axis(weights, joint, axis=1)
    weight = weight / weight.sum(1, keepdims=True)
    return np.where(weight > 0, joint, 0).astype(np.int16), weight.astype(np.float32)
