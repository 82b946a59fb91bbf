"""From MakeHuman's stance to SMPL's T-pose, by undoing the very skinning that the model will use.

A vertex of the T-pose is chosen so that linear blend skinning with the model's weights brings it
back exactly to MakeHuman's sculpted surface when the body stands as MakeHuman's does. So arms
hanging at 45 degrees, near where people hold them most, look as they were sculpted.
"""

from __future__ import annotations

import numpy as np
from anatomy import JOINTS

from extpose_blender.protocol.skeletons import SMPLH_52

_PARENTS = SMPLH_52.parents
_FINGER_SPREAD_DEG = {"index": 7.0, "middle": 0.0, "ring": -6.0, "pinky": -13.0}
"""Angle of each straight finger in the plane of the palm, towards the thumb."""

# Directions of bones at rest in SMPL's mean body (left side; the right mirrors them).
_REST_DIRECTIONS = {
    ("hip", "knee"): (0.085, -0.995, -0.012),
    ("knee", "ankle"): (-0.030, -0.993, -0.110),
    ("collar", "shoulder"): (0.944, 0.317, -0.092),
    ("shoulder", "elbow"): (0.9945, 0.0, -0.105),
    ("elbow", "wrist"): (1.0, 0.0, 0.0),
}
_FOOT_YAW_DEG = 10.0
_TRUNK_LEAN_DEG = -2.3
"""Lean of the line from spine1 to neck, forward positive, as in SMPL's mean body."""


def rest_rotations(joints_m: np.ndarray) -> np.ndarray:
    """Global rotation of each joint's segment from MakeHuman's stance to the T-pose.

    Args:
        joints_m: (N, 52, 3) joints as MakeHuman stands.

    Returns:
        (N, 52, 3, 3).
    """
    count = len(joints_m)
    turns = np.broadcast_to(np.eye(3), (count, len(SMPLH_52), 3, 3)).copy()
    trunk = _trunk_turn(joints_m)
    for name in ("spine1", "spine2", "spine3"):
        turns[:, JOINTS[name]] = trunk
    for side, sign in (("left", 1.0), ("right", -1.0)):
        _turn_leg(turns, joints_m, side, sign)
        _turn_arm(turns, joints_m, side, sign)
    return turns


