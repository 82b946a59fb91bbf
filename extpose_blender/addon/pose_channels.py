"""From a motion to the values of an armature's channels: pure numpy, no Blender.

A bone's channel says how it has turned from its rest within its parent, in its own axes. With `B`
the bone's axes at rest and `R` the joint's rotation in a frame that is parallel to the armature's,
the channel is Bᵀ R B. The root carries the motion: its location is where its joint is, away from
where it rests, in the root bone's own axes, and its rotation takes in the turn from Y up to Z up
that `poses` of a motion holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..protocol.body_file import BodyGeometry
from ..protocol.errors import BadMotionFile
from ..protocol.geometry import (
    Z_UP_R_Y_UP,
    continuous_quats,
    quat_multiply,
    rotmat_to_quat,
    rotvec_to_quat,
)
from ..protocol.motion import Motion
from ..protocol.skeletons import MODEL_SKELETONS


@dataclass(frozen=True)
class PoseChannels:
    """What is keyed, row by row."""

    bones: tuple[str, ...]
    """(B,) bones that the motion moves, the root first."""
    quats_wxyz: np.ndarray
    """(T, B, 4) float32 unit quaternions, in the bones' own axes, without jumps of sign."""
    root_location_m: np.ndarray
    """(T, 3) float32: the root bone's location, in its own axes, metres."""


def pose_channels(motion: Motion, body: BodyGeometry, bone_axes: np.ndarray) -> PoseChannels:
    """Values for the channels of an armature made from `body`.

    Args:
        motion: The motion.
        body: The body that moves.
        bone_axes: (J, 4, 4) the bones at rest in the armature's space, in the order of `body`.

    Raises:
        BadMotionFile: Motion and body do not belong together.
    """
    moved = moved_joints(motion, body)
    rows = np.array([row for row, _ in moved])
    joints = np.array([joint for _, joint in moved])
    rotvec = motion.rotvec[:, rows].astype(np.float64)
    # Into a frame parallel to the armature's. The root's rotation already ends in the world.
    quats = rotvec_to_quat(rotvec @ Z_UP_R_Y_UP.T)
    z_up_from_y_up = rotmat_to_quat(Z_UP_R_Y_UP)
    quats[:, 0] = quat_multiply(rotvec_to_quat(rotvec[:, 0]), z_up_from_y_up * [1, -1, -1, -1])
    axes = np.asarray(bone_axes, np.float64)
    quats[..., 1:] = (quats[..., None, 1:] @ axes[joints, :3, :3])[..., 0, :]
    root_m = motion.trans.astype(np.float64) + body.rest_joints_m[0]
    location = (root_m - axes[0, :3, 3]) @ axes[0, :3, :3]
    return PoseChannels(
        tuple(body.joint_names[joint] for joint in joints),
        continuous_quats(quats).astype(np.float32),
        location.astype(np.float32),
    )


def moved_joints(motion: Motion, body: BodyGeometry) -> list[tuple[int, int]]:
    """(row in `poses`, joint of the body) by name; joints that a motion does not have stay at rest.

    Raises:
        BadMotionFile: The motion was made with another body, or they share no root.
    """
    if motion.body_id != body.body_id:
        raise BadMotionFile(
            f"The motion was made with the body `{motion.body_id}`, not with `{body.body_id}`",
            "Choose the `body_N.npz` that was written beside the motion",
        )
    names = MODEL_SKELETONS[motion.surface_model_type].joint_names
    joint_of = {name: joint for joint, name in enumerate(body.joint_names)}
    moved = [(row, joint_of[name]) for row, name in enumerate(names) if name in joint_of]
    if not moved or moved[0] != (0, 0):
        raise BadMotionFile(
            f"The motion's root is `{names[0]}`, the body's `{body.joint_names[0]}`",
            "Choose the `body_N.npz` that was written beside the motion",
        )
    return moved
