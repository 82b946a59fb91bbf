"""From predictions to a body in the camera: people whose place and pose are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.load import Body, load_body
from extpose_blender.engine.body.relaxed import relaxed_rest
from extpose_blender.engine.lift.extpose import place
from extpose_blender.engine.lift.extpose.blend import RowPredictions
from extpose_blender.engine.lift.extpose.camera import translation_in_full
from extpose_blender.engine.lift.extpose.place import CameraPose, assemble_track, fill_pose
from extpose_blender.engine.lift.fit.lifter import FitLifter
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.flow import Intrinsics, LiftedTrack
from extpose_blender.protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from extpose_blender.protocol.skeletons import SMPLH_52
from tests.engine.lift.extpose.ideal_network import (
    LIMBS,
    Scene,
    joints_of,
    joints_px,
    moving,
    scene,
)

WIDE = Intrinsics(600.0, 1280, 720, "given")
"""94 degrees across."""
PHONE = Intrinsics(1100.0, 1280, 720, "given")
TELE = Intrinsics(5000.0, 1280, 720, "given")
BASE = Intrinsics(5000.0 / 256 * 1280, 1280, 720, "given")
"""The focal length that the base models assume."""


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def lift(made: Scene, body: Body, camera: Intrinsics, height_m: float | None = None) -> LiftedTrack:
    return assemble_track(made.track, made.predictions, body, "open", camera, height_m)


def miss_share(lifted: LiftedTrack, made: Scene, body: Body, camera: Intrinsics) -> float:
    """Mean distance of the limb joints in the picture, shares of the person's height."""
    found = joints_px(joints_of(lifted, body), camera)
    return float(np.linalg.norm(found - made.joints_px, axis=-1)[:, LIMBS].mean() / made.height_px)


def turn_error_deg(rotmat: np.ndarray, wanted: np.ndarray) -> float:
    turn = np.swapaxes(rotmat, -1, -2) @ wanted
    return float(np.degrees(np.linalg.norm(rotmat_to_rotvec(turn), axis=-1)).max())


def without_rays(lifted: LiftedTrack, made: Scene, camera: Intrinsics) -> LiftedTrack:
    """What the base models' own conversion gives: nothing turned, the closed form's place."""
    said = made.predictions
    picture = torch.tensor([camera.width, camera.height], dtype=torch.float64)
    transl = translation_in_full(
        *(torch.tensor(a, dtype=torch.float64) for a in
          (said.camera, said.center_xy_px, said.side_px)), picture, camera.focal_px,
    )  # fmt: skip
    rotvec = lifted.rotvec.copy()
    rotvec[:, 0] = rotmat_to_rotvec(said.rotmat[:, 0].astype(float))
    return replace(lifted, rotvec=rotvec, transl_m=transl.numpy().astype(np.float32))


@pytest.mark.parametrize(
    ("camera", "pelvis_m"),
    [
        (WIDE, (2.4, 0.2, 3.0)),
        (WIDE, (-3.5, 1.2, 4.0)),
        (WIDE, (1.2, 0.2, 1.8)),
        (PHONE, (1.8, 0.0, 4.0)),
    ],
    ids=["edge", "corner", "near", "phone"],
)
def test_at_the_edge_of_a_picture_the_body_lies_on_the_person(
    body: Body, camera: Intrinsics, pelvis_m: tuple[float, float, float]
) -> None:
    made = scene(body, camera, pelvis_m)
    lifted = lift(made, body, camera)
    assert miss_share(lifted, made, body, camera) < 0.01
    assert turn_error_deg(rotvec_to_rotmat(lifted.rotvec[:, 0]), made.rotmat[:, 0]) < 0.01
    distance = np.linalg.norm(made.joints_m[:, 0], axis=-1).mean()
    miss_m = np.linalg.norm(joints_of(lifted, body) - made.joints_m, axis=-1).mean()
    assert miss_m < 0.02 * distance, "one view tells depth worst"
    naive = without_rays(lifted, made, camera)
    assert miss_share(naive, made, body, camera) > 0.03
    assert turn_error_deg(rotvec_to_rotmat(naive.rotvec[:, 0]), made.rotmat[:, 0]) > 20


