"""The share of 2D keypoints that a prediction puts near enough to where they are (PCK).

Sources: shubham-goel/4D-Humans:hmr2/utils/pose_utils.py and pck_accuracy.py (bodies),
geopavlakos/hamer:hamer/utils/pose_utils.py (hands).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from extpose_blender.protocol.arrays import check_shape

BODY_THRESHOLDS = (0.05, 0.1)
"""Shares of the longer side of the person's tight box."""
HAND_THRESHOLDS = (0.05, 0.1, 0.15)
"""Shares of the longer side of the hand's tight box."""
LEAST_CONFIDENCE = 0.5
"""True keypoints count when they are surer than this."""


@dataclass(frozen=True)
class Pck:
    """How many keypoints lie near enough, at one threshold."""

    per_keypoint: np.ndarray
    """(K,) shares, 0 to 1; NaN for a keypoint that no picture knows."""

    @property
    def mean(self) -> float:
        """Mean over the keypoints that some picture knows; NaN where none is known."""
        known = self.per_keypoint[np.isfinite(self.per_keypoint)]
        return float(known.mean()) if len(known) else float("nan")


def body_pck(
    keypoints_crop: np.ndarray,
    true_keypoints_crop: np.ndarray,
    box_side_px: np.ndarray,
    tight_wh_px: np.ndarray,
    thresholds: tuple[float, ...] = BODY_THRESHOLDS,
) -> list[Pck]:
    """PCK of bodies: points strictly nearer than the threshold count.

    Args:
        keypoints_crop: (N, K, 2) predicted, crop units: pixel / 256 - 0.5.
        true_keypoints_crop: (N, K, 3) x, y in crop units, confidence.
        box_side_px: (N,) side of the square crop, source pixels.
        tight_wh_px: (N, 2) width and height of the person's own box, source pixels.
        thresholds: Shares of the longer side of the own box.

    Returns:
        One result per threshold.
    """
    _check(keypoints_crop, true_keypoints_crop)
    factor = (box_side_px / tight_wh_px.max(axis=-1))[:, None, None]
    errors = np.linalg.norm(
        factor * (keypoints_crop - true_keypoints_crop[..., :2]), axis=-1
    )  # shares of the own box
    counts = true_keypoints_crop[..., 2] > LEAST_CONFIDENCE
    return [_share(np.less, errors, counts, np.full(len(errors), limit)) for limit in thresholds]


def hand_pck(
    keypoints_px: np.ndarray,
    true_keypoints_px: np.ndarray,
    tight_side_px: np.ndarray,
    thresholds: tuple[float, ...] = HAND_THRESHOLDS,
) -> list[Pck]:
    """PCK of hands in whole pictures: points as near as the threshold count.

    Args:
        keypoints_px: (N, 21, 2) predicted, source pixels; see `hand_keypoints_px`.
        true_keypoints_px: (N, 21, 3) x, y in source pixels, confidence.
        tight_side_px: (N,) longer side of the hand's own box, source pixels.
        thresholds: Shares of it.

    Returns:
        One result per threshold.
    """
    _check(keypoints_px, true_keypoints_px)
    errors = np.linalg.norm(keypoints_px - true_keypoints_px[..., :2], axis=-1)
    counts = true_keypoints_px[..., 2] > LEAST_CONFIDENCE
    return [_share(np.less_equal, errors, counts, limit * tight_side_px) for limit in thresholds]


def hand_keypoints_px(
    keypoints_crop: np.ndarray,
    right: np.ndarray,
    box_center_px: np.ndarray,
    box_side_px: np.ndarray,
) -> np.ndarray:
    """Where predicted hands lie in the whole picture; left ones were seen mirrored.

    Args:
        keypoints_crop: (N, 21, 2) crop units, in the mirrored crop for left hands.
        right: (N,) 1 or true for right hands.
        box_center_px: (N, 2) centre of the box in the picture as it is.
        box_side_px: (N,) side of the square crop, source pixels.

    Returns:
        (N, 21, 2) source pixels.
    """
    points = np.array(keypoints_crop, float)
    points[..., 0] *= np.where(np.asarray(right) > 0, 1.0, -1.0)[:, None]
    return np.asarray(points * box_side_px[:, None, None] + box_center_px[:, None])


def body_kp_l2(keypoints_crop: np.ndarray, true_keypoints_crop: np.ndarray) -> np.ndarray:
    """(N,) mean squared distance, each point as heavy as its confidence, in crop units squared."""
    _check(keypoints_crop, true_keypoints_crop)
    squared = ((keypoints_crop - true_keypoints_crop[..., :2]) ** 2).sum(axis=-1)
    return np.asarray((true_keypoints_crop[..., 2] * squared).mean(axis=-1))


def _share(
    near: Callable[[np.ndarray, np.ndarray], np.ndarray],
    errors: np.ndarray,
    counts: np.ndarray,
    limit: np.ndarray,
) -> Pck:
    """Share of the points that count whose error is near enough, per keypoint."""
    hits = (near(errors, limit[:, None]) & counts).sum(axis=0)
    known = counts.sum(axis=0)
    return Pck(np.where(known > 0, hits / np.maximum(known, 1), np.nan))


def _check(points: np.ndarray, truth: np.ndarray) -> None:
    axes: dict[str, int] = {}
    check_shape("predicted keypoints", points, ("N", "K", 2), axes)
    check_shape("true keypoints", truth, ("N", "K", 3), axes)