def straighten(joints_m: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Joints in the T-pose (N, 52, 3): bones turned, their lengths kept, the pelvis in place."""
    rest = joints_m.copy()
    for joint in range(1, len(SMPLH_52)):
        parent = _PARENTS[joint]
        bone = joints_m[:, joint] - joints_m[:, parent]
        rest[:, joint] = rest[:, parent] + np.einsum("nij,nj->ni", turns[:, parent], bone)
    return rest


def undo_skinning(
    vertices_m: np.ndarray,
    joints_m: np.ndarray,
    rest_joints_m: np.ndarray,
    turns: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """T-pose vertices that skinning brings to these vertices.

    Args:
        vertices_m: (V, 3) surface as MakeHuman stands.
        joints_m: (52, 3) its joints.
        rest_joints_m: (52, 3) joints in the T-pose.
        turns: (52, 3, 3) rotations from the stance to the T-pose.
        weights: (V, 52).
    """
    back = np.swapaxes(turns, -1, -2)
    shift = joints_m - np.einsum("jab,jb->ja", back, rest_joints_m)
    blended = np.einsum("vj,jab->vab", weights, back)
    return np.asarray(np.linalg.solve(blended, (vertices_m - weights @ shift)[..., None])[..., 0])


def _turn_leg(turns: np.ndarray, joints_m: np.ndarray, side: str, sign: float) -> None:
    mirror = np.array([sign, 1.0, 1.0])
    for joint, child in (("hip", "knee"), ("knee", "ankle")):
        bone = _bone(joints_m, f"{side}_{joint}", f"{side}_{child}")
        wanted = np.array(_REST_DIRECTIONS[joint, child]) * mirror
        turns[:, JOINTS[f"{side}_{joint}"]] = _shortest_turn(bone, wanted)
    # The sole stays flat: feet turn about the vertical alone.
    foot = _bone(joints_m, f"{side}_ankle", f"{side}_foot") * [1.0, 0.0, 1.0]
    yaw = np.radians(_FOOT_YAW_DEG) * sign
    turn = _shortest_turn(_unit(foot), np.array([np.sin(yaw), 0.0, np.cos(yaw)]))
    turns[:, JOINTS[f"{side}_ankle"]] = turn
    turns[:, JOINTS[f"{side}_foot"]] = turn


def _turn_arm(turns: np.ndarray, joints_m: np.ndarray, side: str, sign: float) -> None:
    out = np.array([sign, 0.0, 0.0])
    down = np.array([0.0, -1.0, 0.0])
    mirror = np.array([sign, 1.0, 1.0])
    collar = _bone(joints_m, f"{side}_collar", f"{side}_shoulder")
    wanted = np.array(_REST_DIRECTIONS["collar", "shoulder"]) * mirror
    turns[:, JOINTS[f"{side}_collar"]] = _shortest_turn(collar, wanted)

    # The elbow folds forwards in the T-pose: its hinge stands upright.
    upper = _bone(joints_m, f"{side}_shoulder", f"{side}_elbow")
    fore = _bone(joints_m, f"{side}_elbow", f"{side}_wrist")
    hinge = np.cross(upper, fore)
    hinge_at_rest = np.cross(out, [0.0, 0.0, 1.0])
    for joint, child, bone in (("shoulder", "elbow", upper), ("elbow", "wrist", fore)):
        wanted = np.array(_REST_DIRECTIONS[joint, child]) * mirror
        turns[:, JOINTS[f"{side}_{joint}"]] = _frame_turn(bone, hinge, wanted, hinge_at_rest)

    along = _bone(joints_m, f"{side}_wrist", f"{side}_middle1")
    across = _bone(joints_m, f"{side}_pinky1", f"{side}_index1")
    palm = np.cross(across, along) * -sign
    hand = _frame_turn(along, palm, out, down)
    turns[:, JOINTS[f"{side}_wrist"]] = hand
    for i in (1, 2, 3):
        turns[:, JOINTS[f"{side}_thumb{i}"]] = hand
    for finger, degrees in _FINGER_SPREAD_DEG.items():
        angle = np.radians(degrees)
        wanted = np.array([sign * np.cos(angle), 0.0, np.sin(angle)])
        segments = [
            _bone(joints_m, f"{side}_{finger}1", f"{side}_{finger}2"),
            _bone(joints_m, f"{side}_{finger}2", f"{side}_{finger}3"),
        ]
        hinge = np.cross(palm, segments[0] + segments[1])
        hinge_at_rest = np.cross(down, wanted)
        for i in (1, 2, 3):
            # The last segment has no joint at its end: it is taken to go on as the middle one.
            bone = segments[min(i, 2) - 1]
            turn = _frame_turn(bone, hinge, wanted, hinge_at_rest)
            turns[:, JOINTS[f"{side}_{finger}{i}"]] = turn


def _trunk_turn(joints_m: np.ndarray) -> np.ndarray:
    spine = _bone(joints_m, "spine1", "neck") * [0.0, 1.0, 1.0]
    lean = np.radians(_TRUNK_LEAN_DEG)
    return _shortest_turn(_unit(spine), np.array([0.0, np.cos(lean), np.sin(lean)]))


def _bone(joints_m: np.ndarray, start: str, end: str) -> np.ndarray:
    return _unit(joints_m[:, JOINTS[end]] - joints_m[:, JOINTS[start]])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _shortest_turn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotation without twist from unit vectors `source` (N, 3) to `target` (3,): (N, 3, 3)."""
    target = _unit(np.broadcast_to(target, source.shape))
    axis = np.cross(source, target)
    cosine = np.einsum("ni,ni->n", source, target)[:, None, None]
    skew = np.zeros((len(source), 3, 3))
    skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    skew -= np.swapaxes(skew, -1, -2)
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine))


def _frame_turn(
    along: np.ndarray, side: np.ndarray, along_at_rest: np.ndarray, side_at_rest: np.ndarray
) -> np.ndarray:
    """Rotation bringing the frame (along, side), (N, 3) each, to the one at rest: (N, 3, 3)."""
    source = _frame(along, side)
    target = _frame(np.broadcast_to(along_at_rest, along.shape), side_at_rest)
    return np.asarray(target @ np.swapaxes(source, -1, -2))


def _frame(along: np.ndarray, side: np.ndarray) -> np.ndarray:
    x = _unit(along)
    z = _unit(np.cross(x, np.broadcast_to(side, x.shape)))
    return np.stack([x, np.cross(z, x), z], axis=-1)
