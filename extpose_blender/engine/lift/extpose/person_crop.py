"""One person's crop and points, as every user of the network must make them."""

from __future__ import annotations

import numpy as np

from ...draw.skeleton_image import body_points
from ..base import Crop
from .crop import NETWORK_COLUMNS, box_of_keypoints, crop_picture, keypoints_in_crop

LEAST_SCORE = 0.3
"""Points below it do not count for a crop's box, nor are they drawn."""


def crop_person(image_rgb: np.ndarray | None, keypoints: np.ndarray, skeleton: str) -> Crop | None:
    """Cut a person out and bring the points into the crop.

    Args:
        image_rgb: (H, W, 3) uint8; without it the crop has no picture.
        keypoints: (K, 3) x, y in source pixels, score.
        skeleton: Name of their skeleton.

    Returns:
        A crop of 256×192 with OpenPose's 18 points, or `None` when too few points are sure.
    """
    box = box_of_keypoints(keypoints, LEAST_SCORE)
    if box is None:
        return None
    points = keypoints_in_crop(body_points(keypoints, skeleton), box).astype(np.float32)
    points[:, 0] -= NETWORK_COLUMNS.start
    picture = None if image_rgb is None else crop_picture(image_rgb, box)
    return Crop(box.center_xy_px, box.side_px, points, picture)
