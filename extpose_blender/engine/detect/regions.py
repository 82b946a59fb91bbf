"""Square, turned regions of a picture: what a landmark network looks at.

A region is a row (x, y, size, angle): its middle in pixels, its side in pixels, and its turn in
radians, clockwise on screen. "Unit" coordinates run from 0 to 1 over the region, x right and y down
in its own axes.
Sources: mediapipe:calculators/util/alignment_points_to_rects_calculator.cc,
calculators/tensor/image_to_tensor_converter_opencv.cc and modules/hand_landmark/calculators/
hand_landmarks_to_rect_calculator.cc for the rules; the pixel rule is theirs (no half-pixel shift).
"""

from __future__ import annotations

import cv2
import numpy as np


def unit_to_image(region: np.ndarray) -> np.ndarray:
    """(2, 3) matrix sending unit coordinates of a region (4,) to pixels of the picture."""
    x, y, size, angle = (float(value) for value in region)
    c, s = size * np.cos(angle), size * np.sin(angle)
    return np.array([[c, -s, x - 0.5 * (c - s)], [s, c, y - 0.5 * (s + c)]])


def to_image(region: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Unit points (..., 2) of a region (4,) to pixels (..., 2)."""
    matrix = unit_to_image(region)
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def crop_region(image_rgb: np.ndarray, region: np.ndarray, side: int, border: int) -> np.ndarray:
    """Cut a region (4,) out as an upright (side, side, 3) uint8 picture.

    Args:
        image_rgb: (H, W, 3) uint8.
        region: The region, which may reach over the picture's edge.
        side: Side of the result, pixels.
        border: What lies beyond the edge: `cv2.BORDER_CONSTANT` (black) or `cv2.BORDER_REPLICATE`.
    """
    matrix = unit_to_image(region)
    matrix[:, :2] /= side
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(image_rgb, matrix, (side, side), flags=flags, borderMode=border)
    )


def region_from_axis(start: np.ndarray, end: np.ndarray, scale: float) -> np.ndarray:
    """The region (4,) around `start`, turned so that `end` lies straight above it.

    Args:
        start: (2,) pixels: middle of the region.
        end: (2,) pixels: a point on the circle around `start` that encloses the subject.
        scale: Side of the region over the circle's diameter.
    """
    dx, dy = (float(value) for value in np.asarray(end, float) - start)
    size = 2.0 * scale * float(np.hypot(dx, dy))
    return np.array([start[0], start[1], size, wrap_angle(np.arctan2(dx, -dy))], dtype=float)


def region_around(points: np.ndarray, angle: float, scale: float, shift_up: float) -> np.ndarray:
    """The square region (4,) with a turn that encloses points.

    Args:
        points: (N, 2) pixels.
        angle: Turn of the region, radians.
        scale: Side of the region over the longer side of the points' box.
        shift_up: How far the region moves up along its own axis, as a share of the box's height.
    """
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])  # region axes to picture axes
    own = points @ turn
    low, high = own.min(0), own.max(0)
    width, height = high - low
    middle = turn @ (0.5 * (low + high) - (0.0, shift_up * height))
    return np.array([middle[0], middle[1], scale * max(width, height), wrap_angle(angle)])


def wrap_angle(angle: float) -> float:
    """The same turn, from -pi to pi, radians."""
    return float(angle - 2 * np.pi * np.floor((angle + np.pi) / (2 * np.pi)))
