"""Draws keypoints and the bones between them."""

from __future__ import annotations

import cv2
import numpy as np

from ...protocol.arrays import check_shape
from ...protocol.skeletons import Skeleton

_SHIFT = 4
"""Binary digits behind the point in OpenCV's coordinates: lines move by sixteenths of a pixel."""

_REACH = 1 << 14
"""Points farther out than this many pixels are not drawn: OpenCV's coordinates would overflow."""


def draw_keypoints(
    image_rgb: np.ndarray,
    keypoints: np.ndarray,
    skeleton: Skeleton,
    color: tuple[int, int, int] = (255, 255, 255),
    min_score: float = 0.3,
    width_px: float | None = None,
) -> None:
    """Draw a skeleton into a picture, in place. Unsure points are drawn darker.

    Args:
        image_rgb: (H, W, 3) uint8, writable.
        keypoints: (K, 3) x and y in pixels, and a score.
        skeleton: Which points are joined.
        color: RGB.
        min_score: Points below it, and bones with such an end, are left out.
        width_px: Width of the bones; by the picture's height when left out.

    Raises:
        BadShape: The points do not fit the skeleton.
    """
    check_shape("image_rgb", image_rgb, (None, None, 3), kind="u")
    check_shape("keypoints", keypoints, (len(skeleton), 3))
    width = max(1, round(width_px if width_px is not None else image_rgb.shape[0] / 240))
    xy = keypoints[:, :2]
    score = np.clip(keypoints[:, 2], 0.0, 1.0)
    usable = (score >= min_score) & np.isfinite(xy).all(axis=1) & (np.abs(xy) < _REACH).all(axis=1)
    # OpenCV puts whole numbers in the middle of pixels, the keypoints' origin is the corner.
    fixed = np.where(usable[:, None], np.round((xy - 0.5) * (1 << _SHIFT)), 0).astype(int).tolist()
    for a, b in skeleton.pairs:
        if usable[a] and usable[b]:
            shade = _shaded(color, min(score[a], score[b]))
            cv2.line(image_rgb, fixed[a], fixed[b], shade, width, cv2.LINE_AA, _SHIFT)
    radius = int((width + 1) * (1 << _SHIFT))
    for point, sure, s in zip(fixed, usable, score, strict=True):
        if sure:
            cv2.circle(image_rgb, point, radius, _shaded(color, s), -1, cv2.LINE_AA, _SHIFT)


def _shaded(color: tuple[int, int, int], score: float) -> tuple[int, ...]:
    return tuple(round(c * (0.4 + 0.6 * float(score))) for c in color)
