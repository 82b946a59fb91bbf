"""Put another skeleton's sequence onto SMPL-H: rotations by rule, hips scaled, soles down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from extpose_blender.protocol.geometry import (
    Z_UP_R_Y_UP,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
)
from extpose_blender.protocol.skeletons import SMPLH_52

from .sequence import Sequence
from .skeleton_maps import MAPS, Aim, Between, Carried, Framed, Rule, SkeletonMap, Turn, Vector

FLIP_DEG_S = 2500.0
"""Joints that turn faster than this against their parent have flipped in the capture."""

WRIST_LIMIT_DEG = (85.0, 70.0)
"""Most swing and most twist of a wrist: ASF hands sometimes turn round."""

_GROUND_PERCENTILE = 5.0
_CLEARANCE_M = {
    "pelvis": 0.10, "left_hip": 0.09, "right_hip": 0.09, "spine3": 0.10, "head": 0.08,
    "left_knee": 0.055, "right_knee": 0.055, "left_shoulder": 0.06, "right_shoulder": 0.06,
    "left_elbow": 0.04, "right_elbow": 0.04, "left_wrist": 0.03, "right_wrist": 0.03,
}  # fmt: skip
"""Flesh under a joint that lies on the ground; feet take theirs from the rest pose."""


@dataclass(frozen=True)
class RetargetedMotion:
    """A sequence on SMPL-H, in a Z-up world with the ground at z = 0."""

    key: str
    """`group/name` of the source."""
    fps: float
    """Frames per second."""
    rotvec: np.ndarray
    """(T, 52, 3) float32 rotation vectors; joint 0 also turns Y up into Z up."""
    transl_m: np.ndarray
    """(T, 3) float32: smplx's `transl`, metres."""
    steady: np.ndarray
    """(T,) bool: no joint flips between this frame and the one before."""


def retarget(
    sequence: Sequence, rest_joints_m: np.ndarray, sole_m: float | None = None
) -> RetargetedMotion:
    """Drive SMPL-H by a captured sequence.

    Args:
        sequence: The source; its group must have a map.
        rest_joints_m: (52, 3) joints of the target body at rest, SMPL's frame, metres.
        sole_m: Height of the soles at rest in the same frame; 2.5 cm under the toes when `None`.

    Returns:
        The motion, as many frames as the source.
    """
    skeleton_map = MAPS[sequence.group]
    turned = _global_rotations(sequence, skeleton_map, rest_joints_m)
    local = _to_local(turned)
    for side in ("left", "right"):
        _limit_wrist(local, side)
    turned = _to_global(local)
    joints = _pelvis_path(sequence, skeleton_map, turned, rest_joints_m)
    joints[..., 1] -= _ground_height(joints, rest_joints_m, sole_m)
    rotvec = rotmat_to_rotvec(local)
    rotvec[:, 0] = rotmat_to_rotvec(Z_UP_R_Y_UP @ local[:, 0])
    transl = joints[:, 0] @ Z_UP_R_Y_UP.T - rest_joints_m[0]
    return RetargetedMotion(
        sequence.key,
        sequence.fps,
        rotvec.astype(np.float32),
        transl.astype(np.float32),
        _steady(local, sequence.fps),
    )


def _global_rotations(
    sequence: Sequence, skeleton_map: SkeletonMap, rest: np.ndarray
) -> np.ndarray:
    """(T, 52, 3, 3) global rotations of SMPL-H in the source's Y-up world."""
    reader = _RuleReader(sequence, skeleton_map, rest)
    turned = np.zeros((len(sequence), len(SMPLH_52), 3, 3))
    for joint, (name, parent) in enumerate(
        zip(SMPLH_52.joint_names, SMPLH_52.parents or (), strict=True)
    ):
        if name in skeleton_map.rules:
            turned[:, joint] = reader.rotation(name, skeleton_map.rules[name], turned[:, parent])
        elif name in skeleton_map.fingers:
            bone = reader.finger_direction(*skeleton_map.fingers[name])
            turned[:, joint] = _swing_to(turned[:, parent], reader.rest_direction(name), bone)
        else:
            turned[:, joint] = turned[:, parent]
    return turned


