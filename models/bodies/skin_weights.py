"""Skinning weights for 52 joints from MakeHuman's weights for 104 bones.

Limbs, neck and head take the sum of the bones they replace. The trunk, which the layouts divide
differently, is divided anew along the spine. Then the weights are smoothed over the surface, so
that nothing tears.
"""

from __future__ import annotations

import numpy as np
from anatomy import BONE_OWNER, JOINTS
from scipy.sparse import csr_matrix

MOST_JOINTS = 6
"""No vertex follows more joints than this."""

_TRUNK = ("pelvis", "spine1", "spine2", "spine3")
_TRUNK_BLEND = {"spine1": 0.13, "spine2": 0.11, "spine3": 0.11}
"""Half the height over which a segment takes over from the one below, as a share of the trunk."""


def merge_weights(
    bone_weights: np.ndarray, bone_indices: np.ndarray, bone_names: list[str]
) -> np.ndarray:
    """Sum the weights of the bones that each SMPL-H joint takes over.

    Args:
        bone_weights: (V, W).
        bone_indices: (V, W).
        bone_names: Names of the bones.

    Returns:
        (V, 52), rows sum to 1.
    """
    owner = np.array([JOINTS[BONE_OWNER[name]] for name in bone_names])
    merged = np.zeros((len(bone_weights), len(JOINTS)))
    np.add.at(merged, (np.arange(len(merged))[:, None], owner[bone_indices]), bone_weights)
    return merged / merged.sum(1, keepdims=True)


def divide_trunk(weights: np.ndarray, vertices_m: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
    """Divide what pelvis and spine share along the height of the trunk.

    Args:
        weights: (V, 52).
        vertices_m: (V, 3), the mean body as it stands.
        joints_m: (52, 3), its joints.
    """
    columns = [JOINTS[name] for name in _TRUNK]
    shared = weights[:, columns].sum(1)
    hips = (joints_m[JOINTS["left_hip"], 1] + joints_m[JOINTS["right_hip"], 1]) / 2
    height = (vertices_m[:, 1] - hips) / (joints_m[JOINTS["neck"], 1] - hips)
    above = [np.ones(len(height))]
    for name in _TRUNK[1:]:
        at = (joints_m[JOINTS[name], 1] - hips) / (joints_m[JOINTS["neck"], 1] - hips)
        above.append(_step(height, at, _TRUNK_BLEND[name]))
    above.append(np.zeros(len(height)))
    divided = weights.copy()
    for column, lower, upper in zip(columns, above[:-1], above[1:], strict=True):
        divided[:, column] = shared * np.clip(lower - upper, 0.0, None)
    return divided / divided.sum(1, keepdims=True)


def smooth_weights(
    weights: np.ndarray, faces: np.ndarray, rounds: int, strength: np.ndarray | float = 0.5
) -> np.ndarray:
    """Average each vertex' weights with its neighbours', `rounds` times (V, J)."""
    neighbours = _neighbour_mean(faces, len(weights))
    amount = np.broadcast_to(np.asarray(strength, float), (len(weights),))[:, None]
    for _ in range(rounds):
        weights = (1 - amount) * weights + amount * (neighbours @ weights)
    return weights


def keep_strongest(weights: np.ndarray, most: int = MOST_JOINTS) -> np.ndarray:
    """Keep the strongest `most` weights of each vertex, fading out instead of cutting off.

    The strongest weight that falls away is taken from all, so no weight jumps between neighbours.
    """
    order = np.sort(weights, axis=1)[:, ::-1]
    cut = np.maximum(order[:, most : most + 1], 1e-3)
    kept = np.clip(weights - cut, 0.0, None)
    return np.asarray(kept / kept.sum(1, keepdims=True))


def _neighbour_mean(faces: np.ndarray, vertex_count: int) -> csr_matrix:
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
    links = csr_matrix(
        (np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(vertex_count, vertex_count)
    )
    count = np.asarray(links.sum(1)).ravel()
    return csr_matrix(links.multiply(1.0 / count[:, None]))


def _step(x: np.ndarray, middle: float, half_width: float) -> np.ndarray:
    """A smooth step from 0 to 1."""
    t = np.clip((x - middle) / (2 * half_width) + 0.5, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))
