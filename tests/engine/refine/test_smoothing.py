"""Smoothing removes noise, moves nothing in time, and keeps fast hits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from extpose_blender.engine.refine.smoothing import (
    base_cutoff_hz,
    smooth_path,
    smooth_rotations,
    whittaker,
)
from extpose_blender.protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat

RATES = (5.0, 25.0, 60.0)


def _swing(count: int, fps: float, hz: float, amplitude: float) -> np.ndarray:
    angle = amplitude * np.sin(2 * np.pi * hz * np.arange(count) / fps)
    return angle[:, None, None] * np.array([0.0, 0.6, 0.8])


def _angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    between = np.swapaxes(rotvec_to_rotmat(a), -1, -2) @ rotvec_to_rotmat(b)
    return np.linalg.norm(rotmat_to_rotvec(between), axis=-1)


def test_whittaker_equals_the_dense_solution_of_its_own_equation() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(40, 3)), rng.uniform(0.1, 1.0, 40)
    cutoff, fps, tension = rng.uniform(1.0, 6.0, 40), 30.0, 1e-3
    stiffness = (fps / (2 * np.pi * cutoff)) ** 4
    second, first = np.diff(np.eye(40), 2, axis=0), np.diff(np.eye(40), axis=0)
    loose = np.maximum((1 - weights)[1:], (1 - weights)[:-1])
    pull = tension * (stiffness[1:] * stiffness[:-1]) ** 0.25 * loose
    dense = np.diag(weights) + second.T @ np.diag(stiffness[1:-1]) @ second
    dense += first.T @ np.diag(pull) @ first
    wanted = np.linalg.solve(dense, weights[:, None] * values)
    np.testing.assert_allclose(whittaker(values, weights, cutoff, fps, tension), wanted, atol=1e-9)


@pytest.mark.parametrize("fps", RATES)
def test_a_cutoff_means_the_same_at_every_rate(fps: float) -> None:
    time = np.arange(int(20 * fps)) / fps
    signal = np.sin(2 * np.pi * 0.5 * time)[:, None]
    smoothed = whittaker(signal, np.ones(len(time)), np.array(0.5), fps)
    inner = slice(int(4 * fps), int(-4 * fps))
    gain = np.linalg.norm(smoothed[inner]) / np.linalg.norm(signal[inner])
    assert gain == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("fps", RATES)
def test_strength_zero_changes_nothing(fps: float) -> None:
    rng = np.random.default_rng(1)
    rotvec, path = rng.normal(size=(30, 4, 3)), rng.normal(5.0, size=(30, 3))
    assert np.array_equal(smooth_rotations(rotvec, np.ones((30, 4)), fps, 0.0), rotvec)
    assert np.array_equal(smooth_path(path, np.zeros(3), np.ones(30), fps, 0.0), path)


@pytest.mark.parametrize("fps", (25.0, 60.0))
def test_a_swing_keeps_its_amplitude_and_its_phase(fps: float) -> None:
    clean = _swing(int(4 * fps), fps, 1.0, 0.8)
    smoothed = smooth_rotations(clean, np.ones(clean.shape[:2]), fps, 0.5)
    inner = slice(int(fps), int(3 * fps))
    signal, result = clean[inner, 0] @ [0, 0.6, 0.8], smoothed[inner, 0] @ [0, 0.6, 0.8]
    assert result.max() / signal.max() == pytest.approx(1.0, abs=0.02)
    lag = np.argmax(np.correlate(result, signal, "full")) - (len(signal) - 1)
    assert lag == 0


@pytest.mark.parametrize("fps", (25.0, 60.0))
def test_noise_falls_with_strength(fps: float) -> None:
    rng = np.random.default_rng(2)
    clean = _swing(int(6 * fps), fps, 0.4, 0.7)
    noisy = rotmat_to_rotvec(
        rotvec_to_rotmat(clean) @ rotvec_to_rotmat(np.radians(2.5) * rng.normal(size=clean.shape))
    )
    sure = np.ones(clean.shape[:2])
    results = [smooth_rotations(noisy, sure, fps, s) for s in (0.0, 0.25, 0.5, 0.75)]
    errors = [float(np.sqrt(np.mean(_angles(result, clean) ** 2))) for result in results]
    assert all(a > b for a, b in pairwise(errors))
    assert errors[2] < 0.75 * errors[0]


def test_a_fast_hit_stays_sharp_and_is_not_spread() -> None:
    fps, count = 30.0, 61
    angle = np.zeros(count)
    angle[27:34] = [0.15, 0.7, 1.5, 1.9, 1.5, 0.7, 0.15]  # there and back in a fifth of a second
    hit = angle[:, None, None] * np.array([1.0, 0.0, 0.0])
    smoothed = smooth_rotations(hit, np.ones((count, 1)), fps, 0.5)[:, 0, 0]
    assert int(np.argmax(smoothed)) == 30
    assert smoothed.max() > 0.9 * angle.max()
    assert np.abs(smoothed[:21]).max() < 0.02 * angle.max()


def test_calm_joints_do_not_pay_for_a_fast_one() -> None:
    rng = np.random.default_rng(3)
    both = np.concatenate([_swing(90, 30.0, 3.0, 1.0), 0.03 * rng.normal(size=(90, 1, 3))], axis=1)
    alone = smooth_rotations(both[:, 1:], np.ones((90, 1)), 30.0, 0.5)
    np.testing.assert_allclose(
        smooth_rotations(both, np.ones((90, 2)), 30.0, 0.5)[:, 1:], alone, atol=1e-12
    )


def test_turning_the_world_or_time_turns_the_result() -> None:
    rng = np.random.default_rng(4)
    rotvec = np.cumsum(0.2 * rng.normal(size=(80, 3, 3)), axis=0)
    confidence = rng.uniform(size=(80, 3))
    smoothed = smooth_rotations(rotvec, confidence, 30.0, 0.6)
    turn = rotvec_to_rotmat(np.array([0.3, -2.0, 1.0]))
    turned = smooth_rotations(
        rotmat_to_rotvec(turn @ rotvec_to_rotmat(rotvec)), confidence, 30.0, 0.6
    )
    assert _angles(turned, rotmat_to_rotvec(turn @ rotvec_to_rotmat(smoothed))).max() < 1e-6
    backwards = smooth_rotations(rotvec[::-1], confidence[::-1], 30.0, 0.6)
    assert _angles(backwards[::-1], smoothed).max() < 1e-6


def test_rotations_beyond_half_a_turn_stay_continuous() -> None:
    angle = np.linspace(0.0, 6.0 * np.pi, 120)
    rotvec = rotmat_to_rotvec(rotvec_to_rotmat(angle[:, None, None] * np.array([0.0, 0.0, 1.0])))
    smoothed = smooth_rotations(rotvec, np.ones((120, 1)), 30.0, 0.5)
    assert _angles(smoothed, rotvec).max() < np.radians(1.0)


def test_rows_without_confidence_are_bridged() -> None:
    clean = _swing(90, 30.0, 0.3, 0.8)
    damaged, confidence = clean.copy(), np.ones((90, 1))
    damaged[40:50], confidence[40:50] = [[1.0, -1.0, 2.0]], 0.0
    smoothed = smooth_rotations(damaged, confidence, 30.0, 0.5)
    assert _angles(smoothed, clean).max() < np.radians(4.0)


def test_depth_is_smoothed_harder_than_what_the_picture_shows() -> None:
    rng = np.random.default_rng(5)
    clean = np.tile([0.0, 0.0, 4.0], (300, 1))
    noisy = clean + 0.01 * rng.normal(size=clean.shape)
    left = np.std(smooth_path(noisy, np.zeros(3), np.ones(300), 30.0, 0.5), axis=0)
    assert left[2] < 0.75 * left[0] < 0.01


@pytest.mark.parametrize("count", (1, 2))
def test_shortest_clips_come_back(count: int) -> None:
    rng = np.random.default_rng(6)
    rotvec, path = rng.normal(size=(count, 4, 3)), rng.normal(5.0, size=(count, 3))
    assert np.array_equal(smooth_rotations(rotvec, np.ones((count, 4)), 30.0, 1.0), rotvec)
    assert np.array_equal(smooth_path(path, np.zeros(3), np.ones(count), 30.0, 1.0), path)


def test_cutoff_falls_with_strength_and_has_no_end_towards_zero() -> None:
    cutoffs = [base_cutoff_hz(s) for s in (0.01, 0.25, 0.5, 0.75, 1.0)]
    assert cutoffs == sorted(cutoffs, reverse=True)
    assert cutoffs[0] > 200.0
