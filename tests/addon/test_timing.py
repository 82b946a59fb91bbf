"""Rows, scene frames and pictures of the video."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from extpose_blender.addon.timing import clip_timing, fps_and_base, source_pictures
from tests.addon.made_motion import make_body, make_motion

BODY = make_body()


@pytest.mark.parametrize(
    ("rate", "wanted"),
    [
        (30.0, (30, 1.0)),
        (29.97, (30, 1.001)),
        (30000 / 1001, (30, 1.001)),
        (23.976, (24, 1.001)),
        (59.94, (60, 1.001)),
        (5.0, (5, 1.0)),
        (12.5, (12, 0.96)),
        (0.25, (1, 4.0)),
    ],
)
def test_rates_are_kept_as_blender_keeps_them(rate, wanted):
    fps, base = fps_and_base(rate)
    assert (fps, base) == pytest.approx(wanted)
    assert fps / base == pytest.approx(rate, rel=1e-4)


def test_rows_are_frames_in_a_file_of_the_same_rate():
    motion = make_motion(BODY, 10, fps=25)
    timing = clip_timing([motion], 1, 25)
    assert timing.scene_frames(motion).tolist() == list(range(1, 11))
    assert timing.frame_end == 10


def test_people_who_come_later_begin_later():
    first, second = make_motion(BODY, 20, fps=10), make_motion(BODY, 8, fps=10)
    second = dataclasses.replace(
        second, time_s=second.time_s + 0.7, frame_index=second.frame_index + 7
    )
    timing = clip_timing([second, first], 101, 10)
    assert timing.scene_frames(first)[0] == 101
    assert timing.scene_frames(second)[0] == 108
    assert len(timing.time_s) == 20


def test_every_scene_frame_shows_the_picture_of_its_row():
    # Taken at 12 fps from a source of 30, from picture 5, put into a scene of 24.
    motion = make_motion(BODY, 12, fps=12)
    times = 5 / 30 + np.arange(12) / 12
    motion = dataclasses.replace(motion, time_s=times)
    timing = clip_timing([motion], 10, 24)
    pictures = source_pictures(timing, 30.0)
    assert len(pictures) == timing.frame_end - 10 + 1 == 23
    assert pictures[::2].tolist() == np.floor(times * 30 + 1e-6).astype(int).tolist()


def test_a_sequence_counts_pictures_not_seconds():
    motion = make_motion(BODY, 6, fps=10, source_step=3)
    assert source_pictures(clip_timing([motion], 1, 10), None).tolist() == [0, 3, 6, 9, 12, 15]