@pytest.mark.parametrize(
    ("camera", "depth_m"), [(WIDE, 3.0), (PHONE, 4.0), (TELE, 20.0)], ids=["wide", "phone", "tele"]
)
def test_in_the_middle_too(body: Body, camera: Intrinsics, depth_m: float) -> None:
    made = scene(body, camera, (0.0, 0.0, depth_m))
    lifted = lift(made, body, camera)
    assert miss_share(lifted, made, body, camera) < 0.003
    assert np.linalg.norm(joints_of(lifted, body) - made.joints_m, axis=-1).mean() < 0.02


def test_where_crop_and_picture_are_the_same_camera_the_place_is_exact(body: Body) -> None:
    """A crop in the middle of a picture whose focal length has 5000 to 256 to the crop's side."""
    rows = 5
    side = 400.0
    camera = Intrinsics(5000 / 256 * side, 1280, 720, "given")
    rotmat = moving(rows)
    cameras = np.tile([0.9, 0.05, 0.1], (rows, 1))
    predictions = RowPredictions(
        rotmat, cameras, np.zeros(10), np.tile([640.0, 360.0], (rows, 1)), np.full(rows, side),
        np.ones(rows, bool),
    )  # fmt: skip
    track = scene(body, camera, (0.0, 0.0, 45.0), rows).track
    lifted = assemble_track(track, predictions, body, "open", camera)
    wanted = [0.05, 0.1, 2 * 5000 / (256 * 0.9)]
    assert np.allclose(lifted.transl_m, wanted, rtol=1e-6, atol=1e-6)
    assert np.allclose(lifted.rotvec[:, :22], rotmat_to_rotvec(rotmat)[:, :22], atol=1e-6)


def test_with_the_base_models_own_focal_length_nothing_is_turned(body: Body) -> None:
    made = scene(body, BASE, (2.0, 0.3, 100.0), turned=False)
    lifted = lift(made, body, BASE)
    naive = without_rays(lifted, made, BASE)
    assert np.allclose(lifted.rotvec, naive.rotvec, atol=1e-6)
    assert np.allclose(lifted.transl_m, naive.transl_m, rtol=5e-3, atol=0.02)


def test_metres_do_not_depend_on_the_number_of_pixels(body: Body) -> None:
    made = scene(body, WIDE, (1.5, 0.2, 3.0))
    double = Intrinsics(1200.0, 2560, 1440, "given")
    twice = replace(
        made.predictions,
        center_xy_px=2 * made.predictions.center_xy_px,
        side_px=2 * made.predictions.side_px,
    )
    keypoints = made.track.keypoints_2d * np.array([2, 2, 1], np.float32)
    once = lift(made, body, WIDE)
    again = assemble_track(replace(made.track, keypoints_2d=keypoints), twice, body, "open", double)
    for name in ("rotvec", "transl_m", "confidence"):
        assert np.allclose(getattr(once, name), getattr(again, name), atol=1e-4), name


def test_limbs_outside_the_crop_count_little(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """Legs below the crop are guesses of the network: they must not place the rest of the body."""
    made = scene(body, PHONE, (0.3, 0.2, 4.0), crop_up=0.35)
    rotmat = made.predictions.rotmat.copy()
    rotmat[:, 1:3] = rotvec_to_rotmat(np.array([-1.0, 0, 0]))
    rotmat[:, 4:6] = rotvec_to_rotmat(np.array([1.0, 0, 0]))
    guessed = replace(made.predictions, rotmat=rotmat)

    def miss_m() -> float:
        lifted = assemble_track(made.track, guessed, body, "open", PHONE)
        return float(np.abs(joints_of(lifted, body)[:, 0] - made.joints_m[:, 0]).max())

    found = miss_m()
    monkeypatch.setattr(place, "_OUTSIDE", 1.0)
    assert found < 0.8 * miss_m()
    assert found < 0.04 * made.joints_m[:, 0, 2].mean()


def unseen(made: Scene, rows: slice | list[int]) -> RowPredictions:
    """The predictions without some rows, which hold nonsense."""
    seen, rotmat = made.predictions.seen.copy(), made.predictions.rotmat.copy()
    camera, side = made.predictions.camera.copy(), made.predictions.side_px.copy()
    seen[rows], rotmat[rows], camera[rows], side[rows] = False, 0.0, 0.0, 0.0
    return replace(made.predictions, seen=seen, rotmat=rotmat, camera=camera, side_px=side)


def test_rows_between_are_turned_evenly_and_have_no_confidence(body: Body) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0), rows=14)
    lifted = assemble_track(made.track, unseen(made, slice(4, 9)), body, "open", PHONE)
    assert (lifted.confidence[4:9] == 0).all() and (lifted.confidence[[3, 9], :22] > 0.3).all()
    turns = rotvec_to_rotmat(lifted.rotvec[3:10, :22].astype(float))
    steps = rotmat_to_rotvec(np.swapaxes(turns[:-1], -1, -2) @ turns[1:])
    assert np.abs(steps - steps[0]).max() < 1e-5
    assert np.allclose(np.diff(lifted.transl_m[3:10], n=2, axis=0), 0, atol=1e-5)
    assert any("5 rows" in note for note in lifted.notes)