class _RuleReader:
    """Applies rules to one sequence."""

    def __init__(self, sequence: Sequence, skeleton_map: SkeletonMap, rest: np.ndarray) -> None:
        self.sequence = sequence
        self.rest = rest
        self.facing = _arc(np.array([0.0, 0.0, 1.0]), np.array(skeleton_map.faces))
        offsets = sequence.offsets_m
        self.source_rest = np.zeros_like(offsets)
        for joint in range(1, len(offsets)):
            self.source_rest[joint] = self.source_rest[sequence.parents[joint]] + offsets[joint]

    def rotation(self, name: str, rule: Rule, parent: np.ndarray) -> np.ndarray:
        """(T, 3, 3) global rotation of the SMPL-H joint `name`."""
        match rule:
            case Turn(joint):
                return self._of(joint) @ self.facing
            case Aim(joint, toward):
                source, end = self.sequence.index[joint], self.sequence.index[toward]
                bone = _unit(self.source_rest[end] - self.source_rest[source])
                start = self.facing @ self.rest_direction(name)
                return self._of(joint) @ _arc(start, bone) @ self.facing
            case Framed(joint, along, side, target_side, target_along):
                start = (
                    self.rest_direction(name) if target_along is None else np.array(target_along)
                )
                change = _frame(along, side) @ _frame(start, target_side).T
                return self._of(joint) @ change
            case Between(first, second, share):
                return _slerp(
                    self.rotation(name, first, parent), self.rotation(name, second, parent), share
                )
            case Carried(base, joint, toward, usual):
                seen = self._of(base).swapaxes(1, 2) @ self._direction(joint, toward)[..., None]
                return parent @ _arc(_unit(np.array(usual)), seen[..., 0])

    def rest_direction(self, name: str) -> np.ndarray:
        """(3,) direction of the target's rest bone that begins at `name`."""
        joint = SMPLH_52.index[name]
        children = [i for i, parent in enumerate(SMPLH_52.parents or ()) if parent == joint]
        if len(children) == 1:
            return _unit(self.rest[children[0]] - self.rest[joint])
        # The last bone of a finger goes on as the one before it.
        return _unit(self.rest[joint] - self.rest[(SMPLH_52.parents or ())[joint]])

    def finger_direction(self, joint: str, toward: str) -> np.ndarray:
        """(T, 3) direction of a source finger bone."""
        return self._direction(joint, toward) if toward else self._of(joint)[..., 1]

    def _of(self, joint: str) -> np.ndarray:
        return self.sequence.global_rotmat[:, self.sequence.index[joint]]

    def _direction(self, joint: str, toward: str) -> np.ndarray:
        places, index = self.sequence.positions_m, self.sequence.index
        return _unit(places[:, index[toward]] - places[:, index[joint]])


def _pelvis_path(
    sequence: Sequence, skeleton_map: SkeletonMap, turned: np.ndarray, rest: np.ndarray
) -> np.ndarray:
    """(T, 52, 3) joints, Y up: the middle of the hips follows the source's, scaled by the legs."""
    index, places = sequence.index, sequence.positions_m
    thigh, knee, ankle = (index[name] for name in skeleton_map.leg)
    source_leg = _length(places[0, knee] - places[0, thigh]) + _length(
        places[0, ankle] - places[0, knee]
    )
    hip, knee, ankle = SMPLH_52.indices("left_hip", "left_knee", "left_ankle")
    leg = _length(rest[knee] - rest[hip]) + _length(rest[ankle] - rest[knee])
    middle = places[:, [index[name] for name in skeleton_map.hips]].mean(axis=1) * leg / source_leg
    joints = _positions(turned, rest)
    hips = joints[:, SMPLH_52.indices("left_hip", "right_hip")].mean(axis=1)
    return joints + (middle - hips)[:, None]


