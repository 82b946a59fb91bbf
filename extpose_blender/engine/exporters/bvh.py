"""BVH: the skeleton's motion as most animation programs read it.

Units are metres. Axes are BVH's usual ones: Y up; at rest the body stands in the T-pose facing +Z,
with the person's left at +X. The world's ground becomes y = 0, and Blender's default import
(forward -Z, up Y) gives the world back. The root has an offset of zero, so its position channels
are its place in the world, whether a reader adds the offset or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...protocol.body_file import BodyGeometry
from ...protocol.errors import BadShape
from ...protocol.files import written_aside
from ...protocol.geometry import Z_UP_R_Y_UP, rotvec_to_rotmat
from ...protocol.motion import Motion

_ROTATIONS = "Zrotation Xrotation Yrotation"
_POSITIONS = "Xposition Yposition Zposition"

_STUB_SHARE = 0.5
"""Length of the bone at the end of a chain, as a share of the one before it."""


def write_bvh(path: Path, motion: Motion, body: BodyGeometry) -> None:
    """Write a motion as .bvh, aside and renamed.

    Args:
        path: The file.
        motion: The motion, in the world.
        body: The body at the motion's shape: where the joints are at rest.

    Raises:
        BadShape: The body has other joints than the motion.
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    if motion.rotvec.shape[1] != len(body.joint_names):
        raise BadShape(
            f"`body` must have {motion.rotvec.shape[1]} joints, not {len(body.joint_names)}"
        )
    order = _depth_first(body.parents)
    lines = [
        "HIERARCHY",
        *_hierarchy(body, 0, 0),
        "MOTION",
        f"Frames: {len(motion)}",
        f"Frame Time: {1.0 / motion.mocap_framerate:.9f}",
    ]
    with written_aside(path) as aside, open(aside, "w", encoding="ascii", newline="\n") as stream:
        stream.writelines(line + "\n" for line in lines)
        np.savetxt(stream, _channels(motion, body, order), fmt="%.6f")


def euler_zxy(rotmat: np.ndarray) -> np.ndarray:
    """Angles (z, x, y) with R = Rz Rx Ry, without jumps from row to row.

    Of the two triples of angles that give a rotation, and all their full turns, each row takes the
    one nearest to the row before. Where z and y turn about the same axis, y stays as it was.

    Args:
        rotmat: (T, ..., 3, 3) rotation matrices.

    Returns:
        (T, ..., 3) radians.
    """
    sine = np.clip(rotmat[..., 2, 1], -1.0, 1.0)
    x = np.arctan2(sine, np.hypot(rotmat[..., 0, 1], rotmat[..., 1, 1]))
    z = np.arctan2(-rotmat[..., 0, 1], rotmat[..., 1, 1])
    y = np.arctan2(-rotmat[..., 2, 0], rotmat[..., 2, 2])
    locked = np.hypot(rotmat[..., 0, 1], rotmat[..., 1, 1]) < 1e-6
    angles = np.stack([z, x, y], axis=-1)
    last = np.zeros(angles.shape[1:])
    for row in range(len(angles)):
        if locked[row].any():
            _resolve_lock(angles[row], rotmat[row], locked[row], last)
        angles[row] = last = _nearest(angles[row], last)
    return angles


def _resolve_lock(
    angles: np.ndarray, rotmat: np.ndarray, locked: np.ndarray, last: np.ndarray
) -> None:
    y = last[..., 2]
    zeros, ones = np.zeros_like(y), np.ones_like(y)
    cosine, sine = np.cos(y), np.sin(y)
    turn_y = np.stack([cosine, zeros, sine, zeros, ones, zeros, -sine, zeros, cosine], axis=-1)
    rest = rotmat @ np.swapaxes(turn_y.reshape(*y.shape, 3, 3), -1, -2)  # Rz Rx
    angles[..., 0] = np.where(locked, np.arctan2(rest[..., 1, 0], rest[..., 0, 0]), angles[..., 0])
    angles[..., 2] = np.where(locked, y, angles[..., 2])


def _nearest(angles: np.ndarray, last: np.ndarray) -> np.ndarray:
    other = np.stack([angles[..., 0] + np.pi, np.pi - angles[..., 1], angles[..., 2] + np.pi], -1)
    both = np.stack([angles, other])
    both -= 2 * np.pi * np.round((both - last) / (2 * np.pi))
    far = np.abs(both - last).sum(axis=-1)
    return np.where((far[0] <= far[1])[..., None], both[0], both[1])


def _channels(motion: Motion, body: BodyGeometry, order: list[int]) -> np.ndarray:
    """(T, 3 + 3 J): the root's position in metres, then each joint's angles in degrees."""
    to_y_up = Z_UP_R_Y_UP.T
    rotmat = rotvec_to_rotmat(motion.rotvec.astype(np.float64))
    rotmat[:, 0] = to_y_up @ rotmat[:, 0]
    angles = np.rad2deg(euler_zxy(rotmat))[:, order]
    root = (motion.trans.astype(np.float64) + body.rest_joints_m[0]) @ to_y_up.T
    return np.concatenate([root, angles.reshape(len(motion), -1)], axis=1)


def _depth_first(parents: np.ndarray, joint: int = 0) -> list[int]:
    children = np.flatnonzero(parents == joint).tolist()
    return [joint] + [j for child in children for j in _depth_first(parents, child)]


def _hierarchy(body: BodyGeometry, joint: int, depth: int) -> Iterator[str]:
    rest, parent = body.rest_joints_m.astype(np.float64), int(body.parents[joint])
    pad = "\t" * depth
    offset = rest[joint] - rest[parent] if joint else np.zeros(3)
    yield f"{pad}{'JOINT' if joint else 'ROOT'} {body.joint_names[joint]}"
    yield pad + "{"
    yield f"{pad}\tOFFSET {_words(offset)}"
    channels = _ROTATIONS if joint else f"{_POSITIONS} {_ROTATIONS}"
    yield f"{pad}\tCHANNELS {len(channels.split())} {channels}"
    children = np.flatnonzero(body.parents == joint).tolist()
    for child in children:
        yield from _hierarchy(body, child, depth + 1)
    if not children:
        yield f"{pad}\tEnd Site"
        yield f"{pad}\t{{"
        yield f"{pad}\t\tOFFSET {_words(_STUB_SHARE * offset)}"
        yield f"{pad}\t}}"
    yield pad + "}"


def _words(offset: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in offset)
