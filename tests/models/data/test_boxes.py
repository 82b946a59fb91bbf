"""Crops of many frames at once are those that a capture cuts one by one."""

from __future__ import annotations

import numpy as np
import torch

from extpose_blender.engine.lift.extpose import crop
from extpose_blender.engine.lift.extpose.person_crop import LEAST_SCORE, crop_person
from models.data import boxes


def _keypoints(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    xy = rng.uniform((100, 80), (1800, 900), (count, 1, 2)) + rng.normal(0, 80, (count, 33, 2))
    score = rng.uniform(0, 1, (count, 33, 1)) ** rng.choice([0.5, 4.0], (count, 1, 1))
    return np.concatenate([xy, score], -1).astype(np.float32)


def test_same_numbers_as_the_capture_has() -> None:
    assert boxes.CROP_SIZE == crop.CROP_SIZE
    assert boxes.SHOWN_WH == crop.ASPECT_WH
    assert crop.NETWORK_COLUMNS.start == boxes.FIRST_COLUMN
    assert boxes.MIN_SCORE == LEAST_SCORE


def test_same_boxes_and_points_as_the_capture_has() -> None:
    keypoints = _keypoints(60)
    keypoints[1, :, 2] = 0.1
    keypoints[2, :, :2] = 5.0
    keypoints[3, 4] = np.nan
    many = boxes.boxes_of_keypoints(torch.tensor(keypoints))
    points = boxes.skeleton_points(torch.tensor(keypoints), many)
    assert not many.valid[1:3].any()
    for i, person in enumerate(keypoints):
        one = crop_person(None, person, "mediapipe33")
        assert bool(many.valid[i]) == (one is not None)
        if one is not None:
            np.testing.assert_allclose(many.center_px[i], one.center_xy_px, atol=1e-3)
            np.testing.assert_allclose(many.side_px[i], one.side_px, rtol=1e-5)
            np.testing.assert_allclose(points[i], one.points, atol=2e-2)


def test_pixels_lie_where_the_crop_takes_them_from() -> None:
    box = boxes.CropBoxes(torch.tensor([310.3, 204.8]), torch.tensor(180.0), torch.tensor(True))
    image = np.zeros((480, 640, 3), np.uint8)
    image[..., 0] = np.clip(np.arange(640) - 200, 0, 255)
    image[..., 1] = np.clip(np.arange(480) - 100, 0, 255)[:, None]
    cut = crop.crop_picture(image, crop.CropBox((310.3, 204.8), 180.0), antialias=False)
    x, y = box.source_px((256, 192))
    # The pixel k of the picture covers k to k + 1, so its value stands at k + 0.5.
    np.testing.assert_allclose(x - 200.5, cut[0, :, 0], atol=0.6)
    np.testing.assert_allclose(y - 100.5, cut[:, 0, 1], atol=0.6)
