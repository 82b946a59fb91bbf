"""The measures agree with the public evaluators' numbers and with closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from extpose_blender.engine.metrics import acceleration_error, mpjpe, pa_mpjpe, procrustes_align
from extpose_blender.protocol.geometry import rotvec_to_rotmat

Fixture = Callable[[str], np.lib.npyio.NpzFile]


@pytest.fixture
def joints() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(7, 12, 3))


def test_similarity_is_undone(joints: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    turn = rotvec_to_rotmat(rng.normal(size=(7, 3)))
    moved = 0.3 * joints @ np.swapaxes(turn, 1, 2) + rng.normal(size=(7, 1, 3))
    assert pa_mpjpe(moved, joints) == pytest.approx(0, abs=1e-9)


def test_a_mirrored_body_is_not_turned_into_its_image(joints: np.ndarray) -> None:
    assert (pa_mpjpe(joints * [-1, 1, 1], joints) > 0.1).all()


def test_alignment_cannot_be_bettered_by_a_small_change(joints: np.ndarray) -> None:
    true = joints + np.random.default_rng(2).normal(scale=0.1, size=joints.shape)
    aligned = procrustes_align(joints, true)
    best = ((aligned - true) ** 2).sum(axis=(1, 2))
    for scale, step in ((1.01, 0), (0.99, 0), (1, 0.01), (1, -0.01)):
        other = aligned * scale + step
        assert (((other - true) ** 2).sum(axis=(1, 2)) >= best).all()


def test_hip_aligned_error_ignores_where_the_body_is(joints: np.ndarray) -> None:
    assert mpjpe(joints + 5.0, joints, root=[2, 3]) == pytest.approx(0)
    assert mpjpe(joints + np.array([3, 0, 4]), joints) == pytest.approx(5)


def test_constant_acceleration_is_measured_exactly() -> None:
    rows = np.arange(10.0)
    moving = np.zeros((10, 2, 3))
    moving[:, :, 0] = (0.5 * 0.2 * rows**2)[:, None]
    assert acceleration_error(moving, np.zeros_like(moving)) == pytest.approx(0.2)


def test_agrees_with_the_public_procrustes(shared_fixture: Fixture) -> None:
    data = shared_fixture("metrics.npz")
    estimate, truth = data["procrustes/S1_pred_m"], data["procrustes/S2_gt_m"]
    aligned = procrustes_align(estimate.astype(float), truth.astype(float))
    assert aligned == pytest.approx(data["procrustes/S1_hat"], abs=1e-6)
    assert pa_mpjpe(estimate, truth) == pytest.approx(data["procrustes/recon_error_m"], abs=1e-6)


def test_agrees_with_the_public_video_evaluation(shared_fixture: Fixture) -> None:
    data = shared_fixture("metrics.npz")
    estimate, truth = data["video_eval/pred_j14"], data["video_eval/gt_j14"]
    assert 1000 * mpjpe(estimate, truth, [2, 3]) == pytest.approx(
        data["video_eval/mpjpe_mm"], abs=1e-3
    )
    assert 1000 * pa_mpjpe(estimate, truth) == pytest.approx(
        data["video_eval/pa_mpjpe_mm"], abs=1e-3
    )
    hips = [2, 3]
    centred = [j - j[:, hips].mean(axis=1, keepdims=True) for j in (estimate, truth)]
    assert 900 * acceleration_error(*centred) == pytest.approx(
        data["video_eval/accel_err_mps2_30fps"], rel=1e-4
    )
