"""The lifter `fit` on people whose motion is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from extpose_blender.engine.body.joint_limits import find_violations
from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.lift.fit import lifter as lifter_module
from extpose_blender.engine.lift.fit.chain import pose_map, pose_mirror
from extpose_blender.engine.lift.fit.lifter import FitLifter
from extpose_blender.engine.lift.fit.solve import Weights
from extpose_blender.engine.lift.fit.windows import cut_windows
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.flow import Intrinsics, LiftedTrack, Track
from tests.engine.lift.synthetic import (
    CAMERA,
    Person,
    aligned_error_mm,
    joints_of,
    reprojection_px,
    walking_person,
)


@pytest.fixture(scope="module")
def fit() -> FitLifter:
    return FitLifter(load_body("open"))


@pytest.fixture(scope="module")
def sharp() -> FitLifter:
    """Believes exact observations and little else."""
    weights = Weights(keypoint=0.004, hint=0.03, prior=0.02, smooth=0.02)
    return FitLifter(load_body("open"), weights=weights)


def error_mm(fit: FitLifter, person: Person, track: Track | None = None) -> float:
    lifted = fit(track or person.track, CAMERA)
    return aligned_error_mm(joints_of(lifted), person.joints_m)


@pytest.mark.parametrize("turn_deg", [0.0, 60.0, 90.0, 180.0, 250.0])
def test_exact_keypoints_give_the_motion_back(sharp: FitLifter, turn_deg: float) -> None:
    person = walking_person(turn_deg=turn_deg)
    lifted = sharp(person.track, CAMERA)
    assert aligned_error_mm(joints_of(lifted), person.joints_m) < 12
    assert reprojection_px(lifted, person.track) < 1.5


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 180.0])
def test_usual_weights_stay_near_the_motion(fit: FitLifter, turn_deg: float) -> None:
    person = walking_person(turn_deg=turn_deg, pixel_noise=1.5)
    lifted = fit(person.track, CAMERA)
    assert aligned_error_mm(joints_of(lifted), person.joints_m) < 35
    assert reprojection_px(lifted, person.track) < 0.015 * 380


def test_a_stranger_shape_is_found(sharp: FitLifter) -> None:
    betas = np.array([0.0, 1.5, -1.0, 0.8, 0, 0, 0, 0, 0, 0])
    person = walking_person(betas=betas)
    lifted = sharp(person.track, CAMERA)
    assert aligned_error_mm(joints_of(lifted), person.joints_m) < 15
    assert reprojection_px(lifted, person.track) < 2.0


@pytest.mark.parametrize("height_m", [1.5, 1.7, 1.9])
def test_a_given_height_sets_the_scale(fit: FitLifter, height_m: float) -> None:
    person = walking_person()
    lifted = fit(person.track, CAMERA, height_m=height_m)
    vertices = load_body("open").vertices_rest(lifted.betas)
    assert np.ptp(vertices[:, 1]) == pytest.approx(height_m, abs=0.015)
    depth = joints_of(lifted)[:, 0, 2] / person.joints_m[:, 0, 2]
    assert depth.mean() == pytest.approx(height_m / 1.7, rel=0.04)


def test_a_fifth_of_wrong_keypoints_does_little_harm(fit: FitLifter) -> None:
    person = walking_person(pixel_noise=2.0)
    generator = np.random.default_rng(0)
    keypoints = person.track.keypoints_2d.copy()
    wrong = generator.random(keypoints.shape[:2]) < 0.2
    keypoints[wrong, :2] += generator.uniform(-250, 250, (int(wrong.sum()), 2))
    harmed = error_mm(fit, person, replace(person.track, keypoints_2d=keypoints))
    assert harmed < error_mm(fit, person) + 15


def test_unseen_legs_hang_within_their_limits(fit: FitLifter) -> None:
    person = walking_person(pixel_noise=2.0)
    legs = [
        i
        for i, name in enumerate(person.track.points.joint_names)
        if any(word in name for word in ("knee", "ankle", "heel", "foot"))
    ]
    keypoints, hints = person.track.keypoints_2d.copy(), person.track.hints_3d_m.copy()
    keypoints[:, legs], hints[:, legs] = 0.0, 0.0
    lifted = fit(replace(person.track, keypoints_2d=keypoints, hints_3d_m=hints), CAMERA)
    joints = joints_of(lifted)
    names = load_body("open").joint_names
    pelvis, ankle = joints[:, 0], joints[:, names.index("left_ankle")]
    assert (ankle[:, 1] - pelvis[:, 1] > 0.3).all(), "y points down: the feet are below the hips"
    seen = lifted.confidence[:, names.index("left_elbow")].mean()
    assert lifted.confidence[:, names.index("left_ankle")].mean() < 0.2 < seen


def test_a_gap_is_filled_and_said(fit: FitLifter) -> None:
    person = walking_person(rows=90)
    track = hidden(person.track, slice(30, 60))
    lifted = fit(track, CAMERA)
    assert (lifted.confidence[30:60] == 0).all() and (lifted.confidence[:30, :22] > 0).any()
    assert np.abs(np.diff(lifted.transl_m, axis=0)).max() < 0.1
    assert any("30 rows" in note for note in lifted.notes)


def test_rows_before_and_after_hold_still_with_no_confidence(fit: FitLifter) -> None:
    track = hidden(hidden(walking_person(rows=40).track, slice(0, 10)), slice(30, 40))
    lifted = fit(track, CAMERA)
    assert len(lifted) == 40
    for rows, nearest in ((slice(0, 10), 10), (slice(30, 40), 29)):
        assert (lifted.confidence[rows] == 0).all()
        assert (lifted.rotvec[rows] == lifted.rotvec[nearest]).all()
        assert (lifted.transl_m[rows] == lifted.transl_m[nearest]).all()


def hidden(track: Track, rows: slice) -> Track:
    """The track without the person in some rows."""
    keypoints, hints, seen = track.keypoints_2d.copy(), track.hints_3d_m.copy(), track.seen.copy()
    keypoints[rows], hints[rows], seen[rows] = 0.0, 0.0, False
    return replace(track, keypoints_2d=keypoints, hints_3d_m=hints, seen=seen)


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_the_shortest_clips_work(fit: FitLifter, rows: int) -> None:
    person = walking_person(rows=rows)
    assert error_mm(fit, person) < 30


def test_coco_points_without_hints_work(fit: FitLifter) -> None:
    person = walking_person(skeleton="coco17", hints=False, turn_deg=15)
    lifted = fit(person.track, CAMERA)
    assert reprojection_px(lifted, person.track) < 6
    assert aligned_error_mm(joints_of(lifted), person.joints_m) < 90


def test_the_same_input_gives_the_same_bits(fit: FitLifter) -> None:
    track = walking_person(pixel_noise=2.0).track
    first, second = fit(track, CAMERA), FitLifter(load_body("open"))(track, CAMERA)
    for name in ("rotvec", "transl_m", "betas", "confidence"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def test_windows_give_what_the_whole_clip_gives(
    fit: FitLifter, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = walking_person(rows=160, pixel_noise=1.5, turn_rate_deg_s=30)
    whole = fit(person.track, CAMERA)
    monkeypatch.setattr(lifter_module, "cut_windows", lambda rows: cut_windows(rows, 80, 40))
    told: list[tuple[slice, LiftedTrack]] = []
    parts = fit(person.track, CAMERA, on_window=lambda rows, part: told.append((rows, part)))
    distance = np.linalg.norm(joints_of(whole) - joints_of(parts), axis=-1)
    assert distance.max() < 0.015
    assert [rows for rows, _ in told] == [slice(0, 80), slice(40, 120), slice(80, 160)]
    assert all(len(part) == rows.stop - rows.start for rows, part in told)


def test_backwards_in_time_is_the_same_motion_backwards(fit: FitLifter) -> None:
    person = walking_person(pixel_noise=1.5)
    track = person.track
    back = replace(
        track,
        keypoints_2d=track.keypoints_2d[::-1].copy(),
        hints_3d_m=track.hints_3d_m[::-1].copy(),
    )
    ahead, behind = joints_of(fit(track, CAMERA)), joints_of(fit(back, CAMERA))[::-1]
    assert np.linalg.norm(ahead - behind, axis=-1).max() < 0.03


def test_the_mirror_image_gives_the_mirror_image(fit: FitLifter) -> None:
    person = walking_person(pixel_noise=1.5)
    track, order = person.track, list(person.track.points.mirror)
    keypoints, hints = track.keypoints_2d[:, order].copy(), track.hints_3d_m[:, order].copy()
    keypoints[..., 0] = CAMERA.width - keypoints[..., 0]
    hints[..., 0] *= -1
    mirrored = fit(replace(track, keypoints_2d=keypoints, hints_3d_m=hints), CAMERA)
    plain = fit(track, CAMERA)
    source, sign = pose_mirror()
    to_q = np.linalg.pinv(pose_map())
    q, other = (x.rotvec[:, 1:22].reshape(len(x), -1) @ to_q.T for x in (plain, mirrored))
    assert np.abs(q[:, source] * sign - other).max() < 0.05


def test_no_joint_goes_beyond_its_limits(fit: FitLifter) -> None:
    generator = np.random.default_rng(0)
    track = walking_person(rows=30).track
    keypoints, hints = track.keypoints_2d.copy(), track.hints_3d_m.copy()
    keypoints[..., :2] += generator.normal(scale=60, size=keypoints[..., :2].shape)
    hints[..., :3] += generator.normal(scale=0.3, size=hints[..., :3].shape)
    lifted = fit(replace(track, keypoints_2d=keypoints, hints_3d_m=hints), CAMERA)
    assert find_violations(lifted.rotvec.reshape(30, -1), "smplh", tolerance_deg=0.1) == []


def test_only_an_assumed_focal_length_moves(fit: FitLifter) -> None:
    track = walking_person(rows=10).track
    wrong = Intrinsics(800.0, CAMERA.width, CAMERA.height, "given")
    assert fit(track, wrong).intrinsics == wrong
    free = fit(track, replace(wrong, source="assumed")).intrinsics
    assert free.source == "assumed" and free.focal_px != wrong.focal_px


def test_slow_and_fast_clips_of_one_motion_agree(fit: FitLifter) -> None:
    for fps in (5.0, 60.0):
        person = walking_person(rows=int(2 * fps), fps=fps, pixel_noise=1.0)
        assert error_mm(fit, person) < 25


def test_a_person_nobody_saw_is_refused(fit: FitLifter) -> None:
    track = hidden(walking_person(rows=4).track, slice(0, 4))
    with pytest.raises(BadShape, match="no row"):
        fit(track, CAMERA)


def test_progress_ends_at_the_last_row(fit: FitLifter) -> None:
    told: list[tuple[int, int]] = []
    fit(walking_person(rows=20).track, CAMERA, on_progress=lambda n, of: told.append((n, of)))
    assert told[-1] == (20, 20)


@pytest.mark.parametrize(("model_type", "joints"), [("smpl", 24), ("smplh", 52), ("smplx", 55)])
def test_every_body_type_gets_the_same_limbs(fit: FitLifter, model_type: str, joints: int) -> None:
    lifted = FitLifter(DressedAs(model_type, joints))(walking_person(rows=12).track, CAMERA)
    plain = fit(walking_person(rows=12).track, CAMERA)
    assert lifted.rotvec.shape == (12, joints, 3) and lifted.model_type == model_type
    assert np.allclose(lifted.rotvec[:, :22], plain.rotvec[:, :22], atol=1e-4)


class DressedAs:
    """The open body's first joints under another body's name."""

    num_betas = 10
    body_id = "made-up"

    def __init__(self, model_type: str, joints: int) -> None:
        self.model_type = model_type
        self._count = joints
        self._body = load_body("open")

    def joints_rest(self, betas: np.ndarray) -> np.ndarray:
        return np.resize(self._body.joints_rest(betas), (self._count, 3))

    def vertices_rest(self, betas: np.ndarray) -> np.ndarray:
        return self._body.vertices_rest(betas)
