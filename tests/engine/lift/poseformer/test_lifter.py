"""The lifter `poseformer`, with weights that are made up and with those that ship."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.lift.poseformer.config import PoseFormerConfig
from extpose_blender.engine.lift.poseformer.lifter import PoseFormerLifter
from extpose_blender.engine.lift.poseformer.network import PoseFormer
from extpose_blender.engine.lift.poseformer.predict import cut_rows, predict_rows
from extpose_blender.engine.lift.poseformer.weights_file import TrainedFor, write_weights
from extpose_blender.protocol.errors import BadModelFile, Cancelled, NoPerson, UsageError
from extpose_blender.protocol.flow import LiftedTrack, Track
from tests.engine.lift.synthetic import CAMERA, aligned_error_mm, joints_of, walking_person


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = PoseFormer(PoseFormerConfig(frames=9, dim=32, depth=1, heads=2))
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    write_weights(path, net, TrainedFor("open", "mediapipe33", "CC0-1.0", "a test"), torch.float32)
    return path


@pytest.fixture(scope="module")
def small(small_file: Path) -> PoseFormerLifter:
    return PoseFormerLifter(load_body("open"), weights=str(small_file))


@pytest.mark.parametrize("rows", [1, 8, 9, 10, 31])
def test_every_row_gets_a_pose(small: PoseFormerLifter, rows: int) -> None:
    lifted = small(walking_person(rows=rows).track, CAMERA)
    assert len(lifted) == rows
    assert np.isfinite(lifted.transl_m).all()
    assert (lifted.transl_m[:, 2] > 0).all()


def test_an_untrained_network_puts_a_body_where_the_person_is(small: PoseFormerLifter) -> None:
    person = walking_person()
    lifted = small(person.track, CAMERA)
    off = np.linalg.norm(joints_of(lifted)[:, 0, :2] - person.joints_m[:, 0, :2], axis=-1)
    assert off.mean() < 1.0


def test_rows_that_were_not_seen_lie_between(small: PoseFormerLifter) -> None:
    track = walking_person(rows=40).track
    seen, keypoints, hints = track.seen.copy(), track.keypoints_2d.copy(), track.hints_3d_m.copy()
    seen[:4] = seen[15:24] = seen[36:] = False
    keypoints[~seen], hints[~seen] = 0, 0
    entries = np.where(seen, 0, -1).astype(np.int32)
    gaps = replace(track, seen=seen, keypoints_2d=keypoints, hints_3d_m=hints, entries=entries)
    lifted = small(gaps, CAMERA)
    assert (lifted.confidence[~seen] == 0).all()
    assert (lifted.confidence[seen].max(-1) > 0).all()
    np.testing.assert_array_equal(lifted.rotvec[0], lifted.rotvec[4])
    steps = np.linalg.norm(np.diff(lifted.transl_m[14:25], axis=0), axis=-1)
    assert np.ptp(steps) < 0.05


def test_windows_cover_all_rows_and_are_as_long_as_they_can_be() -> None:
    for rows in (1, 5, 9, 10, 17, 18, 50):
        found = np.ones(rows, bool)
        windows = list(cut_rows(found, 9, 3))
        covered = np.zeros(rows, int)
        for window in windows:
            covered[window] += 1
            assert window.stop - window.start == min(9, rows)
        assert covered.min() >= 1
    assert list(cut_rows(np.zeros(20, bool), 9, 3)) == []
    gap = np.ones(60, bool)
    gap[10:45] = False
    assert all(gap[window].any() for window in cut_rows(gap, 9, 3))


def test_a_long_clip_ends_as_a_short_one_does(small: PoseFormerLifter) -> None:
    # More windows than go through the network at once, and the same rows where windows agree.
    track = walking_person(rows=400).track
    whole = small(track, CAMERA)
    first = {
        name: getattr(track, name)[:100]
        for name in ("keypoints_2d", "hints_3d_m", "hands_2d", "seen", "entries")
    }
    part = small(replace(track, **first), CAMERA)
    torch.testing.assert_close(
        torch.tensor(part.rotvec[:80]), torch.tensor(whole.rotvec[:80]), atol=2e-3, rtol=0
    )


def test_progress_is_told_and_may_stop_the_work(small: PoseFormerLifter) -> None:
    track = walking_person(rows=50).track
    told: list[tuple[int, int]] = []
    parts: list[tuple[slice, LiftedTrack]] = []
    lifted = small(
        track,
        CAMERA,
        on_progress=lambda done, of: told.append((done, of)),
        on_window=lambda rows, part: parts.append((rows, part)),
    )
    assert told[-1] == (50, 50)
    ((rows, part),) = parts
    np.testing.assert_array_equal(part.rotvec, lifted.rotvec[rows])

    def stop(done: int, of: int) -> None:
        raise Cancelled("Stopped as asked")

    with pytest.raises(Cancelled):
        small(track, CAMERA, on_progress=stop)


def test_a_given_height_sets_the_scale(small: PoseFormerLifter) -> None:
    lifted = small(walking_person().track, CAMERA, height_m=1.9)
    vertices = load_body("open").vertices_rest(lifted.betas)
    assert np.ptp(vertices[:, 1]) == pytest.approx(1.9, abs=0.02)


def test_other_points_are_refused_and_nobody_is_said(small: PoseFormerLifter) -> None:
    with pytest.raises(UsageError, match="coco17"):
        small(walking_person(skeleton="coco17").track, CAMERA)
    track = walking_person(rows=5).track
    nobody = replace(track, keypoints_2d=0 * track.keypoints_2d, seen=track.seen & False)
    with pytest.raises(NoPerson):
        small(nobody, CAMERA)


def test_weights_that_place_nobody_are_told(small_file: Path, tmp_path: Path) -> None:
    net = PoseFormer(PoseFormerConfig(frames=9, dim=32, depth=1, heads=2))
    with torch.no_grad():
        net.camera.bias[0] = -9.0
    path = tmp_path / "far.safetensors"
    write_weights(path, net, TrainedFor("open", "mediapipe33", "CC0-1.0", "a test"))
    with pytest.raises(BadModelFile, match="untrained"):
        PoseFormerLifter(load_body("open"), weights=str(path))(walking_person().track, CAMERA)


def test_its_result_depends_on_the_weights(small: PoseFormerLifter, small_file: Path) -> None:
    assert small.model_files() == [small_file]
    assert len(small.identity["weights"]) == 64


def test_long_and_short_windows_agree_on_one_prediction_per_row() -> None:
    torch.manual_seed(0)
    net = PoseFormer(PoseFormerConfig(frames=9, dim=32, depth=1, heads=2)).eval()
    rows = predict_rows(net, walking_person(rows=30).track, CAMERA)
    assert len(rows) == 30
    assert rows.seen.all()


@pytest.fixture(scope="module")
def shipped() -> PoseFormerLifter:
    """With the weights in the repository."""
    return PoseFormerLifter(load_body("open"))


@pytest.mark.parametrize("turn_deg", [0.0, 60.0, 120.0, 180.0, 270.0])
def test_the_shipped_weights_lift_a_walk(shipped: PoseFormerLifter, turn_deg: float) -> None:
    person = walking_person(turn_deg=turn_deg)
    lifted = shipped(person.track, CAMERA)
    assert aligned_error_mm(joints_of(lifted), person.joints_m) < 60


def test_the_shipped_weights_do_without_hints(shipped: PoseFormerLifter) -> None:
    person = walking_person(hints=False)
    assert aligned_error_mm(joints_of(shipped(person.track, CAMERA)), person.joints_m) < 90


def test_the_shipped_weights_move_the_mirrored_person_in_the_mirror(
    shipped: PoseFormerLifter,
) -> None:
    track = walking_person().track
    joints = joints_of(shipped(track, CAMERA))
    mirrored = joints_of(shipped(_mirrored(track), CAMERA))
    order = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20]
    np.testing.assert_allclose(mirrored[:, order] * [-1, 1, 1], joints, atol=0.02)


def _mirrored(track: Track) -> Track:
    order = list(track.points.mirror)
    keypoints = track.keypoints_2d[:, order].copy()
    keypoints[..., 0] = CAMERA.width - keypoints[..., 0]
    hints = track.hints_3d_m[:, order] * np.array([-1, 1, 1, 1], np.float32)
    return replace(track, keypoints_2d=keypoints, hints_3d_m=hints)
