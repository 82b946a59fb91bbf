"""Seldom poses keep to the joint limits, rest on the ground, move smoothly, and cover the floor."""

from __future__ import annotations

import torch

from extpose_blender.engine.body.joint_limits import joint_limits, limit_penalty
from extpose_blender.engine.body.load import load_body
from models.data.clips import ClipConfig, ClipSource
from models.data.draws import Draws
from models.data.figure import Figure
from models.data.hands import draw_hands
from models.data.motion import MotionBank
from models.data.poses import KEYS, PoseConfig, PoseSource, rest_heights
from models.data.quaternions import multiply, quat_to_rotmat, quat_to_rotvec


def test_drawn_poses_keep_to_the_joint_limits(bank: MotionBank) -> None:
    vectors, _ = PoseSource(bank, PoseConfig())._draw_keys(Draws(0, 0), 40)
    poses = torch.zeros(40 * KEYS, 24, 3)
    poses[:, :22] = vectors.flatten(0, 1)
    excess = limit_penalty(poses, joint_limits("smpl")).sqrt()
    assert excess.max() < 0.03  # A bit is left where a joint is turned about half a turn.


def test_the_lowest_part_rests_on_the_ground_and_many_lie_or_kneel(bank: MotionBank) -> None:
    source = ClipSource(bank, ClipConfig(posed_share=1.0, poses=PoseConfig(hop_share=0.0)), seed=1)
    clips = source.batch(0, 128, 4)
    places = clips.world_T_camera[..., :3, :3] @ clips.joints_m.mT
    world = places.mT + clips.world_T_camera[..., None, :3, 3]
    height = world[..., 2]
    assert height.amin(-1).min() > 0.0 and height.amin(-1).max() < 0.11
    head = height[..., 15]
    assert (head < 0.7).float().mean() > 0.12 and (head > 1.2).float().mean() > 0.15


def test_motion_between_poses_has_no_jumps(bank: MotionBank) -> None:
    times = torch.arange(400)[None].expand(20, -1) / 100.0
    motions, above = PoseSource(bank, PoseConfig()).draw(Draws(0, 1), times)
    inverse = motions.quat[:, :-1] * torch.tensor([1.0, -1, -1, -1])
    step = quat_to_rotvec(multiply(inverse, motions.quat[:, 1:])).norm(dim=-1)
    assert step.max() < 0.35  # 35 rad/s: a root that turns over within 0.4 s.
    assert (above >= 0).all() and (above[:, 1:] - above[:, :-1]).abs().max() < 0.1


def test_rest_heights_put_a_standing_body_on_its_soles() -> None:
    figure = Figure(load_body("open"))
    upright = torch.eye(3).repeat(1, 22, 1, 1)
    upright[:, 0] = torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    joints = figure.place(upright, figure.rest_joints(torch.zeros(1, 10)), torch.zeros(1, 3))
    sole = (
        load_body("open").v_template[:, 1].min()
        - load_body("open").joints_rest(torch.zeros(10).numpy())[0, 1]
    )
    assert abs(float(rest_heights(joints.joints_m)[0]) + float(sole)) < 0.03


def test_fingers_keep_to_the_limits_and_mirror() -> None:
    times = torch.arange(30)[None].expand(200, -1) / 30.0
    hands = draw_hands(Draws(0, 3), times)
    poses = torch.zeros(200 * 30, 52, 3)
    poses[:, 22:] = hands.flatten(0, 1)
    assert limit_penalty(poses, joint_limits("smplh")).sqrt().max() < 1e-3
    bend = hands[:, :, [0, 3, 9]]  # First joints of index, middle and ring of the left hand.
    assert (bend[..., 2] <= 0).all() and bend[..., 2].std() > 0.2
    right = hands[:, :, 15:]
    assert (right[:, :, [0, 3, 9], 2] >= 0).all()
    assert (quat_to_rotmat(torch.ones(1, 4)).det() - 1).abs() < 1e-5
