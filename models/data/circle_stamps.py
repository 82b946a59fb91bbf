"""Makes `circle_stamps.npz`: how OpenCV smooths the edge of a circle, at each place within a pixel.

    python -m models.data.circle_stamps

Skeleton images must look in training as they do in a capture, whose circles OpenCV draws; training
itself has no OpenCV.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("circle_stamps.npz")
SHIFT = 4
"""Binary digits behind the point in OpenCV's coordinates."""
SIDE = 13
"""Side of a stamp, pixels."""
RADIUS_PX = 4
"""Radius of a circle in a picture of 256 rows."""


def make_stamps() -> np.ndarray:
    """(16, 16, 13, 13) uint8: coverage, by sixteenths of a pixel in y, in x, then row and column."""
    import cv2

    steps = 1 << SHIFT
    stamps = np.zeros((steps, steps, SIDE, SIDE), np.uint8)
    for row in range(steps):
        for column in range(steps):
            middle = (SIDE // 2 * steps + column, SIDE // 2 * steps + row)
            cv2.circle(
                stamps[row, column], middle, RADIUS_PX * steps, (255,), -1, cv2.LINE_AA, SHIFT
            )
    return stamps


if __name__ == "__main__":
    np.savez_compressed(FILE, coverage=make_stamps())
