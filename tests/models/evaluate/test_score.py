"""Zero for the truth itself, blind to what it should ignore, equal to known numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.skeletons import LIMB_JOINTS
from models.evaluate.estimates import Estimate, mediapipe_world
from models.evaluate.score import Score, overall, score, score_pair, table_row
from models.evaluate.truth import TruthClip, shared_clips

HIPS = ("left_hip", "right_hip")


@pytest.fixture
def clip() -> TruthClip:
    joints = np.random.default_rng(0).normal(size=(9, 12, 3))
    return TruthClip("made-up", Path("none.mp4"), 30.0, LIMB_JOINTS, joints, HIPS)


def estimate(joints: np.ndarray) -> Estimate:
    return Estimate(joints, np.isfinite(joints).all(axis=(1, 2)))


def test_the_truth_has_no_error(clip: TruthClip) -> None:
    found = score(clip, estimate(clip.joints_m + np.array([1.0, 2.0, 3.0])))
    assert (found.pa_mpjpe_mm, found.mpjpe_mm) == pytest.approx((0, 0), abs=1e-9)
    assert found.acceleration_m_s2 == pytest.approx(0, abs=1e-9)
    assert (found.rows, found.coverage) == (9, 1.0)


def test_a_turn_costs_mpjpe_but_not_pa(clip: TruthClip) -> None:
    turned = clip.joints_m @ rotvec_to_rotmat(np.array([0.0, 0.5, 0.0])).T
    found = score(clip, estimate(1.3 * turned))
    assert found.pa_mpjpe_mm == pytest.approx(0, abs=1e-9)
    assert found.mpjpe_mm > 100


def test_acceleration_is_in_metres_per_second_squared(clip: TruthClip) -> None:
    seconds = np.arange(9)[:, None] / clip.fps
    moved = clip.joints_m.copy()
    moved[:, 0, 0] += 0.5 * 4.0 * seconds[:, 0] ** 2  # one shoulder of twelve joints
    assert score(clip, estimate(moved)).acceleration_m_s2 == pytest.approx(4.0 / 12)


def test_pictures_that_one_misses_count_for_neither(clip: TruthClip) -> None:
    wrong = clip.joints_m.copy()
    wrong[4] += np.random.default_rng(1).normal(size=(12, 3))
    hidden = clip.joints_m.copy()
    hidden[4] = np.nan
    first, second = score_pair(clip, estimate(wrong), estimate(hidden))
    assert first.pa_mpjpe_mm == pytest.approx(0, abs=1e-9)
    assert (first.rows, second.rows) == (8, 8)
    assert (first.coverage, second.coverage) == (1.0, pytest.approx(8 / 9))


def test_unknown_truth_is_left_out(clip: TruthClip) -> None:
    joints = clip.joints_m.copy()
    joints[2, 5] = np.nan
    found = score(replace(clip, joints_m=joints), estimate(clip.joints_m))
    assert (found.rows, found.coverage) == (8, 1.0)
    assert np.isfinite(found.acceleration_m_s2)


def test_nothing_in_common_gives_no_number_and_no_weight(clip: TruthClip) -> None:
    nothing = score(clip, estimate(np.full_like(clip.joints_m, np.nan)))
    assert (nothing.rows, nothing.coverage) == (0, 0.0)
    some = Score(10, 1.0, 50.0, 80.0, 3.0)
    assert overall([nothing, some]).pa_mpjpe_mm == 50.0
    assert "50.0" in table_row("clip", some, nothing)


def test_agrees_with_the_public_evaluation(
    shared_fixture: Callable[[str], np.lib.npyio.NpzFile], clip: TruthClip
) -> None:
    data = shared_fixture("metrics.npz")
    joints, truth = data["video_eval/pred_j14"], data["video_eval/gt_j14"]
    names = tuple(f"joint{i}" for i in range(14))
    known = replace(
        clip, joint_names=names, joints_m=truth.astype(float), root=("joint2", "joint3")
    )
    found = score(known, estimate(joints.astype(float)))
    assert found.mpjpe_mm == pytest.approx(data["video_eval/mpjpe_mm"].mean(), abs=1e-3)
    assert found.pa_mpjpe_mm == pytest.approx(data["video_eval/pa_mpjpe_mm"].mean(), abs=1e-3)
    expected = data["video_eval/accel_err_mps2_30fps"].mean()
    assert found.acceleration_m_s2 == pytest.approx(expected, rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_mediapipe_scores_as_the_shared_clips_say(
    shared_path: Callable[[str], Path], tmp_path: Path
) -> None:
    clips = {clip.name: clip for clip in shared_clips(shared_path("clips/tpose_4view").parent)}
    assert len(clips) == 8
    first = mediapipe_world(clips["tpose_4view.cam01"], tmp_path / "kept.npz")
    assert score(clips["tpose_4view.cam01"], first).pa_mpjpe_mm == pytest.approx(51, abs=1)
    again = mediapipe_world(clips["tpose_4view.cam01"], tmp_path / "kept.npz")
    assert np.array_equal(first.joints_m, again.joints_m)
