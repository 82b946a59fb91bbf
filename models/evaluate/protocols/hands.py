"""Hands in pictures as FreiHAND and HO3D count them: joints and vertices, aligned apart.

Sources: lmb-freiburg/freihand:eval.py and utils/eval_util.py; shreyashampali/ho3d:eval.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from extpose_blender.protocol.arrays import check_shape

LONGEST_M = 0.05
"""Errors up to here count in the area under the curve, metres."""
STEPS = 100
"""Points of the curve."""
F_THRESHOLDS_M = (0.005, 0.015)
"""Distances of the two F-scores, metres."""
HO3D_ORDER = (0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3, 4, 8, 12, 16, 20)
"""For each joint of HO3D its place in OpenPose's 21: wrist, knuckles by finger, then the tips."""
_NEVER_ZERO = 1e-8
"""Added where the public evaluator adds it, before a division."""


@dataclass(frozen=True)
class HandScores:
    """Means over N pictures after alignment; lengths in millimetres, shares 0 to 1."""

    pa_mpjpe_mm: float
    """Mean distance of the joints."""
    auc_joints: float
    """Area under the curve of joints within 0 to 50 mm."""
    pa_mpvpe_mm: float
    """Mean distance of the vertices, aligned by themselves."""
    auc_vertices: float
    """Area under the curve of vertices within 0 to 50 mm."""
    f_at_5mm: float
    """Harmonic mean of the shares of either surface that lie within 5 mm of the other."""
    f_at_15mm: float
    """The same at 15 mm."""


def align_or_mirror(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Lay each point set on the truth by scale, orthogonal map and shift; it may be mirrored.

    Unlike `engine.metrics.procrustes_align`: this is what the hand sets' own scripts do.

    Args:
        points: (N, K, 3).
        truth: (N, K, 3).

    Returns:
        (N, K, 3) aligned points.
    """
    _check(points, truth)
    middle, true_middle = (array.mean(axis=1, keepdims=True) for array in (points, truth))
    a, _ = _unit(points - middle)
    b, true_size = _unit(truth - true_middle)
    u, s, vt = np.linalg.svd(np.swapaxes(b, 1, 2) @ a)
    turned = a @ np.swapaxes(u @ vt, 1, 2)
    return np.asarray(turned * (s.sum(axis=1)[:, None, None] * true_size) + true_middle)


def area_under_curve(errors: np.ndarray, longest: float = LONGEST_M, steps: int = STEPS) -> float:
    """Area under the curve of the share of errors within a threshold, of 1.

    Args:
        errors: (N, K) distances; each of the K points has its own curve.
        longest: The last threshold; the first is 0.
        steps: How many thresholds.
    """
    curve = np.array([(errors <= limit).mean() for limit in np.linspace(0, longest, steps)])
    return float((curve[1:] + curve[:-1]).mean() / 2)


def f_score(vertices: np.ndarray, true_vertices: np.ndarray, within: float) -> float:
    """Harmonic mean of the shares of two point sets (V, 3) and (W, 3) that lie within a distance.

    A point on the threshold is outside. 0 where nothing is near.
    """
    return _f_scores(vertices, true_vertices, (within,))[0]


def hand_scores(
    joints_m: np.ndarray,
    true_joints_m: np.ndarray,
    vertices_m: np.ndarray,
    true_vertices_m: np.ndarray,
) -> HandScores:
    """Score predicted hands.

    Args:
        joints_m: (N, 21, 3) predicted, metres, anywhere.
        true_joints_m: (N, 21, 3) in the same order.
        vertices_m: (N, 778, 3) predicted.
        true_vertices_m: (N, 778, 3).

    Raises:
        BadShape: The arrays do not fit each other.
    """
    joints = align_or_mirror(joints_m.astype(float), true_joints_m.astype(float))
    vertices = align_or_mirror(vertices_m.astype(float), true_vertices_m.astype(float))
    off = np.linalg.norm(joints - true_joints_m, axis=-1)
    vertices_off = np.linalg.norm(vertices - true_vertices_m, axis=-1)
    scores = np.array(
        [
            _f_scores(one, truth, F_THRESHOLDS_M)
            for one, truth in zip(vertices, true_vertices_m, strict=True)
        ]
    ).mean(axis=0)
    return HandScores(
        pa_mpjpe_mm=1000 * float(off.mean()),
        auc_joints=area_under_curve(off),
        pa_mpvpe_mm=1000 * float(vertices_off.mean()),
        auc_vertices=area_under_curve(vertices_off),
        f_at_5mm=float(scores[0]),
        f_at_15mm=float(scores[1]),
    )


def _f_scores(
    vertices: np.ndarray, true_vertices: np.ndarray, thresholds: Sequence[float]
) -> list[float]:
    from scipy.spatial import cKDTree

    to_truth, _ = cKDTree(true_vertices).query(vertices)
    to_points, _ = cKDTree(vertices).query(true_vertices)
    scores = []
    for limit in thresholds:
        recall, precision = float((to_truth < limit).mean()), float((to_points < limit).mean())
        both = recall + precision
        scores.append(2 * recall * precision / both if both > 0 else 0.0)
    return scores


def _unit(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centred point sets at size 1, and their sizes (N, 1, 1)."""
    size = np.linalg.norm(centred, axis=(1, 2), keepdims=True) + _NEVER_ZERO
    return centred / size, size


def _check(points: np.ndarray, truth: np.ndarray) -> None:
    axes: dict[str, int] = {}
    check_shape("predicted points", points, ("N", "K", 3), axes)
    check_shape("true points", truth, ("N", "K", 3), axes)
