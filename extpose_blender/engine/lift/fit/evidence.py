"""What the detector saw, made ready for the solver: weights, sizes, and 3D hints turned into the
camera.

A detector looks at a crop around the person, so its 3D hints have the axes of a camera that looks
straight at the person. They are turned here by the angle between that line of sight and the optical
axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ....protocol.flow import Intrinsics, Track
from ....protocol.skeletons import Skeleton
from .rotation import shortest_turn

TYPICAL_HEIGHT_M = 1.7
"""What a detector takes a person's height to be, metres."""

_FLOOR = 1e-3
"""Least weight of a point that has a score: it only decides where nothing else does."""
_OUTSIDE = 0.15
"""How much of its weight a point keeps outside the picture, where a detector can but guess."""


@dataclass(frozen=True)
class Evidence:
    """The observations of T frames."""

    xy_px: torch.Tensor
    """(T, K, 2) keypoints, pixels from the principal point."""
    weight: torch.Tensor
    """(T, K) how much each keypoint counts, 0 to 1."""
    size_px: torch.Tensor
    """(T,) the person's standing height in pixels, whatever the pose."""
    sight: torch.Tensor
    """(T, 3, 3) turns the axes of a camera that looks at the person into the camera's."""
    hints_m: torch.Tensor
    """(T, K, 3) the detector's 3D points, axes of the line of sight, metres, origin between the
    hips."""
    hint_weight: torch.Tensor
    """(T, K) how much each hint counts, 0 to 1."""
    seen: torch.Tensor
    """(T,) bool: the row has any observation."""

    def __len__(self) -> int:
        return len(self.seen)

    def __getitem__(self, rows: slice | torch.Tensor) -> Evidence:
        return Evidence(
            self.xy_px[rows], self.weight[rows], self.size_px[rows], self.sight[rows],
            self.hints_m[rows], self.hint_weight[rows], self.seen[rows],
        )  # fmt: skip


def gather_evidence(
    track: Track, intrinsics: Intrinsics, device: str, dtype: torch.dtype = torch.float32
) -> Evidence:
    """Weigh a track's keypoints and turn its hints into the camera."""
    like: dict[str, Any] = {"dtype": dtype, "device": device}
    score = np.clip(track.keypoints_2d[..., 2], 0.0, 1.0)
    xy = track.keypoints_2d[..., :2]
    picture = np.array([intrinsics.width, intrinsics.height])
    outside = ((xy < 0) | (xy > picture)).any(-1)
    weight = np.where(score > 0, np.maximum(score**3, _FLOOR), 0.0)
    weight = np.where(outside, weight * _OUTSIDE, weight)
    hints = track.hints_3d_m[..., :3]
    hint_score = np.clip(track.hints_3d_m[..., 3], 0.0, 1.0)
    hint_weight = np.where(hint_score > 0, np.maximum(hint_score**2, 0.01), 0.0)
    seen = (weight > 0).any(-1)
    size = person_size_px(xy, weight, hints, hint_weight, seen)
    centred = xy - picture / 2
    return Evidence(
        torch.tensor(centred, **like),
        torch.tensor(weight, **like),
        torch.tensor(size, **like),
        line_of_sight(_middle_of_hips(centred, weight, track.points), intrinsics.focal_px, seen).to(
            **like
        ),
        torch.tensor(hints, **like),
        torch.tensor(hint_weight * (weight > 0), **like),
        torch.tensor(seen, device=device),
    )


def _middle_of_hips(centred: np.ndarray, weight: np.ndarray, points: Skeleton) -> np.ndarray:
    """(T, 2) middle of the hips, around which detectors lay their crop; of all points without
    hips.
    """
    hips = points.indices("left_hip", "right_hip")
    chosen = np.where(
        (weight[:, hips] > 0).all(-1, keepdims=True), np.isin(np.arange(len(points)), hips), weight
    )
    return np.asarray(
        (centred * chosen[..., None]).sum(1) / np.maximum(chosen.sum(-1, keepdims=True), 1e-9)
    )


def line_of_sight(middle: np.ndarray, focal_px: float, seen: np.ndarray) -> torch.Tensor:
    """(T, 3, 3) turns from the optical axis to the person's middle (T, 2); rows without one
    filled.
    """
    middle = fill_rows(middle, seen)
    ray = np.concatenate([middle, np.full((len(middle), 1), focal_px)], -1)
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    return shortest_turn(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), torch.tensor(ray))


def person_size_px(
    xy: np.ndarray, weight: np.ndarray, hints: np.ndarray, hint_weight: np.ndarray, seen: np.ndarray
) -> np.ndarray:
    """Standing height in pixels of every row, (T,).

    Where there are hints, pixels per metre come from laying the hints over the keypoints; elsewhere
    from the spread of the keypoints. Lone outliers are held to their neighbours by a running
    median.
    """
    if not seen.any():
        return np.ones(len(seen))
    both = weight * hint_weight
    total = np.maximum(both.sum(-1), 1e-9)[:, None, None]
    flat = hints[..., :2] - (hints[..., :2] * both[..., None]).sum(1, keepdims=True) / total
    spread = xy - (xy * both[..., None]).sum(1, keepdims=True) / total
    # Lengths of both, not their product: wrong in-plane directions must not shrink the person.
    energy = (flat**2 * both[..., None]).sum((1, 2))
    by_hints = TYPICAL_HEIGHT_M * np.sqrt(
        (spread**2 * both[..., None]).sum((1, 2)) / np.maximum(energy, 1e-9)
    )
    by_box = _box_size(xy, weight)
    usable = energy > 1e-4
    size = fill_rows(np.where(usable, by_hints, by_box)[:, None], seen)[:, 0]
    return np.maximum(running_median(size, 5), 1.0)


def _box_size(xy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = np.maximum(weight.sum(-1, keepdims=True), 1e-9)
    middle = (xy * weight[..., None]).sum(1) / total
    deviation = np.sqrt((((xy - middle[:, None]) ** 2).sum(-1) * weight).sum(-1) / total[:, 0])
    return np.asarray(3.5 * deviation)


def fill_rows(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Rows (T, C) that are not known, from their neighbours in time, straight between them."""
    if known.all() or not known.any():
        return values
    rows = np.arange(len(values))
    columns = [np.interp(rows, rows[known], column[known]) for column in values.T]
    return np.stack(columns, -1)


def running_median(values: np.ndarray, length: int) -> np.ndarray:
    """Median over `length` rows around each row of (T,), shorter windows at the ends."""
    half = length // 2
    padded = np.pad(values, half, constant_values=np.nan)
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, length), axis=-1)
