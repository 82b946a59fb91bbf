"""All methods are judged on the same pictures, and a method that sees nobody spoils no other."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.skeletons import LIMB_JOINTS
from models.evaluate.compare import (
    MEDIAPIPE,
    Method,
    compare_clip,
    format_comparison,
    parse_method,
)
from models.evaluate.estimates import Estimate
from models.evaluate.score import Score
from models.evaluate.truth import TruthClip

HIPS = ("left_hip", "right_hip")


@pytest.fixture
def clip() -> TruthClip:
    joints = np.random.default_rng(0).normal(size=(9, 12, 3))
    return TruthClip("made-up", Path("none.mp4"), 30.0, LIMB_JOINTS, joints, HIPS)


def seen_in(clip: TruthClip, *hidden: int) -> Estimate:
    joints = clip.joints_m.copy()
    joints[list(hidden)] = np.nan
    return Estimate(joints, np.isfinite(joints).all(axis=(1, 2)))


def test_only_pictures_that_all_cover_count(clip: TruthClip) -> None:
    wrong = clip.joints_m.copy()
    wrong[[1, 5]] += np.random.default_rng(1).normal(size=(2, 12, 3))
    estimates = {
        "wrong in two": Estimate(wrong, np.ones(9, bool)),
        "blind in one": seen_in(clip, 1),
        "blind in the other": seen_in(clip, 5),
    }
    found = compare_clip(clip, estimates)
    assert [one.rows for one in found.values()] == [7, 7, 7]
    assert all(one.pa_mpjpe_mm == pytest.approx(0, abs=1e-9) for one in found.values())
    assert found["wrong in two"].coverage == 1.0
    assert found["blind in one"].coverage == pytest.approx(8 / 9)


def test_means_are_over_clips_that_every_method_saw() -> None:
    def made(rows: int, error: float) -> Score:
        return Score(rows, 1.0, error, 2 * error, error / 10)

    scores = {
        "one": {MEDIAPIPE: made(10, 100.0), "fit": made(10, 50.0)},
        "two": {MEDIAPIPE: made(30, 60.0), "fit": made(30, 50.0)},
        "three": {MEDIAPIPE: made(50, 500.0)},
    }
    text = format_comparison("Made up", scores, [MEDIAPIPE, "fit"])
    lines = [line.replace(" ", "") for line in text.splitlines()]
    assert lines[0] == "Madeup:3clips,2inwhicheverymethodfoundsomebody"
    assert lines[2] == "|PA-MPJPE,mm|pictures|MediaPipe|fit|"
    assert lines[4:9] == [
        "|one|10|100.0|50.0|",
        "|two|30|60.0|50.0|",
        "|three|50|500.0|–|",
        "|all|40|70.0|50.0|",
        "|againstMediaPipe||+0%|-29%|",
    ]
    assert "|all|40|7.00|5.00|" in lines


def test_nothing_to_compare_gives_dashes() -> None:
    text = format_comparison("Empty", {}, [MEDIAPIPE, "fit"])
    assert "| all" in text and "–" in text


def test_a_method_is_a_label_and_flags() -> None:
    found = parse_method("both=--lifter poseformer --refine fit --out 'a b'")
    flags = ("--lifter", "poseformer", "--refine", "fit", "--out", "a b")
    assert found == Method("both", flags)
    assert parse_method("default=").flags == ()
    for wrong in ("fit", "=--lifter fit", "a/b=", f"{MEDIAPIPE}="):
        with pytest.raises(argparse.ArgumentTypeError):
            parse_method(wrong)
