"""How far estimated joints lie from true ones: the field's usual measures, in numpy.

Joints are (T, J, 3) in any one unit; results keep that unit. Frames stand for themselves: a mean over
frames is the caller's. Sources: shubham-goel/4D-Humans:hmr2/utils/pose_utils.py (Procrustes, no reflection),
yohanshin/WHAM:lib/eval/eval_utils.py (acceleration).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..protocol.arrays import check_shape


def mpjpe(
    joints: np.ndarray, true_joints: np.ndarray, root: Sequence[int] | None = None
) -> np.ndarray:
    """Mean distance per frame after the roots are laid on each other.

    Args:
        joints: (T, J, 3).
        true_joints: (T, J, 3).
        root: Joints whose mean is the root; `None` leaves both where they are.

    Returns:
        (T,) in the unit of the joints.
    """
    _check(joints, true_joints)
    if root is not None:
        joints = joints - joints[:, list(root)].mean(axis=1, keepdims=True)
        true_joints = true_joints - true_joints[:, list(root)].mean(axis=1, keepdims=True)
    return np.asarray(np.linalg.norm(joints - true_joints, axis=-1).mean(axis=-1))


def procrustes_align(joints: np.ndarray, true_joints: np.ndarray) -> np.ndarray:
    """Lay each frame on the truth by the best similarity: scale, rotation without reflection, shift.

    Args:
        joints: (T, J, 3).
        true_joints: (T, J, 3).

    Returns:
        (T, J, 3) aligned joints.

    Source: Umeyama 1991, per sample, unweighted.
    """
    _check(joints, true_joints)
    middle, true_middle = (
        joints.mean(axis=1, keepdims=True),
        true_joints.mean(axis=1, keepdims=True),
    )
    a, b = joints - middle, true_joints - true_middle
    u, s, vt = np.linalg.svd(np.swapaxes(a, 1, 2) @ b)
    sign = np.sign(np.linalg.det(u @ vt))
    s[:, 2] *= sign
    vt[:, 2] *= sign[:, None]
    turn = np.swapaxes(u @ vt, 1, 2)  # (T, 3, 3): truth_R_estimate
    variance = (a**2).sum(axis=(1, 2))
    scale = s.sum(axis=1) / np.where(variance > 0, variance, 1.0)
    return np.asarray(scale[:, None, None] * a @ np.swapaxes(turn, 1, 2) + true_middle)


def pa_mpjpe(joints: np.ndarray, true_joints: np.ndarray) -> np.ndarray:
    """Mean distance per frame after a similarity alignment: (T,)."""
    return mpjpe(procrustes_align(joints, true_joints), true_joints)


def acceleration_error(joints: np.ndarray, true_joints: np.ndarray) -> np.ndarray:
    """Mean distance of second differences: (T - 2,), in units per frame²; times fps² gives per second²."""
    _check(joints, true_joints)
    second = np.diff(joints, n=2, axis=0) - np.diff(true_joints, n=2, axis=0)
    return np.asarray(np.linalg.norm(second, axis=-1).mean(axis=-1))


def _check(joints: np.ndarray, true_joints: np.ndarray) -> None:
    axes: dict[str, int] = {}
    check_shape("joints", joints, ("T", "J", 3), axes)
    check_shape("true_joints", true_joints, ("T", "J", 3), axes)