def test_rows_before_and_after_hold_the_nearest_pose(body: Body) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0), rows=10)
    predictions = unseen(made, [0, 1, 2, 8, 9])
    lifted = assemble_track(made.track, predictions, body, "open", PHONE)
    for rows, nearest in ((slice(0, 3), 3), (slice(8, 10), 7)):
        assert (lifted.rotvec[rows] == lifted.rotvec[nearest]).all()
        assert (lifted.transl_m[rows] == lifted.transl_m[nearest]).all()
        assert (lifted.confidence[rows] == 0).all()
    assert lifted.notes == ()


def test_filling_goes_the_shorter_way_round() -> None:
    turns = rotvec_to_rotmat(np.array([[[0, 0, 3.0]], [[0, 0, -3.0]]]))
    pose = fill_pose(CameraPose(turns, np.array([[0.0, 0, 1], [0, 0, 3]])), np.array([1, 0, 1]) > 0)
    assert np.allclose(np.abs(rotmat_to_rotvec(pose.rotmat)[1, 0, 2]), np.pi, atol=1e-6)
    assert np.allclose(pose.pelvis_m[1], [0, 0, 2])


def test_one_row_is_a_clip(body: Body) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0), rows=1)
    assert miss_share(lift(made, body, PHONE), made, body, PHONE) < 0.003


def test_rows_of_nonsense_are_left_out_and_said(body: Body) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0), rows=8)
    camera = made.predictions.camera.copy()
    camera[3], camera[4] = (-0.4, 0, 0), (0.0, 0, 0)
    lifted = assemble_track(
        made.track, replace(made.predictions, camera=camera), body, "open", PHONE
    )
    assert (lifted.confidence[3:5] == 0).all()
    assert miss_share(lifted, made, body, PHONE) < 0.01
    assert any("2 rows were left out" in note for note in lifted.notes)


@pytest.mark.parametrize("height_m", [1.5, 1.9])
def test_a_given_height_scales_body_and_distance(body: Body, height_m: float) -> None:
    made = scene(body, PHONE, (0.4, 0.1, 4.0))
    plain, scaled = lift(made, body, PHONE), lift(made, body, PHONE, height_m)
    stature = np.ptp(body.vertices_rest(scaled.betas)[:, 1])
    assert stature == pytest.approx(height_m, abs=0.01)
    was = np.ptp(body.vertices_rest(plain.betas)[:, 1])
    depth = joints_of(scaled, body)[:, 0, 2] / joints_of(plain, body)[:, 0, 2]
    assert depth == pytest.approx(stature / was, rel=0.02)
    assert miss_share(scaled, made, body, PHONE) < 0.01


def test_betas_of_the_same_body_are_taken_as_they_are(body: Body) -> None:
    betas = np.array([0.5, -1.0, 0.8, 0, 0.3, 0, 0, 0, 0, 0], np.float32)
    made = scene(body, PHONE, (0.4, 0.1, 4.0), betas=betas)
    lifted = lift(made, body, PHONE)
    assert (lifted.betas == betas).all()
    assert miss_share(lifted, made, body, PHONE) < 0.003


