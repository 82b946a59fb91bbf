"""Captured motion keeps its poses at any speed and rate; mirrors and turns are exact."""

from __future__ import annotations

import numpy as np
import torch

from extpose_blender.engine.body.load import load_body
from extpose_blender.protocol.skeletons import SMPLH_52
from models.data.draws import Draws
from models.data.figure import Figure
from models.data.mixing import PART_OF_JOINT, MixConfig, mix_motion
from models.data.motion import MotionBank
from models.data.quaternions import multiply, quat_to_rotmat, quat_to_rotvec

PLAIN = MixConfig(as_captured_share=1, upper_share=0, arm_share=0, habit_deg=0, wander_deg=0)


def test_parts_follow_the_names() -> None:
    names = dict(zip(SMPLH_52.joint_names, PART_OF_JOINT, strict=True))
    assert {n for n, part in names.items() if part == 0} == {
        "pelvis", *(f"{s}_{p}" for s in ("left", "right") for p in ("hip", "knee", "ankle", "foot"))
    }  # fmt: skip
    assert names["left_thumb3"] == names["left_wrist"] == 2
    assert names["right_index1"] == names["right_collar"] == 3
    assert names["head"] == names["spine2"] == 1


def test_plain_replay_passes_through_the_captured_frames(bank: MotionBank) -> None:
    times = torch.arange(40)[None] / 120.0
    motions = mix_motion(Draws(0, 1), bank, torch.ones(len(bank)), PLAIN, times.expand(8, -1))
    local = motions.quat[:, :, 1:22]
    every = torch.cat(
        [bank.quat, bank.quat[:, list(SMPLH_52.mirror)] * torch.tensor([1.0, 1, -1, -1])]
    )
    for clip in range(8):
        near = [(every[:, 1:22] - local[clip, t]).abs().amax((1, 2)).min() for t in range(40)]
        # Four pictures per captured frame: some lie on one, all within half a step of one.
        assert min(near) < 5e-3 and max(near) < 0.02


def test_replay_has_no_jumps_even_where_time_turns_back(bank: MotionBank) -> None:
    times = torch.arange(600)[None] / 60.0  # Three times as long as the capture.
    motions = mix_motion(Draws(0, 2), bank, torch.ones(len(bank)), PLAIN, times.expand(4, -1))
    step = quat_to_rotvec(
        multiply(motions.quat[:, 1:], motions.quat[:, :-1] * torch.tensor([1.0, -1, -1, -1]))
    ).norm(dim=-1)
    assert (
        step.max() * 60 < 2.5
    )  # The waves turn by at most 0.6 rad/s about each axis, replayed 1.6 times.


def test_limbs_come_from_other_runs_when_asked(bank: MotionBank) -> None:
    times = torch.arange(10)[None].expand(64, -1) / 30.0
    mixed = MixConfig(as_captured_share=1, upper_share=1, arm_share=1, habit_deg=0, wander_deg=0)
    still = MixConfig(as_captured_share=1, upper_share=0, arm_share=0, habit_deg=0, wander_deg=0)
    a, b = (
        mix_motion(Draws(0, 3), bank, torch.ones(len(bank)), config, times)
        for config in (mixed, still)
    )
    legs = SMPLH_52.indices("left_hip", "right_knee")
    arms = SMPLH_52.indices("left_shoulder", "right_elbow")
    torch.testing.assert_close(a.quat[:, :, legs], b.quat[:, :, legs])
    changed = (a.quat[:, :, arms] - b.quat[:, :, arms]).abs().amax((1, 3)) > 1e-3
    assert changed.float().mean() > 0.5


def test_poses_stay_near_the_captured_ones_with_noise(shared_motion: MotionBank) -> None:
    times = torch.arange(8)[None].expand(64, -1) / 25.0
    weights = shared_motion.seconds
    plain = mix_motion(Draws(0, 4), shared_motion, weights, PLAIN, times)
    figure = Figure(load_body("open"))
    rest = figure.rest_joints(torch.zeros(64 * 8, 10))
    rotmat = quat_to_rotmat(plain.quat[:, :, :22]).flatten(0, 1)
    joints = figure.place(rotmat, rest, plain.pelvis_m.flatten(0, 1)).joints_m
    lowest = joints[..., 2].amin(-1)
    # People are on the ground or above it; soles lie some centimetres under the toes' joints.
    assert np.quantile(lowest, 0.02) > -0.08 and np.median(lowest) < 0.15
