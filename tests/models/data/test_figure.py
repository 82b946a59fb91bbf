"""Joints and landmarks as the lifter `fit` has them; bodies hide what lies behind them."""

from __future__ import annotations

import torch

from extpose_blender.engine.body.landmarks import landmark_map
from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.lift.fit.chain import Chain
from extpose_blender.protocol.skeletons import MEDIAPIPE_33
from models.data.draws import Draws
from models.data.figure import Figure
from models.data.occlusion import SelfOcclusion, draw_covers
from models.data.quaternions import quat_to_rotmat, rotvec_to_quat

FACING = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
"""Turns the rest frame into a camera that the body faces."""


def standing(turn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Landmarks (33, 3) and joints (24, 3) of a T-pose 4 m before the camera."""
    figure = Figure(load_body("open"))
    rotmat = torch.eye(3).repeat(1, 22, 1, 1)
    rotmat[0, 0] = turn
    rest = figure.rest_joints(torch.zeros(1, 10))
    placed = figure.place(rotmat, rest, torch.tensor([[0.0, 0.0, 4.0]]))
    return placed.landmarks_m, placed.joints_m


def test_they_agree_with_the_chain_of_the_lifter_fit() -> None:
    body, figure, draws = load_body("open"), Figure(load_body("open")), Draws(0, 0)
    marks = landmark_map(MEDIAPIPE_33.name)
    for _ in range(3):
        betas = draws.normal(1, 10)
        rest = torch.from_numpy(body.joints_rest(betas[0].numpy())[:22])
        offsets = torch.from_numpy(marks.offsets_m(rest.numpy())).float()
        chain = Chain(rest, torch.from_numpy(marks.joints), offsets)
        rotmat = quat_to_rotmat(rotvec_to_quat(0.7 * draws.normal(4, 22, 3)))
        pelvis = draws.normal(4, 3)
        expected = chain.place(rotmat[:, 0], pelvis, rotmat[:, 1:])
        found = figure.place(rotmat, figure.rest_joints(betas).expand(4, -1, -1), pelvis)
        torch.testing.assert_close(found.landmarks_m, expected.points, atol=2e-5, rtol=0)
        torch.testing.assert_close(found.joints_m[:, :22], expected.joints, atol=2e-5, rtol=0)


def test_longer_legs_make_longer_steps() -> None:
    figure = Figure(load_body("open"))
    rest = figure.rest_joints(torch.zeros(1, 10))
    torch.testing.assert_close(figure.leg_share(rest), torch.ones(1))
    torch.testing.assert_close(figure.leg_share(1.3 * rest), torch.tensor([1.3]))
    torch.testing.assert_close(figure.sizes(rest), torch.tensor([figure.mean_size_m]).float())


def test_nothing_of_an_open_t_pose_is_hidden_from_the_front() -> None:
    hidden = SelfOcclusion()(*standing(FACING))[0]
    assert hidden[[0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]].max() == 0


def test_the_face_is_hidden_from_behind_and_far_limbs_from_the_side() -> None:
    index = MEDIAPIPE_33.index
    behind = SelfOcclusion()(*standing(FACING @ torch.diag(torch.tensor([-1.0, 1, -1]))))[0]
    assert behind[[index["nose"], index["left_eye"], index["mouth_right"]]].min() > 0.9
    side = SelfOcclusion()(*standing(FACING @ torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])))[
        0
    ]
    near, far = ("left", "right") if side[index["left_knee"]] < 0.5 else ("right", "left")
    assert side[index[f"{far}_knee"]] > 0.9 and side[index[f"{far}_wrist"]] > 0.9
    assert side[index[f"{near}_knee"]] == 0 and side[index[f"{near}_wrist"]] == 0


def test_covers_hide_some_points_of_some_clips() -> None:
    points = 300 + 100 * Draws(0, 0).normal(400, 5, 33, 2)
    covers = draw_covers(Draws(0, 1), 0.5, points)
    touched = covers.amax((1, 2)) > 0
    assert 0.35 < touched.float().mean() < 0.6
    assert 0.1 < covers[touched].mean() < 0.7
    assert not draw_covers(Draws(0, 1), 0.0, points).any()