def test_fingers_are_relaxed_and_the_rest_is_the_networks(body: Body) -> None:
    made = scene(body, PHONE, (0.4, 0.1, 4.0))
    lifted = lift(made, body, PHONE)
    assert (lifted.rotvec[:, 22:] == relaxed_rest(SMPLH_52)[22:]).all()
    wanted = rotmat_to_rotvec(made.rotmat[:, 1:22])
    assert np.allclose(lifted.rotvec[:, 1:22], wanted, atol=1e-5)
    assert (lifted.model_type, lifted.body_id, lifted.fps) == ("smplh", "open", 30.0)


def test_confidence_falls_where_keypoints_disagree_or_are_missing(body: Body) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0))
    plain = lift(made, body, PHONE).confidence
    assert (plain[:, :22] > 0.6).all()
    index = body.joint_names.index
    points = made.track.points.index
    keypoints = made.track.keypoints_2d.copy()
    keypoints[:, points["left_wrist"], 0] += 200
    keypoints[:, points["right_ankle"], 2] = 0.0
    track = replace(made.track, keypoints_2d=keypoints)
    harmed = assemble_track(track, made.predictions, body, "open", PHONE).confidence
    assert (harmed[:, index("left_elbow")] < 0.7 * plain[:, index("left_elbow")]).all()
    assert (harmed[:, index("right_ankle")] < 0.05).all()
    assert np.allclose(harmed[:, index("right_elbow")], plain[:, index("right_elbow")], atol=0.05)
    assert (harmed[:, index("left_index1")] == harmed[:, index("left_wrist")]).all()


def test_a_row_without_keypoints_has_no_confidence(body: Body) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0))
    keypoints = made.track.keypoints_2d.copy()
    keypoints[2] = 0.0
    track = replace(made.track, keypoints_2d=keypoints)
    confidence = assemble_track(track, made.predictions, body, "open", PHONE).confidence
    assert (confidence[2] == 0).all() and (confidence[[1, 3], :22] > 0.5).all()


def test_coco_points_bear_witness_too(body: Body) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0), skeleton="coco17")
    assert (lift(made, body, PHONE).confidence[:, :22] > 0.6).all()


def test_a_long_clip_is_placed_in_blocks_without_seams(
    body: Body, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0), rows=20)
    whole = lift(made, body, PHONE)
    monkeypatch.setattr(place, "_BLOCK_ROWS", 7)
    parts = lift(made, body, PHONE)
    for name in ("rotvec", "transl_m", "confidence"):
        assert np.allclose(getattr(whole, name), getattr(parts, name), atol=1e-6), name


def test_fit_begins_at_what_was_placed(body: Body) -> None:
    """The whole way of `--refine fit`: COCO points, a network that is a little off, a wide view."""
    made = scene(body, WIDE, (1.8, 0.1, 3.0), rows=40, skeleton="coco17")
    generator = np.random.default_rng(0)
    noise = rotvec_to_rotmat(0.12 * generator.normal(size=(40, 24, 3)))
    off = (made.predictions.rotmat @ noise).astype(np.float32)
    start = assemble_track(made.track, replace(made.predictions, rotmat=off), body, "open", WIDE)
    fit = FitLifter(body)
    alone, begun = fit(made.track, WIDE), fit(made.track, WIDE, start=start)

    def error_m(lifted: LiftedTrack) -> float:
        joints, wanted = joints_of(lifted, body)[:, LIMBS], made.joints_m[:, LIMBS]
        joints, wanted = (j - j.mean(1, keepdims=True) for j in (joints, wanted))
        return float(np.linalg.norm(joints - wanted, axis=-1).mean())

    assert error_m(begun) < error_m(start)
    assert error_m(begun) < 0.9 * error_m(alone)
    assert miss_share(begun, made, body, WIDE) < miss_share(start, made, body, WIDE)


def test_what_cannot_be_placed_is_refused(body: Body) -> None:
    made = scene(body, PHONE, (0.2, 0.0, 4.0))
    nobody = replace(made.predictions, seen=np.zeros(6, bool))
    with pytest.raises(BadShape, match="no row"):
        assemble_track(made.track, nobody, body, "open", PHONE)
    longer = scene(body, PHONE, (0.2, 0.0, 4.0), rows=7)
    with pytest.raises(BadShape, match="7 rows, the predictions 6"):
        assemble_track(longer.track, made.predictions, body, "open", PHONE)
