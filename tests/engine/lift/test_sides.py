"""Swapped sides are found where they jump, and a clip without swaps is left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from extpose_blender.engine.lift.fit.sides import find_swaps, swap_orders, swap_sides
from tests.engine.lift.synthetic import walking_person

SIZE = 380.0


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("turn_deg", [10.0, 170.0])
def test_a_swap_of_some_rows_is_undone(kind: int, turn_deg: float) -> None:
    track = walking_person(rows=50, turn_deg=turn_deg, pixel_noise=2.0).track
    choice = np.zeros(50, int)
    choice[20:27] = kind
    found = find_swaps(swap_sides(track, choice), np.full(50, SIZE))
    assert (found == choice).all()


def test_a_turning_person_is_not_swapped() -> None:
    track = walking_person(rows=120, turn_deg=0.0, turn_rate_deg_s=90.0, pixel_noise=2.0).track
    assert not find_swaps(track, np.full(120, SIZE)).any()


def test_swapping_twice_is_nothing() -> None:
    track = walking_person(rows=8).track
    choice = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    again = swap_sides(swap_sides(track, choice), choice)
    assert np.array_equal(again.keypoints_2d, track.keypoints_2d)
    assert np.array_equal(again.hints_3d_m, track.hints_3d_m)


def test_orders_are_their_own_inverses() -> None:
    for order in swap_orders(walking_person(rows=2).track.points):
        assert (order[order] == np.arange(len(order))).all()


def test_rows_without_the_person_are_left_alone() -> None:
    track = walking_person(rows=30).track
    seen = np.zeros(30, bool)
    seen[[3, 20]] = True
    assert not find_swaps(replace(track, seen=seen), np.full(30, SIZE)).any()
