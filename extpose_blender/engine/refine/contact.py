"""Which part of a foot rests on the ground, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...protocol.arrays import check_shape
from ...protocol.skeletons import FOOT_POINTS
from .smoothing import whittaker


@dataclass(frozen=True)
class ContactOptions:
    """Thresholds of contact: a point must come within the first values and keep within the
    second.
    """

    land_height_m: float = 0.05
    """A point no higher than this above the ground may begin a contact."""
    leave_height_m: float = 0.08
    """A point higher than this ends it."""
    land_speed_m_s: float = 0.35
    """A point no faster than this may begin a contact."""
    leave_speed_m_s: float = 0.70
    """A point faster than this ends it."""
    tilt_weight: float = 1.7
    """A heel counts as this many times as high as it is above its own toe, and the other way round:
    a
    raised heel is seen better against the toe than against the ground."""
    shortest_s: float = 0.10
    """Contacts shorter than this are dropped, gaps shorter than half of it closed."""
    calm_hz: float = 3.0
    """Cutoff of the smoothing of positions before heights and speeds are taken."""


def find_contacts(
    feet_m: np.ndarray, fps: float, options: ContactOptions | None = None
) -> np.ndarray:
    """Mark the frames in which each part of a foot rests on the ground.

    A contact is a run of frames that are all low and slow by the leaving thresholds and hold at
    least one frame that is so by the landing thresholds: hysteresis that is the same forwards and
    backwards.

    Args:
        feet_m: Heel and toe positions in the world (Z up, ground at 0), metres, (T, 4, 3): left
            heel, left toe, right heel, right toe.
        fps: Frames per second of `feet_m`; speeds are compared in metres per second.
        options: Thresholds.

    Returns:
        Boolean (T, 4), in the order of `feet_m`.

    Raises:
        BadShape: `feet_m` is not (T, 4, 3).
    """
    check_shape("feet_m", feet_m, ("T", len(FOOT_POINTS), 3))
    wanted = options or ContactOptions()
    calm = calmed(feet_m, fps, wanted.calm_hz)
    return contacts_from(calm[..., 2], point_speeds(calm, fps), fps, wanted)


def contacts_from(
    height_m: np.ndarray, speed_m_s: np.ndarray, fps: float, options: ContactOptions
) -> np.ndarray:
    """Contacts (T, 4) of points whose heights and speeds (T, 4) are known; see `find_contacts`."""
    pairs = height_m.reshape(len(height_m), 2, 2)
    tilt = (pairs - pairs.min(axis=2, keepdims=True)).reshape(height_m.shape)
    height_m = np.maximum(height_m, options.tilt_weight * tilt)
    may_stay = (height_m <= options.leave_height_m) & (speed_m_s <= options.leave_speed_m_s)
    may_begin = (height_m <= options.land_height_m) & (speed_m_s <= options.land_speed_m_s)
    shortest = min(max(1, round(options.shortest_s * fps)), len(height_m))
    columns = [
        _hysteresis(may_stay[:, i], may_begin[:, i], shortest) for i in range(height_m.shape[1])
    ]
    return np.stack(columns, axis=1)


def calmed(points_m: np.ndarray, fps: float, calm_hz: float) -> np.ndarray:
    """Paths (T, N, 3) without what is faster than a cutoff in hertz."""
    count = len(points_m)
    flat = points_m.reshape(count, -1).astype(float)
    return whittaker(flat, np.ones(count), np.array(calm_hz), fps).reshape(points_m.shape)


def point_speeds(points_m: np.ndarray, fps: float) -> np.ndarray:
    """Speeds (T, N) in metres per second of points (T, N, 3), by central differences."""
    if len(points_m) < 2:
        return np.zeros(points_m.shape[:2])
    return np.asarray(np.linalg.norm(np.gradient(points_m, axis=0), axis=-1) * fps)


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First row and row after the last of every run of true values in (T,)."""
    edges = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    return list(
        zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True)
    )


def _hysteresis(may_stay: np.ndarray, may_begin: np.ndarray, shortest: int) -> np.ndarray:
    kept = np.zeros_like(may_stay)
    for first, end in runs(may_stay):
        kept[first:end] = bool(may_begin[first:end].any())
    for first, end in runs(~kept):
        inside = first > 0 and end < len(kept)
        if inside and end - first <= shortest // 2:
            kept[first:end] = True
    for first, end in runs(kept):
        kept[first:end] = end - first >= shortest
    return kept
