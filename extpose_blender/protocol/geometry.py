"""Axes and rotations, in numpy: the only place where one convention becomes another.

Conventions: rotation matrices act on column vectors, `A_R_B` maps coordinates in B to coordinates in A.
Quaternions are unit, (w, x, y, z). Rotation vectors are in radians. Any leading batch axes.
Source of the formulae: Rodrigues' formula; Shepperd's method for matrix to quaternion (as in
naver/roma:roma/mappings.py).
"""

from __future__ import annotations

import numpy as np

Z_UP_R_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Maps a frame with Y up, facing +Z (SMPL's rest frame) to Z up, facing -Y (Blender's front view)."""

BLENDER_CAMERA_R_OPENCV_CAMERA = np.diag([1.0, -1.0, -1.0])
"""Maps the OpenCV camera (x right, y down, z forward) to Blender's (x right, y up, z backward)."""


def rotvec_to_quat(rotvec: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) to unit quaternions (..., 4), w first, exact near zero."""
    angle = np.linalg.norm(rotvec, axis=-1, keepdims=True)
    half = 0.5 * angle
    return np.concatenate([np.cos(half), 0.5 * np.sinc(half / np.pi) * rotvec], axis=-1)


def quat_to_rotvec(quat_wxyz: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) to rotation vectors (..., 3) with angles from 0 to pi."""
    quat = np.where(quat_wxyz[..., :1] < 0, -quat_wxyz, quat_wxyz)
    sine = np.linalg.norm(quat[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, quat[..., :1])
    small = sine < 1e-8
    scale = np.where(small, 2.0, angle / np.where(small, 1.0, sine))
    return np.asarray(scale * quat[..., 1:])


def quat_to_rotmat(quat_wxyz: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) to rotation matrices (..., 3, 3)."""
    w, x, y, z = np.moveaxis(quat_wxyz, -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, axis=-1).reshape(*quat_wxyz.shape[:-1], 3, 3)


def rotmat_to_quat(rotmat: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4), w not negative."""
    m = np.asarray(rotmat)
    diagonal = np.stack([m[..., i, i] for i in range(3)], axis=-1)
    trace = diagonal.sum(-1)
    # Four ways to write the same quaternion, each safe where its own leading part is the largest.
    skew = np.stack(
        [m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1
    )
    by_w = np.concatenate([1 + trace[..., None], skew], -1)
    candidates = [by_w]
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        parts = [np.zeros_like(trace)] * 4
        parts[0] = skew[..., i]
        parts[1 + i] = 1 + 2 * diagonal[..., i] - trace
        parts[1 + j] = m[..., j, i] + m[..., i, j]
        parts[1 + k] = m[..., k, i] + m[..., i, k]
        candidates.append(np.stack(parts, -1))
    best = np.argmax(np.concatenate([trace[..., None], diagonal], -1), axis=-1)
    stacked = np.stack(candidates, axis=-2)  # (..., 4 candidates, 4)
    quat = np.take_along_axis(stacked, best[..., None, None], axis=-2)[..., 0, :]
    quat = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
    return np.where(quat[..., :1] < 0, -quat, quat)


def rotvec_to_rotmat(rotvec: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3) to rotation matrices (..., 3, 3)."""
    return quat_to_rotmat(rotvec_to_quat(rotvec))


def rotmat_to_rotvec(rotmat: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) to rotation vectors (..., 3) with angles from 0 to pi."""
    return quat_to_rotvec(rotmat_to_quat(rotmat))


def quat_multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product of quaternions (..., 4): the rotation `a` after the rotation `b`."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    parts = [
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ]
    return np.stack(parts, axis=-1)


def continuous_quats(quat_wxyz: np.ndarray) -> np.ndarray:
    """Flip signs along the first axis (T, ..., 4) so that neighbours never lie in opposite halves."""
    dots = np.einsum("t...c,t...c->t...", quat_wxyz[1:], quat_wxyz[:-1])
    flips = np.where(dots < 0, -1.0, 1.0)
    signs = (
        np.concatenate([np.ones_like(flips[:1]), np.cumprod(flips, axis=0)]) if len(flips) else None
    )
    return quat_wxyz.copy() if signs is None else quat_wxyz * signs[..., None]


def project_points(points_m: np.ndarray, camera_T_world: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Project world points into the picture.

    Args:
        points_m: (T, J, 3) world points, metres.
        camera_T_world: (T, 4, 4), world to OpenCV camera.
        K: (3, 3) intrinsics in pixels.

    Returns:
        (T, J, 2) pixels. Points behind the camera come out as NaN.
    """
    camera = (
        points_m @ np.swapaxes(camera_T_world[:, :3, :3], -1, -2) + camera_T_world[:, None, :3, 3]
    )
    depth = np.where(camera[..., 2:] > 1e-6, camera[..., 2:], np.nan)
    return np.asarray((camera / depth) @ K.T)[..., :2]


def transform_root(
    root_rotvec: np.ndarray, transl_m: np.ndarray, root_rest_m: np.ndarray, B_T_A: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bring a posed SMPL body from frame A to frame B.

    smplx turns a body about its rest root joint, not about the origin, so the translation changes too.

    Args:
        root_rotvec: (T, 3) global orientation in A.
        transl_m: (T, 3) smplx's `transl` in A, metres.
        root_rest_m: (3,) root joint at rest for the body's shape, metres.
        B_T_A: (4, 4) or (T, 4, 4), maps coordinates in A to coordinates in B.

    Returns:
        Global orientation (T, 3) and `transl` (T, 3) in B.
    """
    turn, shift = B_T_A[..., :3, :3], B_T_A[..., :3, 3]
    rotvec = rotmat_to_rotvec(turn @ rotvec_to_rotmat(root_rotvec))
    pelvis_a = transl_m + root_rest_m
    pelvis_b = np.einsum("...ij,...j->...i", turn, pelvis_a) + shift
    return rotvec, pelvis_b - root_rest_m
