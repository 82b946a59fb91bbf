"""The made-up lifter gives a valid, repeatable body where the person is."""

from __future__ import annotations

import numpy as np

from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.lift.fake import FakeLifter
from extpose_blender.protocol.geometry import project_points
from tests.engine.lift.synthetic import CAMERA, joints_of, walking_person


def test_the_body_stands_upright_over_the_keypoints() -> None:
    track = walking_person(rows=20).track
    lifted = FakeLifter(load_body("open"))(track, CAMERA)
    joints = joints_of(lifted)
    xy = project_points(joints, np.repeat(np.eye(4)[None], 20, 0), CAMERA.K)
    low, high = track.keypoints_2d[..., :2].min(1), track.keypoints_2d[..., :2].max(1)
    assert (xy[:, 0] > low).all() and (xy[:, 0] < high).all()
    assert (joints[:, 15, 1] < joints[:, 0, 1]).all(), "the head is above the pelvis"


def test_the_same_input_gives_the_same_bits() -> None:
    track = walking_person(rows=5).track
    first, second = (FakeLifter(load_body("open"))(track, CAMERA) for _ in range(2))
    assert np.array_equal(first.rotvec, second.rotvec)
    assert np.array_equal(first.transl_m, second.transl_m)


def test_progress_and_windows_are_told() -> None:
    told: list[tuple[int, int]] = []
    windows: list[slice] = []
    track = walking_person(rows=7).track
    FakeLifter(load_body("open"))(
        track,
        CAMERA,
        on_progress=lambda n, of: told.append((n, of)),
        on_window=lambda rows, _: windows.append(rows),
    )
    assert told == [(7, 7)] and windows == [slice(0, 7)]
