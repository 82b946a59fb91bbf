"""The joint regressor: each joint as a weighted mean of a few vertices, good for all shapes."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from extpose_blender.protocol.skeletons import SMPLH_52

_REACH_M = {"trunk": 0.20, "limb": 0.11, "finger": 0.035}
"""Vertices this near to a joint may carry it: a ring around a limb, a belt around the trunk."""
_CANDIDATES = 260
_SUM_WEIGHT = 30.0
"""How strongly the weights of a joint are held to the sum 1, before they are scaled to it."""
_MEAN_WEIGHT = 12.0
"""How much more the mean body counts than one shape."""


def regress_joints(
    vertices_m: np.ndarray, joints_m: np.ndarray, mirror: np.ndarray, surface: np.ndarray
) -> np.ndarray:
    """Solve for non-negative, sparse weights whose rows sum to 1.

    Args:
        vertices_m: (N, V, 3) surfaces of many shapes in one pose.
        joints_m: (N, 52, 3) their joints.
        mirror: (V,) the mirror image of each vertex.
        surface: (V,) bool, vertices that may be used.

    Returns:
        (52, V) float64. Right rows mirror left ones; middle rows are symmetric.
    """
    mean_vertices, mean_joints = vertices_m.mean(0), joints_m.mean(0)
    regressor = np.zeros((len(SMPLH_52), vertices_m.shape[1]))
    for joint, name in enumerate(SMPLH_52.joint_names):
        if name.startswith("right_"):
            continue
        kind = _kind(name)
        distance = np.linalg.norm(mean_vertices - mean_joints[joint], axis=1)
        near = np.flatnonzero(surface & (distance < _REACH_M[kind]))
        near = near[_spread(mean_vertices[near], _CANDIDATES)]
        near = np.union1d(near, mirror[near]) if SMPLH_52.mirror[joint] == joint else near
        # Positions relative to the mean joint keep the system well scaled.
        shapes = vertices_m[:, near] - mean_joints[joint]  # (N, near, 3)
        rows = [
            np.swapaxes(shapes, 1, 2).reshape(-1, len(near)),
            _MEAN_WEIGHT * (mean_vertices[near] - mean_joints[joint]).T,
            np.full((1, len(near)), _SUM_WEIGHT),
        ]
        wanted = [
            (joints_m[:, joint] - mean_joints[joint]).reshape(-1),
            np.zeros(3),
            [_SUM_WEIGHT],
        ]
        weights = nnls(np.concatenate(rows), np.concatenate(wanted), maxiter=20 * len(near))[0]
        regressor[joint, near] = weights / weights.sum()
    for joint, other in enumerate(SMPLH_52.mirror):
        if other == joint:
            regressor[joint] = (regressor[joint] + regressor[joint][mirror]) / 2
        elif not regressor[joint].any():
            regressor[joint] = regressor[other][mirror]
    return regressor / regressor.sum(1, keepdims=True)


def _kind(name: str) -> str:
    if not name.startswith("left_") or name == "left_hip":
        return "trunk"
    return "finger" if name[-1] in "123" else "limb"


def _spread(points_m: np.ndarray, count: int) -> np.ndarray:
    """Indices of `count` points spread over all: each is the farthest from those before it."""
    chosen = [0]
    distance = np.linalg.norm(points_m - points_m[0], axis=1)
    while len(chosen) < min(count, len(points_m)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points_m - points_m[chosen[-1]], axis=1))
    return np.array(chosen)
