"""Overlapping windows become one prediction per row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from extpose_blender.engine.lift.extpose.blend import (
    RowPredictions,
    blend_windows,
    nearest_rotmat,
    window_weights,
)
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat


@dataclass(frozen=True)
class Said:
    """What a network says of one window."""

    rotmat: np.ndarray
    camera: np.ndarray
    betas: np.ndarray


Window = tuple[np.ndarray, Said, np.ndarray]


def window(first: int, count: int, seed: int, joints: int = 24) -> Window:
    generator = np.random.default_rng(seed)
    said = Said(
        rotvec_to_rotmat(generator.normal(size=(count, joints, 3))).astype(np.float32),
        generator.normal(size=(count, 3)).astype(np.float32),
        generator.normal(size=10).astype(np.float32),
    )
    return np.arange(first, first + count), said, generator.random(count) > 0.2


def slow_twin(rows: int, windows: list[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Row by row, joint by joint: the rotation with the greatest weighted trace, by its SVD."""
    rotmat, camera = np.tile(np.eye(3), (rows, 24, 1, 1)), np.zeros((rows, 3))
    for row in range(rows):
        weights, turns, cameras = [], [], []
        for held, said, valid in windows:
            for i in np.flatnonzero((held == row) & valid):
                weights.append(min(i + 1, len(held) - i))
                turns.append(said.rotmat[i].astype(float))
                cameras.append(said.camera[i].astype(float))
        if not weights:
            continue
        camera[row] = np.average(cameras, axis=0, weights=weights)
        for joint in range(24):
            mean = sum(w * turn[joint] for w, turn in zip(weights, turns, strict=True))
            u, _, vt = np.linalg.svd(mean)
            rotmat[row, joint] = u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt
    return rotmat, camera


def test_it_equals_the_slow_twin() -> None:
    windows = [window(0, 16, 1), window(12, 16, 2), window(20, 16, 3), window(24, 16, 4)]
    blended = blend_windows(45, windows)
    rotmat, camera = slow_twin(45, windows)
    assert np.allclose(blended.rotmat, rotmat, atol=1e-6)
    assert np.allclose(blended.camera, camera, atol=1e-6)
    seen = np.zeros(45, bool)
    for rows, _, valid in windows:
        seen[rows[valid]] = True
    assert (blended.covered == seen).all()


def test_a_row_that_one_window_covers_keeps_its_bits() -> None:
    rows, said, valid = window(3, 7, 5)
    blended = blend_windows(12, [(rows, said, valid)])
    assert (blended.rotmat[rows[valid]] == said.rotmat[valid]).all()
    assert (blended.camera[rows[valid]] == said.camera[valid]).all()
    assert (blended.betas == said.betas).all()
    assert not blended.covered[:3].any() and not blended.covered[10:].any()


def test_the_order_of_the_windows_does_not_matter() -> None:
    windows = [window(0, 16, 1), window(8, 16, 2), window(12, 16, 3)]
    there, back = blend_windows(30, windows), blend_windows(30, windows[::-1])
    for one, other in zip(there, back, strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_windows_that_agree_are_left_alone() -> None:
    _, said, _ = window(0, 20, 7)
    valid = np.ones(12, bool)
    parts = [
        (np.arange(a, a + 12), Said(said.rotmat[a : a + 12], said.camera[a : a + 12], said.betas),
         valid)
        for a in (0, 4, 8)
    ]  # fmt: skip
    blended = blend_windows(20, parts)
    assert np.abs(blended.rotmat - said.rotmat).max() < 1e-6
    assert np.abs(blended.camera - said.camera).max() < 1e-6


@pytest.mark.parametrize("angle", [0.01, 1.0, 2.5, 3.1])
def test_two_rotations_meet_in_the_middle_of_the_shorter_way(angle: float) -> None:
    axis = np.array([0.6, 0.0, 0.8])
    valid = np.ones(1, bool)
    parts = [
        (np.array([0]), Said(rotvec_to_rotmat(np.tile(v * axis, (1, 24, 1))), np.zeros((1, 3)),
                             np.zeros(10)), valid)
        for v in (0.0, angle)
    ]  # fmt: skip
    half = rotmat_to_rotvec(blend_windows(1, parts).rotmat[0].astype(float))
    assert np.allclose(half, angle / 2 * axis, atol=1e-5)


def test_across_an_overlap_one_window_hands_over_to_the_other() -> None:
    about_x = np.zeros((16, 24, 3))
    valid = np.ones(16, bool)
    still = Said(rotvec_to_rotmat(about_x), np.zeros((16, 3)), np.zeros(10))
    about_x[..., 0] = 0.5
    other = Said(rotvec_to_rotmat(about_x), np.ones((16, 3)), np.zeros(10))
    blended = blend_windows(28, [(np.arange(16), still, valid), (np.arange(12, 28), other, valid)])
    angle = rotmat_to_rotvec(blended.rotmat.astype(float))[:, 0, 0]
    for values, end in ((angle, 0.5), (blended.camera[:, 0], 1.0)):
        assert np.allclose(values[:12], 0) and np.allclose(values[16:], end)
        assert (np.diff(values[11:17]) > 0.05 * end).all(), "no jump, no standstill"


def test_betas_count_by_the_rows_that_were_seen() -> None:
    rows, said, _ = window(0, 8, 1)
    other = Said(said.rotmat, said.camera, said.betas + 1)
    few = np.arange(8) < 2
    blended = blend_windows(16, [(rows, said, np.ones(8, bool)), (rows + 8, other, few)])
    assert np.allclose(blended.betas, said.betas + 0.2, atol=1e-6)


def test_windows_may_come_one_by_one_and_none_may_come() -> None:
    def stream() -> Iterator[Window]:
        for first in range(0, 4000, 12):
            yield window(first, 16, first)

    assert blend_windows(4100, stream()).covered.sum() > 3200
    nothing = blend_windows(5, [])
    assert not nothing.covered.any() and np.isfinite(nothing.rotmat).all()


def test_hands_blend_as_bodies_do() -> None:
    parts = [window(0, 4, 1, joints=16), window(2, 4, 2, joints=16)]
    assert blend_windows(6, parts, joints=16).rotmat.shape == (6, 16, 3, 3)


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16])
def test_weights_are_a_triangle(count: int) -> None:
    weights = window_weights(count)
    assert (weights == weights[::-1]).all()
    assert weights.min() > 0 and weights.max() == 1
    assert (np.diff(weights)[: (count - 1) // 2] > 0).all()


def test_the_nearest_rotation_is_one_even_to_a_mirror_image() -> None:
    rotmat = nearest_rotmat(np.stack([np.diag([1.0, 1.0, -0.3]), 5 * np.eye(3)]))
    assert np.allclose(rotmat @ np.swapaxes(rotmat, -1, -2), np.eye(3))
    assert np.allclose(np.linalg.det(rotmat), 1)


def test_predictions_are_checked() -> None:
    good = {
        "rotmat": np.tile(np.eye(3), (4, 24, 1, 1)), "camera": np.ones((4, 3)),
        "betas": np.zeros(10), "center_xy_px": np.zeros((4, 2)), "side_px": np.ones(4),
        "seen": np.ones(4, bool),
    }  # fmt: skip
    assert len(RowPredictions(**good)) == 4
    with pytest.raises(BadShape, match="camera"):
        RowPredictions(**{**good, "camera": np.ones((3, 3))})
    with pytest.raises(BadShape, match="not finite"):
        RowPredictions(**{**good, "betas": np.full(10, np.nan)})
