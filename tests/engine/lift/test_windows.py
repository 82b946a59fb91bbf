"""Windows cover a clip, and joining them leaves no seam."""

from __future__ import annotations

import itertools

import pytest
import torch

from extpose_blender.engine.lift.fit.chain import Pose
from extpose_blender.engine.lift.fit.rotation import rotvec_to_rotmat
from extpose_blender.engine.lift.fit.windows import cut_windows, join_poses


@pytest.mark.parametrize("rows", [1, 39, 100, 101, 160, 161, 999])
def test_windows_cover_every_row_and_overlap(rows: int) -> None:
    windows = list(cut_windows(rows, length=100, overlap=40))
    assert windows[0].start == 0 and windows[-1].stop == rows
    for before, after in itertools.pairwise(windows):
        assert before.stop - after.start >= 40
        assert after.stop > before.stop
    assert all(w.stop - w.start == min(rows, 100) for w in windows)


def test_joining_equal_windows_changes_nothing() -> None:
    angle = torch.linspace(0, 2, 50)[:, None] * torch.tensor([0.0, 1.0, 0.0])
    whole = Pose(rotvec_to_rotmat(angle), angle + 1, torch.sin(angle))
    joined = join_poses(whole[slice(0, 30)], whole[slice(20, 50)], 10)
    assert torch.allclose(joined.root, whole.root, atol=1e-6)
    assert torch.allclose(joined.q, whole.q) and torch.allclose(joined.pelvis, whole.pelvis)


def test_joining_goes_from_one_to_the_other_without_a_step() -> None:
    zeros = Pose(torch.eye(3).expand(20, 3, 3), torch.zeros(20, 3), torch.zeros(20, 2))
    ones = Pose(zeros.root, zeros.pelvis + 1, zeros.q + 1)
    joined = join_poses(zeros, ones, 10).q[:, 0]
    assert len(joined) == 30
    assert (joined.diff() >= 0).all() and joined.diff().max() < 0.2
