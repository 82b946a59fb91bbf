"""Bones join the points they should, and nothing unsure is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from extpose_blender.engine.draw.skeleton import draw_keypoints
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.skeletons import COCO_17


def test_only_sure_bones_are_drawn() -> None:
    points = np.zeros((17, 3), np.float32)
    a, b, c = COCO_17.indices("left_shoulder", "left_elbow", "left_wrist")
    points[[a, b, c]] = [[20, 20, 1], [80, 20, 1], [80, 80, 0.1]]
    image = np.zeros((100, 100, 3), np.uint8)
    draw_keypoints(image, points, COCO_17, (10, 200, 30), width_px=2)
    np.testing.assert_array_equal(image[20, 50], [10, 200, 30])
    assert not image[40:, :].any() and not image[:15].any()


@pytest.mark.parametrize("where", [np.nan, np.inf, 1e12, -1e6])
def test_points_far_outside_do_no_harm(where: float) -> None:
    points = np.full((17, 3), [50, 50, 1.0])
    points[COCO_17.index["nose"], 0] = where
    draw_keypoints(np.zeros((100, 100, 3), np.uint8), points, COCO_17)


def test_wrong_number_of_points_is_refused() -> None:
    with pytest.raises(BadShape, match="keypoints"):
        draw_keypoints(np.zeros((9, 9, 3), np.uint8), np.zeros((33, 3)), COCO_17)
