"""Skeleton images drawn in batches are those that a capture draws."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from extpose_blender.engine.draw.skeleton_image import draw_skeleton_images
from extpose_blender.protocol.errors import BadShape
from models.data.circle_stamps import FILE, make_stamps
from models.data.skeleton_pictures import draw_skeletons


def _points(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middle = rng.uniform((40, 50), (150, 200), (count, 1, 2))
    xy = middle + rng.normal(0, 1, (count, 18, 2)) * rng.uniform(5, 90, (count, 1, 1))
    score = rng.choice([0.1, 0.35, 0.6, 0.9, 1.0, 1.2], (count, 18, 1))
    return np.concatenate([xy, score], -1).astype(np.float32)


def test_looks_as_in_a_capture() -> None:
    points = _points(0, 40)
    points[3, 5] = np.nan
    points[4, 2, :2] = 1e6
    points[5, 3] = points[5, 2]
    wanted = draw_skeleton_images(points).astype(int)
    drawn = draw_skeletons(torch.tensor(points)).permute(0, 2, 3, 1).numpy().astype(int)
    off = np.abs(drawn - wanted)
    assert off.mean() < 0.02
    assert (off > 3).mean() < 5e-4  # A bone's edge may fall on the next pixel.


def test_shrunk_as_in_a_capture() -> None:
    points = _points(1, 10)
    large = draw_skeleton_images(points)
    wanted = np.stack([cv2.resize(one, (96, 128), interpolation=cv2.INTER_AREA) for one in large])
    drawn = draw_skeletons(torch.tensor(points), (128, 96)).permute(0, 2, 3, 1).numpy()
    off = np.abs(drawn.astype(int) - wanted.astype(int))
    assert off.mean() < 0.02
    assert np.percentile(off, 99.9) <= 2


def test_stamps_are_opencvs() -> None:
    with np.load(FILE, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["coverage"], make_stamps())


def test_refuses_other_sizes() -> None:
    with pytest.raises(BadShape, match="whole number"):
        draw_skeletons(torch.zeros(1, 18, 3), (100, 75))
    with pytest.raises(BadShape, match="18"):
        draw_skeletons(torch.zeros(1, 17, 3))
