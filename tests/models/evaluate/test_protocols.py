"""Every array of the public evaluators' numbers, and what must hold of any numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.engine.body.model_joints import BODY_44_NAMES
from extpose_blender.engine.metrics import pa_mpjpe, procrustes_align
from extpose_blender.protocol.errors import BadShape
from models.evaluate.protocols.body import COMPARED, body_errors, joint_errors
from models.evaluate.protocols.hands import (
    HO3D_ORDER,
    align_or_mirror,
    area_under_curve,
    f_score,
    hand_scores,
)
from models.evaluate.protocols.keypoints import (
    body_kp_l2,
    body_pck,
    hand_keypoints_px,
    hand_pck,
)
from models.evaluate.protocols.video import (
    FOURTEEN_OF_17,
    HIPS_OF_14,
    joints_of_mesh,
    video_errors,
)

Archive = np.lib.npyio.NpzFile


@pytest.fixture
def metrics(shared_fixture: Callable[[str], Archive]) -> Archive:
    return shared_fixture("metrics.npz")


def test_procrustes_agrees(metrics: Archive) -> None:
    estimate, truth = (metrics[f"procrustes/{n}"] for n in ("S1_pred_m", "S2_gt_m"))
    aligned = procrustes_align(estimate.astype(float), truth.astype(float))
    assert 1000 * aligned == pytest.approx(1000 * metrics["procrustes/S1_hat"], abs=1e-3)
    expected = 1000 * metrics["procrustes/recon_error_m"]
    assert 1000 * pa_mpjpe(estimate, truth) == pytest.approx(expected, abs=1e-3)


def test_pose_errors_agree(metrics: Archive) -> None:
    found = joint_errors(metrics["procrustes/S1_pred_m"], metrics["procrustes/S2_gt_m"])
    assert found.mpjpe_mm == pytest.approx(metrics["eval_pose/mpjpe_mm"], abs=1e-3)
    assert found.pa_mpjpe_mm == pytest.approx(metrics["eval_pose/pa_mpjpe_mm"], abs=1e-3)


def test_body_errors_agree(metrics: Archive) -> None:
    found = body_errors(metrics["body_eval/pred3d"], metrics["body_eval/gt3d_conf"][..., :3])
    assert found.mpjpe_mm == pytest.approx(metrics["body_eval/mpjpe_mm"], abs=1e-3)
    assert found.pa_mpjpe_mm == pytest.approx(metrics["body_eval/pa_mpjpe_mm"], abs=1e-3)
    assert list(COMPARED) == metrics["body_eval/keypoint_list"].tolist()


def test_body_keypoints_agree(metrics: Archive) -> None:
    points, truth = metrics["body_eval/pred2d"], metrics["body_eval/gt2d_conf"]
    tight = 200 * metrics["body_eval/scale"]
    near, far = body_pck(points, truth, metrics["body_eval/box_size"], tight)
    assert near.mean == pytest.approx(metrics["body_eval/pck_avg_0.05"], abs=1e-6)
    assert far.mean == pytest.approx(metrics["body_eval/pck_avg_0.1"], abs=1e-6)
    assert near.per_keypoint == pytest.approx(metrics["body_eval/pck_per_kp_0.05"], abs=1e-6)
    assert body_kp_l2(points, truth) == pytest.approx(metrics["body_eval/kpl2"], abs=1e-6)


def test_hand_keypoints_agree(metrics: Archive) -> None:
    side = metrics["hand_pck/box_size"]
    points = hand_keypoints_px(
        metrics["hand_pck/pred2d_norm"],
        metrics["hand_pck/right"],
        metrics["hand_pck/box_center"],
        side,
    )
    tight = side / metrics["hand_pck/bbox_expand_factor"]
    found = hand_pck(points, metrics["hand_pck/gt2d_px_conf"], tight)
    for pck, limit in zip(found, ("0.05", "0.1", "0.15"), strict=True):
        assert pck.mean == pytest.approx(metrics[f"hand_pck/avg_{limit}"], abs=1e-6)
        expected = metrics[f"hand_pck/per_kp_{limit}"]
        assert pck.per_keypoint == pytest.approx(expected, abs=1e-6)


def test_video_errors_agree(metrics: Archive) -> None:
    names = ("pred_j14", "gt_j14", "pred_verts", "gt_verts")
    found = video_errors(*(metrics[f"video_eval/{name}"] for name in names))
    assert found.mpjpe_mm == pytest.approx(metrics["video_eval/mpjpe_mm"], abs=1e-3)
    assert found.pa_mpjpe_mm == pytest.approx(metrics["video_eval/pa_mpjpe_mm"], abs=1e-3)
    assert found.pve_mm == pytest.approx(metrics["video_eval/pve_mm"], abs=1e-3)
    expected = metrics["video_eval/accel_err_mps2_30fps"]
    assert found.acceleration_m_s2 == pytest.approx(expected, rel=1e-5)
    assert np.array_equal(found.counted_acceleration, found.acceleration_m_s2[1:-1])


def test_hand_scores_agree(metrics: Archive) -> None:
    names = ("pred_xyz_m", "gt_xyz_m", "pred_verts_m", "gt_verts_m")
    joints, truth, vertices, mesh = (metrics[f"hand_eval/{name}"] for name in names)
    aligned = align_or_mirror(joints, truth)
    assert 1000 * aligned == pytest.approx(1000 * metrics["hand_eval/aligned_xyz"], abs=1e-3)
    aligned = align_or_mirror(vertices, mesh)
    assert 1000 * aligned == pytest.approx(1000 * metrics["hand_eval/aligned_verts"], abs=1e-3)
    per_hand = metrics["hand_eval/f_aligned_5_15mm_per_sample"]
    for one, one_mesh, expected in zip(aligned, mesh, per_hand, strict=True):
        found_f = [f_score(one, one_mesh, limit) for limit in (0.005, 0.015)]
        assert found_f == pytest.approx(expected, abs=1e-6)
    found = hand_scores(joints, truth, vertices, mesh)
    assert found.pa_mpjpe_mm == pytest.approx(1000 * metrics["hand_eval/pa_mpjpe_m"], abs=1e-3)
    assert found.pa_mpvpe_mm == pytest.approx(1000 * metrics["hand_eval/pa_mpvpe_m"], abs=1e-3)
    assert found.auc_joints == pytest.approx(metrics["hand_eval/auc_j"], abs=1e-6)
    assert found.auc_vertices == pytest.approx(metrics["hand_eval/auc_v"], abs=1e-6)
    assert [found.f_at_5mm, found.f_at_15mm] == pytest.approx(per_hand.mean(axis=0), abs=1e-6)


def test_lists_are_the_published_ones(shared_path: Callable[[str], Path]) -> None:
    constants = json.loads(shared_path("fixtures/constants.json").read_text(encoding="utf-8"))
    evaluation, joints = constants["eval"], constants["joints"]
    assert list(COMPARED) == evaluation["hmr2_keypoint_list_3dpw_h36m"]
    assert list(HIPS_OF_14) == evaluation["wham_pelvis_from_j14"]
    assert list(HO3D_ORDER) == joints["openpose21_to_ho3d"]
    assert list(BODY_44_NAMES) == joints["body44_names"]


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_hands_may_be_mirrored_by_the_alignment(mirror: float) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(3, 21, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3, 3)))
    moved = 0.3 * (truth * [mirror, 1, 1]) @ turn + rng.normal(size=(3, 1, 3))
    assert align_or_mirror(moved, truth) == pytest.approx(truth, abs=1e-6)


def test_alignments_agree_where_nothing_needs_mirroring() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(5, 21, 3))
    points = truth + rng.normal(scale=0.05, size=truth.shape)
    assert align_or_mirror(points, truth) == pytest.approx(
        procrustes_align(points, truth), abs=1e-6
    )


def test_area_of_equal_errors_is_known() -> None:
    steps = 100
    assert area_under_curve(np.zeros((4, 21))) == 1.0
    assert area_under_curve(np.full((4, 21), 0.051)) == 0.0
    half = area_under_curve(np.full((4, 21), 0.025), steps=steps)
    assert half == pytest.approx(0.5, abs=1 / steps)


def test_f_score_by_hand() -> None:
    truth = np.array([[0.0, 0, 0], [1.0, 0, 0]])
    points = np.array([[0.0, 0, 0.004], [1.0, 0, 0.006], [5.0, 0, 0]])
    assert f_score(points, truth, 0.005) == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert f_score(points, truth, 0.004) == 0.0  # on the threshold is outside


def test_thresholds_are_open_for_bodies_and_closed_for_hands() -> None:
    truth = np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 0.5]]])
    points = np.array([[[0.0625, 0.0], [0.0, 0.0]]])
    one, tight = np.ones(1), np.ones((1, 2))
    body = body_pck(points, truth, one, tight, thresholds=(0.0625,))[0]
    hand = hand_pck(points, truth, one, thresholds=(0.0625,))[0]
    assert (body.mean, hand.mean) == (0.0, 1.0)
    assert np.isnan(body.per_keypoint[1]) and np.isnan(hand.per_keypoint[1])  # not sure enough


def test_mesh_joints_are_weighted_means_in_the_fields_order() -> None:
    vertices = np.random.default_rng(2).normal(size=(2, 17, 3))
    found = joints_of_mesh(vertices, np.eye(17))
    assert np.array_equal(found, vertices[:, list(FOURTEEN_OF_17)])
    with pytest.raises(BadShape, match="regressor_17"):
        joints_of_mesh(vertices, np.eye(16))


def test_a_track_of_two_frames_has_no_acceleration() -> None:
    joints, mesh = np.zeros((2, 14, 3)), np.zeros((2, 5, 3))
    found = video_errors(joints, joints, mesh, mesh)
    assert len(found.acceleration_m_s2) == 0 == len(found.counted_acceleration)
