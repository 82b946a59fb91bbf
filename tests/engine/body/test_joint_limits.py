"""Limits hold what is beyond them, leave the rest alone, and know left from right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.joint_limits import (
    find_violations,
    hold_to_limits,
    joint_angles,
    joint_limits,
    limit_penalty,
)
from extpose_blender.engine.body.layer import rotvec_to_rotmat
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.skeletons import MODEL_SKELETONS, SMPLH_52

KINDS = sorted(MODEL_SKELETONS)


def _draw(kind: str, count: int, size: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, len(MODEL_SKELETONS[kind]), 3)
    return size * torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("kind", KINDS)
def test_every_joint_has_limits_around_rest(kind: str) -> None:
    limits = joint_limits(kind)
    assert limits.joint_names == MODEL_SKELETONS[kind].joint_names
    assert (limits.low < 0).all() and (limits.high > 0).all()
    assert np.isfinite(limits.low[1:]).all() and np.isfinite(limits.high[1:]).all()
    assert not find_violations(np.zeros((2, 3 * len(limits.joint_names))), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_held_poses_are_inside_and_stay_as_they_are(kind: str) -> None:
    limits = joint_limits(kind)
    held = hold_to_limits(_draw(kind, 300, 1.3), limits)
    assert limit_penalty(held, limits).max() < 1e-12
    again = hold_to_limits(held, limits)
    torch.testing.assert_close(rotvec_to_rotmat(again), rotvec_to_rotmat(held), atol=1e-7, rtol=0)


def test_poses_inside_are_left_alone() -> None:
    limits = joint_limits("smplh")
    poses = _draw("smplh", 50, 0.05)
    assert torch.equal(hold_to_limits(poses, limits), poses)
    assert limit_penalty(poses, limits).max() == 0


def test_twist_and_swing_give_the_rotation_back() -> None:
    limits = joint_limits("smplh")
    poses = _draw("smplh", 200, 1.0)
    angles = joint_angles(poses, limits)
    along = torch.nn.functional.one_hot(torch.tensor(limits.bone_axis), 3).double()
    swing, twist = rotvec_to_rotmat(angles * (1 - along)), rotvec_to_rotmat(angles * along)
    torch.testing.assert_close(swing @ twist, rotvec_to_rotmat(poses), atol=1e-7, rtol=0)
    # Swing alone says where the bone points.
    bone = along[..., None]
    torch.testing.assert_close(swing @ bone, rotvec_to_rotmat(poses) @ bone, atol=1e-7, rtol=0)


def test_a_mirrored_pose_breaks_the_mirrored_limits() -> None:
    limits = joint_limits("smplh")
    poses = _draw("smplh", 100, 1.0)
    mirrored = poses[:, list(SMPLH_52.mirror)] * torch.tensor([1.0, -1.0, -1.0])
    there, here = limit_penalty(mirrored, limits), limit_penalty(poses, limits)
    torch.testing.assert_close(there[:, list(SMPLH_52.mirror)], here)


def test_penalty_grows_smoothly_and_pulls_back() -> None:
    limits = joint_limits("smplh")
    poses = _draw("smplh", 3, 0.9).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: limit_penalty(p, limits), poses, fast_mode=True)
    # The root, which has no limits, is not pulled; a hyperextended knee is pulled to bend.
    bent = torch.zeros(1, 52, 3, requires_grad=True)
    knee = SMPLH_52.index["left_knee"]
    start = torch.zeros(1, 52, 3)
    start[0, knee, 0] = -1.0
    start[0, 0, 1] = 3.0
    (pull,) = torch.autograd.grad(limit_penalty(bent + start, limits).sum(), bent)
    assert pull[0, knee, 0] < 0
    assert pull[0, 0].abs().max() == 0


@pytest.mark.parametrize(
    ("joint", "rotvec_deg", "fine"),
    [
        ("left_knee", (140, 0, 0), True),
        ("left_knee", (-40, 0, 0), False),
        ("right_knee", (140, 0, 0), True),
        ("left_elbow", (0, -150, 0), True),
        ("left_elbow", (0, 60, 0), False),
        ("right_elbow", (0, 150, 0), True),
        ("right_elbow", (0, -60, 0), False),
        ("left_hip", (-130, 0, 0), True),
        ("left_hip", (0, 0, 90), True),
        ("right_hip", (0, 0, -90), True),
        ("left_hip", (120, 0, 0), False),
        ("left_shoulder", (0, 0, -90), True),
        ("left_shoulder", (0, 0, 100), True),
        ("left_shoulder", (0, -130, 0), True),
        ("neck", (0, 120, 0), False),
        ("left_index2", (0, 0, -110), True),
        ("left_index2", (0, 0, 80), False),
        ("right_index2", (0, 0, 110), True),
    ],
)
def test_known_postures(joint: str, rotvec_deg: tuple[float, ...], fine: bool) -> None:
    poses = np.zeros((1, 52, 3))
    poses[0, SMPLH_52.index[joint]] = np.radians(rotvec_deg)
    found = find_violations(poses.reshape(1, -1), "smplh")
    assert (not found) == fine
    assert all(v.joint == joint and v.frame == 0 for v in found)


def test_wrong_skeleton_is_named() -> None:
    with pytest.raises(BadShape, match=r"\(T, 156\) for smplh, not \(1, 72\)"):
        find_violations(np.zeros((1, 72)), "smplh")
