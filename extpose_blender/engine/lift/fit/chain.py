"""The body as a chain that the solver can differentiate: joints and landmarks, with their Jacobian.

The solver does not turn all 21 joints of the body freely: one view says little about three spine
joints on their own. A pose is a vector `q` of 46 numbers, and the rotation vectors of the joints
are a fixed linear map of it: the spine joints share one bend, neck and head share one, collars have
two axes, toes none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ....protocol.skeletons import SMPL_24
from .rotation import left_jacobian, rotvec_to_rotmat

BODY_JOINTS = 22
"""Joints that SMPL, SMPL-H and SMPL-X share, pelvis first."""

ROOT_SIZE = 6
"""Unknowns of the root per frame: a turn (3), then the pelvis's place (3)."""

_SHARED: dict[str, dict[str, float]] = {
    "spine": {"spine1": 1 / 3, "spine2": 1 / 3, "spine3": 1 / 3},
    "head": {"neck": 0.5, "head": 0.5},
}
_AXES: dict[str, tuple[int, ...]] = {"left_collar": (1, 2), "right_collar": (1, 2)}
_SINGLE = (
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_collar",
    "right_collar", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
    "right_wrist",
)  # fmt: skip


def pose_names() -> tuple[str, ...]:
    """What each number of `q` turns: `joint:axis`, axes 0 to 2 of the joint's rest frame."""
    names = [f"{group}:{axis}" for group in _SHARED for axis in range(3)]
    names += [f"{joint}:{axis}" for joint in _SINGLE for axis in _AXES.get(joint, (0, 1, 2))]
    return tuple(names)


def pose_map() -> np.ndarray:
    """(63, Q) float64: `q` to the rotation vectors of joints 1 to 21, flattened."""
    names = pose_names()
    matrix = np.zeros(((BODY_JOINTS - 1) * 3, len(names)))
    for column, name in enumerate(names):
        joint, axis = name.split(":")
        for member, share in _SHARED.get(joint, {joint: 1.0}).items():
            matrix[(SMPL_24.index[member] - 1) * 3 + int(axis), column] = share
    return matrix


def pose_mirror() -> tuple[np.ndarray, np.ndarray]:
    """Which number of `q` each one becomes in the mirror, and with which sign: (Q,) int, (Q,)
    float.
    """
    names = pose_names()
    source, sign = [], []
    for name in names:
        joint, axis = name.split(":")
        side = {"left": "right", "right": "left"}.get(joint.partition("_")[0])
        other = f"{side}_{joint.partition('_')[2]}:{axis}" if side else name
        source.append(names.index(other))
        sign.append(1.0 if axis == "0" else -1.0)
    return np.array(source), np.array(sign)


def ancestor_table() -> np.ndarray:
    """(22, 22) bool: [j, a] is true where joint `a` turns what hangs on joint `j`, itself
    included.
    """
    parents = SMPL_24.parents
    assert parents is not None
    table = np.zeros((BODY_JOINTS, BODY_JOINTS), bool)
    for joint in range(BODY_JOINTS):
        ancestor = joint
        while ancestor >= 0:
            table[joint, ancestor] = True
            ancestor = parents[ancestor]
    return table


@dataclass(frozen=True)
class Pose:
    """A pose of T frames, in the OpenCV camera."""

    root: torch.Tensor
    """(T, 3, 3) turns the SMPL rest frame into the camera."""
    pelvis: torch.Tensor
    """(T, 3) place of the pelvis joint, metres."""
    q: torch.Tensor
    """(T, Q) joint angles, radians, see `pose_names`."""

    def __len__(self) -> int:
        return len(self.q)

    def __getitem__(self, rows: slice | torch.Tensor) -> Pose:
        return Pose(self.root[rows], self.pelvis[rows], self.q[rows])

    def moved(self, step: torch.Tensor) -> Pose:
        """The pose after a step (T, 6 + Q): the root turns in the camera's axes."""
        turn = rotvec_to_rotmat(step[:, :3])
        return Pose(turn @ self.root, self.pelvis + step[:, 3:6], self.q + step[:, ROOT_SIZE:])


@dataclass(frozen=True)
class Posed:
    """Where a pose puts joints and landmarks."""

    joints: torch.Tensor
    """(T, 22, 3) camera, metres."""
    turns: torch.Tensor
    """(T, 22, 3, 3) rest frame to camera of each joint."""
    points: torch.Tensor
    """(T, K, 3) landmarks, camera, metres."""


