"""Windows cover what was seen, overlap, and do not depend on what comes later."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from extpose_blender.engine.lift.windows import Window, WindowCutter, cut_windows


def random_entries(seed: int, rows: int = 300) -> np.ndarray:
    """People come and go, for one row or for many."""
    generator = np.random.default_rng(seed)
    entries = generator.integers(0, 3, rows)
    for _ in range(generator.integers(0, 12)):
        start = generator.integers(0, rows)
        entries[start : start + generator.integers(1, 30)] = -1
    return entries


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 8, 16, 31])
@pytest.mark.parametrize("seed", range(6))
def test_every_seen_row_is_covered_with_its_own_detection(seed: int, frames: int) -> None:
    entries = random_entries(seed)
    windows = cut_windows(entries, frames)
    covered = {row for window in windows for row in window.seen_rows}
    assert covered == set(np.flatnonzero(entries >= 0).tolist())
    for window in windows:
        assert 1 <= len(window.entries) <= frames
        assert list(window.entries) == entries[window.first_row : window.rows.stop].tolist()
        assert window.entries[-1] >= 0 or window.rows.stop < len(entries)


@pytest.mark.parametrize("rows", [16, 17, 28, 100, 131])
def test_a_person_always_seen_gets_full_windows_with_an_overlap(rows: int) -> None:
    windows = cut_windows(np.zeros(rows, int), 16)
    assert all(len(window.entries) == 16 for window in windows)
    for before, after in pairwise(windows):
        assert before.rows.stop - after.first_row >= 4
    assert windows[-1].rows.stop == rows


@pytest.mark.parametrize("rows", [1, 2, 7, 15])
def test_a_short_track_is_one_short_window(rows: int) -> None:
    assert cut_windows(np.zeros(rows, int), 16) == [Window(0, (0,) * rows)]


def test_single_frames_do_not_overlap() -> None:
    windows = cut_windows(np.array([0, 1, -1, 2]), 1)
    assert windows == [Window(0, (0,)), Window(1, (1,)), Window(3, (2,))]


def test_a_short_pause_lies_inside_a_window_and_a_long_one_ends_it() -> None:
    short, long = np.zeros(40, int), np.zeros(40, int)
    short[10:18] = -1
    long[10:19] = -1
    assert any(-1 in window.entries for window in cut_windows(short, 16))
    assert all(-1 not in window.entries for window in cut_windows(long, 16))
    assert cut_windows(long, 16)[0] == Window(0, (0,) * 10)


@pytest.mark.parametrize("seed", range(6))
def test_cutting_as_rows_come_gives_the_same_and_needs_no_row_twice(seed: int) -> None:
    entries = random_entries(seed)
    cutter, windows = WindowCutter(16), []
    for row in np.flatnonzero(entries >= 0):
        oldest = cutter.oldest_row
        fresh = cutter.add(int(row), int(entries[row]))
        assert all(window.first_row >= oldest for window in fresh)
        assert row - cutter.oldest_row < 16
        windows += fresh
    assert windows + cutter.finish() == cut_windows(entries, 16)
