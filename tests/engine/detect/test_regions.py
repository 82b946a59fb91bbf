"""Turned crops and what is read from them."""

import cv2
import numpy as np
import pytest

from extpose_blender.engine.detect.person_finder import tile_views
from extpose_blender.engine.detect.pose_landmarks import refine_points
from extpose_blender.engine.detect.regions import (
    crop_region,
    region_around,
    region_from_axis,
    to_image,
    wrap_angle,
)


@pytest.mark.parametrize("angle", [0.0, 0.7, np.pi / 2, -2.4, 3.1])
def test_crop_holds_what_to_image_says(angle: float) -> None:
    x, y = np.meshgrid(np.arange(300), np.arange(200))
    image = np.stack([x * 0.8, y, np.zeros_like(x)], -1).astype(np.uint8)
    region = np.array([150.0, 100.0, 80.0, angle])
    crop = crop_region(image, region, 64, cv2.BORDER_CONSTANT).astype(float)
    rows, columns = np.meshgrid(np.arange(64), np.arange(64), indexing="ij")
    places = to_image(region, np.stack([columns, rows], -1) / 64)
    assert np.abs(crop[..., 0] - 0.8 * places[..., 0]).max() < 1.2
    assert np.abs(crop[..., 1] - places[..., 1]).max() < 1.2


@pytest.mark.parametrize("angle", np.linspace(-3.1, 3.1, 7))
def test_region_is_turned_so_that_its_axis_points_up(angle: float) -> None:
    start = np.array([40.0, 70.0])
    end = start + 30.0 * np.array([np.sin(angle), -np.cos(angle)])
    region = region_from_axis(start, end, 1.25)
    assert region[2] == pytest.approx(75.0)
    assert to_image(region, np.array([0.5, 0.5 - 30 / 75])) == pytest.approx(end)


@pytest.mark.parametrize("angle", [-2.0, 0.3, 1.5])
def test_region_around_points_turns_with_them(angle: float) -> None:
    points = np.random.default_rng(0).uniform(-10, 10, (12, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    upright = region_around(points, 0.0, 2.0, 0.1)
    turned = region_around(points @ turn.T, angle, 2.0, 0.1)
    assert turned[:2] == pytest.approx(turn @ upright[:2])
    assert turned[2] == pytest.approx(upright[2])


@pytest.mark.parametrize("angle", [-9.0, -np.pi, 0.0, 3.0, 20.0])
def test_wrapped_angle_is_the_same_turn(angle: float) -> None:
    wrapped = wrap_angle(angle)
    assert -np.pi <= wrapped <= np.pi
    assert np.exp(1j * wrapped) == pytest.approx(np.exp(1j * angle))


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (641, 479), (50, 50)])
def test_tiles_cover_every_pixel(size: tuple[int, int]) -> None:
    width, height = size
    seen = np.zeros((height, width), bool)
    for x, y, side, _ in tile_views(width, height, 2 / 3 * min(size)):
        seen[
            max(int(np.ceil(y - side / 2)), 0) : int(y + side / 2) + 1,
            max(int(np.ceil(x - side / 2)), 0) : int(x + side / 2) + 1,
        ] = True
    assert seen.all()


def refine_points_plainly(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """The calculator's loops, one point and one cell at a time."""
    height, width, _ = heatmap.shape
    refined = points.copy()
    for k, (x, y) in enumerate(points):
        column, row = int(x * width), int(y * height)
        if column < 0 or column >= width or row < 0 or row >= height:
            continue
        total = sum_x = sum_y = hottest = 0.0
        for r in range(max(0, row - 3), min(height, row + 4)):
            for c in range(max(0, column - 3), min(width, column + 4)):
                heat = 1 / (1 + np.exp(-heatmap[r, c, k]))
                total, sum_x, sum_y = total + heat, sum_x + heat * c, sum_y + heat * r
                hottest = max(hottest, heat)
        if hottest >= 0.5:
            refined[k] = sum_x / width / total, sum_y / height / total
    return refined


def test_refinement_equals_its_plain_twin() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(0.0, 1.0, (39, 2))
    points[:4] = [[0.001, 0.5], [0.999, 0.999], [1.2, 0.4], [-0.2, 0.3]]
    heatmap = rng.normal(-3.0, 1.8, (64, 64, 39))
    assert refine_points(points, heatmap) == pytest.approx(refine_points_plainly(points, heatmap))