class Chain:
    """Joints and landmarks of one body at one shape.

    Args:
        rest_joints: (22, 3) rest joints, SMPL rest frame, metres.
        point_joints: (K,) joint that carries each landmark.
        point_offsets: (K, 3) landmark from its joint, rest frame, metres.
    """

    def __init__(
        self, rest_joints: torch.Tensor, point_joints: torch.Tensor, point_offsets: torch.Tensor
    ) -> None:
        parents = SMPL_24.parents
        assert parents is not None
        self.parents = parents[:BODY_JOINTS]
        self.rest_joints = rest_joints
        self.point_joints = point_joints
        self.point_offsets = point_offsets
        self.bones = rest_joints.clone()
        self.bones[1:] -= rest_joints[list(self.parents[1:])]
        like: dict[str, Any] = {"dtype": rest_joints.dtype, "device": rest_joints.device}
        self.map = torch.tensor(pose_map(), **like)
        self._ancestors = torch.tensor(ancestor_table(), device=rest_joints.device)[point_joints]

    @cached_property
    def _levels(self) -> list[tuple[list[int], list[int]]]:
        """Joints by distance from the root, each with its parents."""
        depth = [0] * BODY_JOINTS
        for joint in range(1, BODY_JOINTS):
            depth[joint] = depth[self.parents[joint]] + 1
        levels = []
        for level in range(1, max(depth) + 1):
            members = [j for j in range(BODY_JOINTS) if depth[j] == level]
            levels.append((members, [self.parents[j] for j in members]))
        return levels

    def rotvecs(self, q: torch.Tensor) -> torch.Tensor:
        """(T, 21, 3) rotation vectors of joints 1 to 21."""
        return (q @ self.map.T).reshape(len(q), BODY_JOINTS - 1, 3)

    def pose(self, pose: Pose) -> Posed:
        """Place joints and landmarks."""
        return self.place(pose.root, pose.pelvis, rotvec_to_rotmat(self.rotvecs(pose.q)))

    def place(self, root: torch.Tensor, pelvis: torch.Tensor, local: torch.Tensor) -> Posed:
        """Place joints and landmarks.

        Args:
            root: (T, 3, 3) turns the SMPL rest frame into the camera.
            pelvis: (T, 3) place of the pelvis joint, metres.
            local: (T, 21, 3, 3) turns of joints 1 to 21 in their parents' frames.
        """
        count = len(root)
        turns = root.new_zeros(count, BODY_JOINTS, 3, 3)
        joints = root.new_zeros(count, BODY_JOINTS, 3)
        turns[:, 0] = root
        joints[:, 0] = pelvis
        for members, parents in self._levels:
            above = turns[:, parents]
            turns[:, members] = above @ local[:, [j - 1 for j in members]]
            shift = (above @ self.bones[members][None, :, :, None]).squeeze(-1)
            joints[:, members] = joints[:, parents] + shift
        points = joints[:, self.point_joints] + (
            turns[:, self.point_joints] @ self.point_offsets[None, :, :, None]
        ).squeeze(-1)
        return Posed(joints, turns, points)

    def jacobian(self, pose: Pose, posed: Posed) -> torch.Tensor:
        """(T, K, 3, 6 + Q): how the landmarks move with a step of `Pose.moved`."""
        count, points = len(pose), posed.points
        above = posed.turns[:, list(self.parents[1:])]
        axes = above @ left_jacobian(self.rotvecs(pose.q))  # (T, 21, 3, 3): columns are axes
        axes = axes.permute(0, 1, 3, 2)  # (T, 21, axis, 3)
        arms = points[:, :, None, :] - posed.joints[:, None, 1:, :]  # (T, K, 21, 3)
        arms = arms * self._ancestors[None, :, 1:, None]
        moves = torch.linalg.cross(
            axes[:, None].expand(-1, points.shape[1], -1, -1, -1), arms[:, :, :, None, :], dim=-1
        )  # (T, K, 21, axis, 3)
        by_angle = moves.reshape(count, -1, (BODY_JOINTS - 1) * 3, 3).transpose(-1, -2) @ self.map
        result = points.new_zeros(count, points.shape[1], 3, ROOT_SIZE + self.map.shape[1])
        x, y, z = (points - posed.joints[:, :1]).unbind(-1)
        # Columns of the root's turn: the camera's axes times the arm.
        result[..., 1, 0], result[..., 2, 0] = -z, y
        result[..., 0, 1], result[..., 2, 1] = z, -x
        result[..., 0, 2], result[..., 1, 2] = -y, x
        for axis in range(3):
            result[..., axis, 3 + axis] = 1.0
        result[..., ROOT_SIZE:] = by_angle
        return result
