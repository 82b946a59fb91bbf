"""Puts left and right back where a detector swapped them for a while.

Detectors confuse sides in back views and crossed limbs, most often for a few frames. Each frame may
be kept, or have its arms, its legs or everything swapped; the cheapest sequence of choices is the
one in which the points move least, with a small price for every swapped frame, so that a clip is
never turned around as a whole.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....protocol.flow import Track
from ....protocol.skeletons import Skeleton
from .evidence import TYPICAL_HEIGHT_M

_LEG_WORDS = ("hip", "knee", "ankle", "heel", "foot")
_FACE_WORDS = ("eye", "ear", "mouth")
_SWAPPED_SECOND = 0.25
"""Price of a second of swapped frames, in shares of the person's size that all limb points move."""
_FAR = 0.5
"""Movements beyond this share of the person's size count no more: the point is simply wrong."""


_DEPTH_SHARE = 0.5
"""How much movement in the hinted depth counts beside movement in the picture."""


def swap_orders(points: Skeleton) -> np.ndarray:
    """(4, K) index lists: as detected, arms and head swapped, legs swapped, all swapped."""
    kept = np.arange(len(points))
    mirrored = np.array(points.mirror)
    legs = np.array([any(word in name for word in _LEG_WORDS) for name in points.joint_names])
    return np.stack(
        [kept, np.where(legs, kept, mirrored), np.where(legs, mirrored, kept), mirrored]
    )


def find_swaps(track: Track, size_px: np.ndarray) -> np.ndarray:
    """Choose an order of `swap_orders` for every row of a track: (T,) int.

    Args:
        track: The person.
        size_px: (T,) standing height in pixels.
    """
    points = track.points
    orders = swap_orders(points)
    limbs = np.array(
        [
            i
            for i, name in enumerate(points.joint_names)
            if points.mirror[i] != i and not any(word in name for word in _FACE_WORDS)
        ]
    )
    rows = np.flatnonzero(track.seen)
    choice = np.zeros(len(track), int)
    if len(rows) < 3:
        return choice
    xy = track.keypoints_2d[rows, :, :2] / size_px[rows, None, None]
    depth = track.hints_3d_m[rows, :, 2:3] / TYPICAL_HEIGHT_M * (track.hints_3d_m[rows, :, 3:] > 0)
    place = np.concatenate([xy, _DEPTH_SHARE * depth], -1)
    score = track.keypoints_2d[rows, :, 2]
    seen = place[:, orders]  # (T', 4, K, 3)
    weight = score[:, orders][..., limbs]
    now, before = seen[1:, None, :, limbs], seen[:-1, :, None, limbs]
    moved = np.minimum(np.linalg.norm(now - before, axis=-1), _FAR)  # (T'-1, 4 before, 4 now, L)
    both = np.minimum(weight[1:, None], weight[:-1, :, None])
    cost = (moved * both).sum(-1) / np.maximum(both.sum(-1), 1e-6)
    gap = np.minimum(np.diff(rows) / (0.2 * track.fps), 1.0)
    cost = cost * (1 - gap[:, None, None])  # Across a gap nothing is known about the way.
    choice[rows] = _cheapest_path(
        cost, _SWAPPED_SECOND / track.fps * np.array([0.0, 1.0, 1.0, 1.0])
    )
    return choice


def _cheapest_path(moves: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Viterbi: moves (T-1, S before, S now), price (S,) of being in a state; returns (T,)
    states.
    """
    total = price.copy()
    back = np.zeros(moves.shape[::2], int)
    for row, move in enumerate(moves):
        ways = total[:, None] + move
        back[row] = ways.argmin(0)
        total = ways.min(0) + price
    path = [int(total.argmin())]
    for row in back[::-1]:
        path.append(int(row[path[-1]]))
    return np.array(path[::-1])


def swap_sides(track: Track, choice: np.ndarray) -> Track:
    """The track with the rows' points in the chosen orders (T,)."""
    order = swap_orders(track.points)[choice][..., None]  # (T, K, 1)
    hands = np.where(
        np.isin(choice, (1, 3))[:, None, None, None], track.hands_2d[:, ::-1], track.hands_2d
    )
    return replace(
        track,
        keypoints_2d=np.take_along_axis(track.keypoints_2d, order, axis=1),
        hints_3d_m=np.take_along_axis(track.hints_3d_m, order, axis=1),
        hands_2d=hands,
    )
