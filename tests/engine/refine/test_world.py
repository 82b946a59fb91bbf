"""A known world, seen by a known camera, comes back: up, ground, size, feet that stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from extpose_blender.engine.refine.contact import find_contacts, runs
from extpose_blender.engine.refine.figure import pose_figure
from extpose_blender.engine.refine.shape import figure_of, with_stature
from extpose_blender.engine.refine.world import WorldOptions, to_world
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.flow import LiftedTrack, Track
from extpose_blender.protocol.geometry import (
    project_points,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
)
from extpose_blender.protocol.motion import Motion

from .synthetic import CAMERA, FPS, MadeUpBody, Walk, empty_track, look_at, seen_by

WALKS = ("cmu_bvh/07_01", "cmu_bvh/07_04", "cmu_bvh/10_04", "cmu_bvh/09_12")
VIEWS = {
    "level": (4.0, 1.4, -8.0, 0.0, 30.0),
    "side on": (5.0, 1.0, 0.0, 0.0, 90.0),
    "head on": (6.0, 1.6, -8.0, 0.0, 0.0),
    "from above": (4.0, 3.0, -30.0, 0.0, 40.0),
    "tilted": (4.0, 1.4, -8.0, 25.0, 200.0),
    "on its side": (4.0, 1.4, -8.0, 90.0, 30.0),
}
"""Distance and height in metres, pitch, roll and heading in degrees."""

GetWalk = Callable[[str], Walk]
Seen = tuple[LiftedTrack, Track]


def _world(
    people: list[Seen],
    body: MadeUpBody,
    options: WorldOptions | None = None,
    turns: np.ndarray | None = None,
) -> list[Motion]:
    rows = np.arange(len(people[0][1]))
    lifted, tracks = [one for one, _ in people], [track for _, track in people]
    return to_world(lifted, tracks, body, rows, rows / FPS, turns, options)


def _up_error_deg(motion: Motion, camera_T_world: np.ndarray) -> float:
    cosine = motion.camera_T_world[0, :3, 2] @ camera_T_world[:3, 2]
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _feet(motion: Motion, body: MadeUpBody) -> np.ndarray:
    figure = figure_of(body, motion.betas.astype(float))
    rotmat = rotvec_to_rotmat(motion.rotvec.astype(float))
    return pose_figure(figure, rotmat, motion.trans.astype(float)).feet()


def _slides_m(feet: np.ndarray, contact: np.ndarray) -> list[float]:
    """How far each resting point gets from where it began, per contact."""
    return [
        float(np.linalg.norm(feet[a:b, i, :2] - feet[a, i, :2], axis=1).max())
        for i in range(4)
        for a, b in runs(contact[:, i])
    ]


def _knee_acceleration(rotvec: np.ndarray) -> float:
    bend = np.linalg.norm(rotvec[:, [4, 5]], axis=-1)
    return float(np.sqrt(np.mean((np.diff(bend, 2, axis=0) * FPS**2) ** 2)))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("key", WALKS)
def test_up_and_ground_are_found_through_the_errors_of_one_view(
    walk: GetWalk, key: str, view: str
) -> None:
    truth = walk(key)
    camera = look_at(truth.root_m, *VIEWS[view])
    motion = _world([seen_by(truth, camera, seed=1)], truth.body)[0]
    assert _up_error_deg(motion, camera) < 3.0
    feet = _feet(motion, truth.body)
    assert abs(np.percentile(feet[..., 2].min(axis=1), 20)) < 0.03
    found = find_contacts(truth.posed().feet(), FPS)
    both = motion.foot_contact & found
    assert 2 * both.sum() / (motion.foot_contact.sum() + found.sum()) > 0.6


@pytest.mark.parametrize("key", WALKS)
def test_feet_stay_put_while_in_contact_and_knees_do_not_pop(walk: GetWalk, key: str) -> None:
    truth = walk(key)
    camera = look_at(truth.root_m, *VIEWS["level"])
    seen = seen_by(truth, camera, seed=2)
    locked = _world([seen], truth.body)[0]
    free = _world([seen], truth.body, WorldOptions(foot_lock=False))[0]
    feet = _feet(locked, truth.body)
    assert max(_slides_m(feet, locked.foot_contact)) < 0.01
    assert feet[locked.foot_contact][:, 2].min() > -0.03
    assert np.mean(_slides_m(_feet(free, truth.body), free.foot_contact)) > 0.01
    given = _knee_acceleration(seen[0].rotvec)
    assert _knee_acceleration(locked.rotvec) < given


@pytest.mark.parametrize("view", VIEWS)
def test_the_picture_hardly_changes(walk: GetWalk, view: str) -> None:
    truth = walk("cmu_bvh/07_01")
    camera = look_at(truth.root_m, *VIEWS[view])
    motion = _world([seen_by(truth, camera)], truth.body)[0]
    rows = len(motion)
    shown = project_points(motion.joints[:, :22], motion.camera_T_world, motion.camera_K)
    wanted = project_points(truth.posed().joints_m[:, :22], np.tile(camera, (rows, 1, 1)), CAMERA.K)
    height_px = np.ptp(wanted[..., 1], axis=1).mean() + np.ptp(wanted[..., 0], axis=1).mean()
    assert np.linalg.norm(shown - wanted, axis=-1).mean() < 0.012 * height_px


def test_nothing_but_the_frame_changes_when_nothing_is_asked(walk: GetWalk) -> None:
    truth = walk("cmu_bvh/07_01")
    camera = look_at(truth.root_m, *VIEWS["level"])
    lifted, track = seen_by(truth, camera, seed=3)
    motion = _world([(lifted, track)], truth.body, WorldOptions(smooth=0.0, foot_lock=False))[0]
    np.testing.assert_allclose(motion.rotvec[:, 1:], lifted.rotvec[:, 1:], atol=1e-6)
    turned = motion.camera_T_world[:, :3, :3] @ rotvec_to_rotmat(motion.rotvec[:, 0])
    np.testing.assert_allclose(turned, rotvec_to_rotmat(lifted.rotvec[:, 0]), atol=1e-4)


def test_the_world_does_not_depend_on_how_the_camera_is_turned_in_its_rows(walk: GetWalk) -> None:
    truth = walk("cmu_bvh/07_04")
    camera = look_at(truth.root_m, *VIEWS["level"])
    lifted, track = seen_by(truth, camera, seed=4)
    still = _world([(lifted, track)], truth.body)[0]
    turns = rotvec_to_rotmat(np.linspace(0.0, 0.7, len(track))[:, None] * np.array([0.0, 1.0, 0.0]))
    root = lifted.transl_m + truth.figure.rest_m[0]
    rotvec = lifted.rotvec.copy()
    rotvec[:, 0] = rotmat_to_rotvec(np.swapaxes(turns, -1, -2) @ rotvec_to_rotmat(rotvec[:, 0]))
    panned = replace(
        lifted,
        rotvec=rotvec,
        transl_m=(np.einsum("tji,tj->ti", turns, root) - truth.figure.rest_m[0]).astype(np.float32),
    )
    moving = _world([(panned, track)], truth.body, turns=turns)[0]
    np.testing.assert_allclose(moving.joints, still.joints, atol=2e-3)
    shown = project_points(moving.joints, moving.camera_T_world, moving.camera_K)
    assert np.isfinite(shown).all()
    assert not np.allclose(moving.camera_T_world[0], moving.camera_T_world[-1])


def test_the_camera_stands_over_the_origin_and_looks_along_y(walk: GetWalk) -> None:
    truth = walk("cmu_bvh/07_01")
    motion = _world([seen_by(truth, look_at(truth.root_m, *VIEWS["tilted"]))], truth.body)[0]
    world_T_camera = np.linalg.inv(motion.camera_T_world[0].astype(float))
    assert np.abs(world_T_camera[:2, 3]).max() < 1e-5
    assert world_T_camera[2, 3] == pytest.approx(1.4, abs=0.15)
    assert abs(world_T_camera[0, 2]) < 1e-5 and world_T_camera[1, 2] > 0


def test_a_given_height_sets_body_and_scale(walk: GetWalk) -> None:
    truth = walk("cmu_bvh/07_01")
    camera = look_at(truth.root_m, *VIEWS["level"])
    seen = seen_by(truth, camera)
    solved = _world([seen], truth.body)[0]
    taller = 1.1 * truth.figure.stature_m
    motion = _world([seen], truth.body, WorldOptions(height_m=taller))[0]
    figure = figure_of(truth.body, motion.betas.astype(float))
    assert figure.stature_m == pytest.approx(taller, abs=0.002)
    heights = [np.linalg.inv(m.camera_T_world[0])[2, 3] for m in (solved, motion)]
    assert heights[1] / heights[0] == pytest.approx(1.1, abs=0.01)
    shown = [project_points(m.joints, m.camera_T_world, m.camera_K) for m in (solved, motion)]
    assert np.linalg.norm(shown[0] - shown[1], axis=-1).mean() < 4.0


def test_people_share_one_ground_though_one_was_taken_for_larger(walk: GetWalk) -> None:
    """The second person is solved 12 % too large, and so too far away."""
    truth = walk("cmu_bvh/07_04")
    camera = look_at(truth.root_m, *VIEWS["level"])
    first = seen_by(truth, camera, seed=5)
    lifted, track = seen_by(truth, camera, seed=6, person_id=1)
    betas = with_stature(truth.body, np.zeros(10), 1.12 * truth.figure.stature_m)
    figure = figure_of(truth.body, betas)
    root = 1.12 * (lifted.transl_m + truth.figure.rest_m[0])
    second = replace(
        lifted, betas=betas.astype(np.float32),
        transl_m=(root - figure.rest_m[0]).astype(np.float32),
    )  # fmt: skip
    motions = _world([first, (second, track)], truth.body)
    statures = [figure_of(truth.body, m.betas.astype(float)).stature_m for m in motions]
    assert statures[1] / statures[0] == pytest.approx(1.0, abs=0.03)
    assert np.array_equal(motions[0].camera_T_world, motions[1].camera_T_world)
    for motion in motions:
        assert abs(np.percentile(_feet(motion, truth.body)[..., 2].min(axis=1), 20)) < 0.03


def test_somebody_on_a_platform_stays_up_there(walk: GetWalk) -> None:
    truth = walk("cmu_bvh/07_04")
    camera = look_at(truth.root_m, *VIEWS["level"])
    raised = Walk(truth.body, truth.rotvec, truth.root_m + np.array([0.0, 0.0, 0.5]))
    shifted = [
        Walk(truth.body, truth.rotvec, truth.root_m + np.array([dx, 0.0, 0.0]))
        for dx in (-0.8, 0.0, 0.8)
    ]
    seen = [seen_by(w, camera, person_id=i) for i, w in enumerate([*shifted, raised])]
    motions = _world(seen, truth.body)
    lowest = [np.percentile(m.joints[..., 2].min(axis=1), 20) for m in motions]
    assert lowest[3] - lowest[0] > 0.3


def test_a_person_whose_legs_are_out_of_the_picture_stands_at_their_own_height(
    walk: GetWalk,
) -> None:
    truth = walk("cmu_bvh/07_04")
    camera = look_at(truth.root_m, *VIEWS["side on"])
    lifted, track = seen_by(truth, camera, seed=7)
    confidence = lifted.confidence.copy()
    confidence[:, [1, 2, 4, 5, 7, 8, 10, 11]] = 0.0
    motion = _world([(replace(lifted, confidence=confidence), track)], truth.body)[0]
    assert _up_error_deg(motion, camera) < 8.0
    assert np.median(motion.joints[:, 0, 2]) == pytest.approx(
        truth.figure.pelvis_height_m, abs=0.02
    )
    assert not motion.foot_contact.any()


@pytest.mark.parametrize("face", ("back", "front"))
def test_somebody_on_the_floor_is_not_taken_for_standing(walk: GetWalk, face: str) -> None:
    truth = walk("cmu_bvh/07_04")
    rows = 60
    rotvec = 0.3 * np.tile(truth.rotvec[:1], (rows, 1, 1))
    rotvec[:, 0] = [0.0, np.pi if face == "front" else 0.0, 0.0]  # SMPL at rest faces +Z: upwards
    lying = Walk(truth.body, rotvec, np.tile([0.0, 0.0, 0.12], (rows, 1)))
    camera = look_at(lying.root_m, 3.0, 1.2, -20.0, 0.0, 80.0)
    motion = _world([seen_by(lying, camera, seed=8)], truth.body)[0]
    assert _up_error_deg(motion, camera) < 25.0
    assert motion.joints[:, 0, 2].max() < 0.6


def test_turned_to_the_side_half_of_the_time_and_seen_half_of_the_time(walk: GetWalk) -> None:
    """Confidence is carried, and unseen rows neither hold contacts nor break the rest."""
    truth = walk("cmu_bvh/09_12")
    camera = look_at(truth.root_m, *VIEWS["level"])
    lifted, track = seen_by(truth, camera, seed=9)
    confidence = lifted.confidence.copy()
    confidence[100:130] = 0.0
    motion = _world([(replace(lifted, confidence=confidence), track)], truth.body)[0]
    assert np.array_equal(motion.confidence, confidence)
    assert not motion.foot_contact[100:130].any()
    assert _up_error_deg(motion, camera) < 3.0


@pytest.mark.parametrize("rows", (1, 2, 3))
def test_shortest_clips(walk: GetWalk, rows: int) -> None:
    truth = walk("cmu_bvh/07_01")
    short = Walk(truth.body, truth.rotvec[:rows], truth.root_m[:rows])
    camera = look_at(short.root_m, *VIEWS["level"])
    motion = _world([seen_by(short, camera)], truth.body)[0]
    assert len(motion) == rows
    assert _up_error_deg(motion, camera) < 8.0
    assert abs(_feet(motion, truth.body)[..., 2].min()) < 0.05


def test_a_clip_in_which_the_person_is_never_sure_still_gives_a_motion(walk: GetWalk) -> None:
    truth = walk("cmu_bvh/07_01")
    lifted, track = seen_by(truth, look_at(truth.root_m, *VIEWS["level"]), seed=1)
    unsure = replace(lifted, confidence=np.zeros_like(lifted.confidence))
    motion = _world([(unsure, track)], truth.body)[0]
    assert np.isfinite(motion.joints).all() and not motion.foot_contact.any()


def test_joints_answer_to_poses_and_the_file_holds_what_was_given(walk: GetWalk) -> None:
    truth = walk("cmu_bvh/07_01")
    seen = seen_by(truth, look_at(truth.root_m, *VIEWS["level"]), seed=1)
    rows = np.arange(len(seen[1]))
    motion = to_world(
        [seen[0]], [seen[1]], truth.body, rows + 7, rows / FPS + 0.5, meta={"source": "walk.mp4"}
    )[0]
    posed = pose_figure(
        figure_of(truth.body, motion.betas.astype(float)),
        rotvec_to_rotmat(motion.rotvec.astype(float)), motion.trans.astype(float),
    )  # fmt: skip
    np.testing.assert_allclose(motion.joints, posed.joints_m, atol=1e-5)
    assert motion.frame_index[0] == 7 and motion.time_s[0] == 0.5
    assert motion.meta["source"] == "walk.mp4" and motion.meta["person"] == 0
    assert motion.mocap_framerate == FPS and motion.body_id == truth.body.body_id


def test_arrays_that_do_not_belong_together_are_refused(walk: GetWalk) -> None:
    truth = walk("cmu_bvh/07_01")
    lifted, _ = seen_by(truth, look_at(truth.root_m, *VIEWS["level"]))
    with pytest.raises(BadShape, match="do not answer"):
        _world([(lifted, empty_track(len(lifted), person_id=3))], truth.body)
