"""Eased errors lie between what is true and what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.data.clips import Clips, ClipSource
from models.data.detector_errors import ErrorModel
from models.data.motion import MotionBank
from models.train import easier
from models.train.easier import EasedErrors


@pytest.fixture(scope="module")
def clips(motion_folder: Path) -> Clips:
    return ClipSource(MotionBank.read(motion_folder), seed=1).batch(0, 8, 6)


def eased(clips: Clips, share: float, monkeypatch: pytest.MonkeyPatch) -> Clips:
    monkeypatch.setattr(easier, "EASIEST", share)
    monkeypatch.setattr(easier, "HARDEST", share)
    made: Clips = EasedErrors(ErrorModel.load())(clips, torch.Generator().manual_seed(0))
    return made


def test_all_of_the_errors_change_nothing(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = eased(clips, 1.0, monkeypatch)
    torch.testing.assert_close(whole.keypoints_px, clips.keypoints_px)
    torch.testing.assert_close(whole.hints_m, clips.hints_m)


def test_without_errors_points_are_true(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    none = eased(clips, 0.0, monkeypatch)
    torch.testing.assert_close(
        none.keypoints_px[clips.seen][..., :2], clips.true_px[clips.seen], rtol=1e-4, atol=1e-2
    )
    assert torch.equal(none.keypoints_px[..., 2], clips.keypoints_px[..., 2])
    assert not none.keypoints_px[~clips.seen].any()


def test_hints_without_errors_depend_on_the_pose_alone(
    clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    none, half = (eased(clips, share, monkeypatch) for share in (0.0, 0.5))
    whole = clips.hints_m[clips.seen][..., :3]
    found = half.hints_m[clips.seen][..., :3]
    torch.testing.assert_close(found, (none.hints_m[clips.seen][..., :3] + whole) / 2)
    middle = none.hints_m[clips.seen][:, [23, 24], :3].mean(1)
    assert middle.abs().max() < 1e-4


def test_shares_are_drawn_clip_by_clip(clips: Clips) -> None:
    easing = EasedErrors(ErrorModel.load())
    first, again, other = (
        easing(clips, torch.Generator().manual_seed(seed)).keypoints_px for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
