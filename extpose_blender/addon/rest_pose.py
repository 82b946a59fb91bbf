"""Where the bones of a body lie at rest: pure numpy, no Blender.

The rest pose is the body's own T-pose, Z up and facing -Y, standing on the ground with the pelvis
above the origin. A bone points along its limb: to the joint that continues it. Leaves go on in
their parent's direction as far as the mesh that they move; a head points up, toes lie level, jaw
and eyes look forward.

Rolls: +X of every bone is the axis about which its joint bends, so that

    spine, neck, head    +X is the person's left, a turn about it bends forward
    legs, feet           +X is the person's left, a turn about it bends the knee
    collars and arms     +Z is forward, a turn about X bends the elbow
    hands and fingers    +Z leaves the palm, a turn about X closes the hand

Left and right are mirror images with the same sign of the turn about X, as Blender's "paste
flipped" wants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..protocol.body_file import BodyGeometry
from ..protocol.geometry import Z_UP_R_Y_UP

MIN_BONE_M = 0.005
"""Blender removes bones without length: no bone is shorter than this."""

LEFT, BACK, UP = np.eye(3)
FORWARD, DOWN = -BACK, -UP

_CONTINUED_BY = {"pelvis": "spine1", "spine3": "neck", "wrist": "middle1", "head": None}
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_ARM = ("collar", "shoulder", "elbow")
_FACE = ("jaw", "eye")
_PARALLEL = 0.97
"""Cosine above which a bone is too close to a reference axis to take its roll from it."""


@dataclass(frozen=True)
class RestPose:
    """The bones at rest in the armature's space: Z up, facing -Y, metres."""

    names: tuple[str, ...]
    """(J,) names, SMPL's own."""
    parents: np.ndarray
    """(J,) parent of each bone, -1 for the root."""
    heads_m: np.ndarray
    """(J, 3) where the joints are."""
    tails_m: np.ndarray
    """(J, 3) where the bones end."""
    z_axes: np.ndarray
    """(J, 3) unit: +Z of each bone, at right angles to it."""
    connected: np.ndarray
    """(J,) bool: the bone begins where its parent ends."""
    offset_m: np.ndarray
    """(3,) what was added to the turned rest frame to stand on the ground under the origin."""


def rest_pose(body: BodyGeometry) -> RestPose:
    """Lay out the bones of a body."""
    offset = ground_offset(body)
    heads = to_z_up(body.rest_joints_m) + offset
    vertices = to_z_up(body.rest_vertices_m) + offset
    mover = _strongest_joint(body)
    count = len(body.joint_names)
    tails, connected = np.zeros((count, 3)), np.zeros(count, bool)
    z_axes = np.zeros((count, 3))
    for joint in range(count):
        follower = _main_child(body, joint)
        span = None if follower is None else heads[follower] - heads[joint]
        if span is not None and np.linalg.norm(span) >= MIN_BONE_M:
            connected[follower] = True
        else:
            span = _leaf_span(body, joint, heads, tails, vertices[mover == joint])
        tails[joint] = heads[joint] + span
        z_axes[joint] = bone_z_axis(body.joint_names[joint], span)
    return RestPose(body.joint_names, body.parents, heads, tails, z_axes, connected, offset)


def to_z_up(points_m: np.ndarray) -> np.ndarray:
    """Turn points (..., 3) of SMPL's rest frame to Z up, facing -Y, in float64."""
    return np.asarray(points_m, np.float64) @ Z_UP_R_Y_UP.T


def ground_offset(body: BodyGeometry) -> np.ndarray:
    """(3,) what brings the turned rest mesh onto the ground, its root joint above the origin."""
    root = to_z_up(body.rest_joints_m[0])
    lowest = to_z_up(body.rest_vertices_m)[:, 2].min()
    return np.array([-root[0], -root[1], -lowest])


def bone_z_axis(name: str, span: np.ndarray) -> np.ndarray:
    """+Z of a bone by the rule above.

    Args:
        name: SMPL's name of the joint.
        span: (3,) from the bone's head to its tail, any length.

    Returns:
        (3,) unit, at right angles to `span`.
    """
    along = span / np.linalg.norm(span)
    part = _part(name)
    if part in (*_FINGERS, "wrist", "hand"):
        wanted, otherwise = DOWN, FORWARD
    elif part in _ARM:
        wanted, otherwise = FORWARD, DOWN
    else:
        wanted, otherwise = np.cross(LEFT, along), FORWARD
        if abs(along @ LEFT) > _PARALLEL:
            wanted = otherwise
    if abs(along @ wanted) > _PARALLEL:
        wanted = otherwise
    across = wanted - (along @ wanted) * along
    return across / np.linalg.norm(across)


def _part(name: str) -> str:
    """A name without side and number: `left_index2` is `index`, `left_eye_smplhf` is `eye`."""
    bare = name.removeprefix("left_").removeprefix("right_").removesuffix("_smplhf")
    return bare.rstrip("0123456789")


def _main_child(body: BodyGeometry, joint: int) -> int | None:
    children = np.flatnonzero(body.parents == joint).tolist()
    name = body.joint_names[joint]
    side = name[: name.index("_") + 1] if name.startswith(("left_", "right_")) else ""
    bare = name.removeprefix(side)
    if bare in _CONTINUED_BY:
        wanted = _CONTINUED_BY[bare]
        if wanted is None:
            return None
        for child in children:
            if body.joint_names[child] == side + wanted:
                return int(child)
    return int(children[0]) if children else None


def _leaf_span(
    body: BodyGeometry, joint: int, heads: np.ndarray, tails: np.ndarray, moved_m: np.ndarray
) -> np.ndarray:
    """From head to tail of a bone that no joint continues."""
    parent = int(body.parents[joint])
    before = tails[parent] - heads[parent] if parent >= 0 else UP * MIN_BONE_M
    part = _part(body.joint_names[joint])
    along = before / np.linalg.norm(before)
    if part == "head":
        along = UP
    elif part in _FACE:
        along = FORWARD
    elif part == "foot":
        level = along * (1, 1, 0)
        along = level / np.linalg.norm(level) if np.linalg.norm(level) > 0.1 else FORWARD
    reach = ((moved_m - heads[joint]) @ along).max() if len(moved_m) else 0.0
    if reach < MIN_BONE_M:
        reach = 0.5 * np.linalg.norm(before)
    return along * max(float(reach), MIN_BONE_M)


def _strongest_joint(body: BodyGeometry) -> np.ndarray:
    """(V,) the joint that moves each vertex most."""
    best = np.argmax(body.skin_weight, axis=1)
    return np.asarray(body.skin_joint[np.arange(len(best)), best])
