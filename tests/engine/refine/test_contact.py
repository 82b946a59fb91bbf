"""Contacts are found from height and speed, the same forwards and backwards, at every rate."""

from __future__ import annotations

import numpy as np
import pytest

from extpose_blender.engine.refine.contact import find_contacts, runs
from extpose_blender.protocol.errors import BadShape


def _stepping(fps: float, seconds: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    """Feet (T, 4, 3) that rest for 0.6 s and swing 1.2 m for 0.4 s in turn, and when each rests."""
    time = np.arange(int(seconds * fps)) / fps
    feet, rests = np.zeros((len(time), 4, 3)), np.zeros((len(time), 4), bool)
    for side, offset in enumerate((0.0, 0.5)):
        phase = (time + offset) % 1.0
        swing = np.clip((phase - 0.6) / 0.4, 0.0, 1.0)
        moved = np.floor(time + offset) + (swing - np.sin(2 * np.pi * swing) / (2 * np.pi))
        for point in (2 * side, 2 * side + 1):
            ahead = 1.2 * moved + 0.2 * (point % 2)
            lifted = 0.1 * np.sin(np.pi * swing)
            feet[:, point] = np.stack([np.full_like(time, 0.2 * side), ahead, lifted], axis=1)
            rests[:, point] = phase <= 0.6
    return feet, rests


def _f_score(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.sum(a & b) / (a.sum() + b.sum()))


@pytest.mark.parametrize("fps", (25.0, 30.0, 60.0))
def test_steps_are_found_at_every_rate(fps: float) -> None:
    feet, rests = _stepping(fps)
    assert _f_score(find_contacts(feet, fps), rests) > 0.9


def test_steps_are_found_through_noise() -> None:
    feet, rests = _stepping(30.0)
    noisy = feet + 0.01 * np.random.default_rng(0).normal(size=feet.shape)
    found = find_contacts(noisy, 30.0)
    assert _f_score(found, rests) > 0.88
    steps = sum(len(runs(rests[:, i])) for i in range(4))
    assert sum(len(runs(found[:, i])) for i in range(4)) <= steps + 2


def test_time_reversal_reverses_the_contacts() -> None:
    feet = _stepping(30.0)[0] + 0.01 * np.random.default_rng(1).normal(size=(180, 4, 3))
    assert np.array_equal(find_contacts(feet[::-1], 30.0)[::-1], find_contacts(feet, 30.0))


def test_a_foot_in_the_air_has_no_contact() -> None:
    feet, _ = _stepping(30.0)
    feet[:, 2:, 2] += 0.3
    found = find_contacts(feet, 30.0)
    assert found[:, :2].any() and not found[:, 2:].any()


def test_a_raised_heel_is_no_contact_though_it_is_low_and_still() -> None:
    feet = np.zeros((30, 4, 3))
    feet[:, 0, 2] = 0.045
    assert not find_contacts(feet, 30.0)[:, 0].any()
    assert find_contacts(feet, 30.0)[:, 1:].all()


@pytest.mark.parametrize("count", (1, 2))
def test_shortest_clips_go_by_height(count: int) -> None:
    feet = np.zeros((count, 4, 3))
    feet[:, :2, 2] = 0.5
    assert np.array_equal(find_contacts(feet, 30.0), [[False, False, True, True]] * count)


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(BadShape, match="feet_m"):
        find_contacts(np.zeros((3, 2, 3)), 30.0)