def _ground_height(joints: np.ndarray, rest: np.ndarray, sole_m: float | None) -> float:
    """Height, Y up, on which the body rests when it is lowest."""
    feet = SMPLH_52.indices("left_ankle", "right_ankle", "left_foot", "right_foot")
    sole = rest[feet, 1].min() - 0.025 if sole_m is None else sole_m
    clearance = {joint: rest[joint, 1] - sole for joint in feet}
    clearance |= {SMPLH_52.index[name]: size for name, size in _CLEARANCE_M.items()}
    lowest = np.min([joints[:, joint, 1] - size for joint, size in clearance.items()], axis=0)
    return float(np.percentile(lowest, _GROUND_PERCENTILE))


def _positions(turned: np.ndarray, rest: np.ndarray) -> np.ndarray:
    places = np.zeros((len(turned), len(rest), 3))
    for joint, parent in enumerate(SMPLH_52.parents or ()):
        if parent >= 0:
            offset = rest[joint] - rest[parent]
            places[:, joint] = places[:, parent] + turned[:, parent] @ offset
    return places


def _to_local(turned: np.ndarray) -> np.ndarray:
    local = turned.copy()
    for joint, parent in enumerate(SMPLH_52.parents or ()):
        if parent >= 0:
            local[:, joint] = turned[:, parent].swapaxes(1, 2) @ turned[:, joint]
    return local


def _to_global(local: np.ndarray) -> np.ndarray:
    turned = local.copy()
    for joint, parent in enumerate(SMPLH_52.parents or ()):
        if parent >= 0:
            turned[:, joint] = turned[:, parent] @ local[:, joint]
    return turned


def _limit_wrist(local: np.ndarray, side: str) -> None:
    """Cap swing and twist of a wrist about the forearm's axis, in place."""
    joint = SMPLH_52.index[f"{side}_wrist"]
    axis = np.array([1.0, 0.0, 0.0])
    swing = _arc(axis, local[:, joint] @ axis)
    twist = rotmat_to_rotvec(swing.swapaxes(1, 2) @ local[:, joint])
    capped = [
        rotvec_to_rotmat(_cap(vector, limit))
        for vector, limit in zip((rotmat_to_rotvec(swing), twist), WRIST_LIMIT_DEG, strict=True)
    ]
    local[:, joint] = capped[0] @ capped[1]


def _cap(rotvec: np.ndarray, limit_deg: float) -> np.ndarray:
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    return rotvec * np.minimum(1.0, np.deg2rad(limit_deg) / np.maximum(angle, 1e-9))


def _steady(local: np.ndarray, fps: float) -> np.ndarray:
    step = rotmat_to_rotvec(local[:-1].swapaxes(-1, -2) @ local[1:])
    fastest = np.rad2deg(np.linalg.norm(step, axis=-1)).max(axis=1, initial=0.0) * fps
    return np.concatenate([[True], fastest < FLIP_DEG_S])


def _swing_to(parent: np.ndarray, rest_direction: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(T, 3, 3): the parent's rotation, swung by the shortest way so that the bone points along."""
    seen = (parent.swapaxes(1, 2) @ direction[..., None])[..., 0]
    return parent @ _arc(rest_direction, seen)


def _arc(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Shortest rotation (..., 3, 3) of the unit vector `start` (3,) onto `end` (..., 3)."""
    start = np.broadcast_to(start, end.shape)
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (start * end).sum(axis=-1, keepdims=True))
    across = np.cross(start, np.eye(3)[np.argmin(np.abs(start[(0,) * (start.ndim - 1)]))])
    unit = np.where(sine > 1e-9, axis / np.maximum(sine, 1e-9), _unit(across))
    return rotvec_to_rotmat(unit * angle)


def _frame(along: Vector | np.ndarray, side: Vector | np.ndarray) -> np.ndarray:
    """(3, 3) right-handed axes as columns: `along`, then `side` made square to it."""
    first = _unit(np.asarray(along, np.float64))
    second = _unit(np.asarray(side, np.float64) - first * np.dot(side, first))
    return np.stack([first, second, np.cross(first, second)], axis=1)


def _slerp(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    step = rotmat_to_rotvec(first.swapaxes(-1, -2) @ second)
    return np.asarray(first @ rotvec_to_rotmat(share * step))


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12))


def _length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))
