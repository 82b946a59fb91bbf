"""Losses of `poseformer`: nothing is lost where the network is right, and each part sees its error."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from extpose_blender.engine.lift.poseformer.features import Boxes, rays_to
from extpose_blender.engine.lift.poseformer.network import Prediction
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from models.train.open_body import open_body_layer
from models.train.poseformer_losses import PoseFormerLoss, Target, best_camera

FOCAL, SIZE = torch.tensor([900.0]), torch.tensor([[1280.0, 720.0]])


def capture(distance_m: float = 60.0) -> tuple[Prediction, Target, Boxes, torch.Tensor]:
    """A person far off the axis and far away, where a flat drawing is nearly exact."""
    draws = torch.Generator().manual_seed(0)
    turns = 0.3 * torch.randn(5, 24, 3, generator=draws)
    local = torch.tensor(rotvec_to_rotmat(turns.double().numpy()), dtype=torch.float32)
    local[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ local[:, 0]
    betas = torch.randn(1, 10, generator=draws)
    layer = open_body_layer()
    joints = layer.joints(betas, local[:, :22])
    place = distance_m * torch.tensor([0.4, 0.1, 1.0])
    joints = joints - joints[:, :1] + place
    pixels = FOCAL * joints[..., :2] / joints[..., 2:] + SIZE / 2
    low, high = pixels.amin((0, 1)), pixels.amax((0, 1))
    boxes = Boxes(
        ((low + high) / 2).expand(1, 5, 2),
        (1.2 * (high - low).max()).expand(1, 5),
        torch.ones(1, 5, dtype=torch.bool),
    )
    rays = rays_to(boxes, FOCAL, SIZE)
    target = Target(local[None], betas, joints[None], pixels[None], torch.tensor([30.0]))
    seen = local.clone()
    seen[:, 0] = rays[0].mT @ local[:, 0]
    flat = layer.joints(betas, seen[:, :22])[None]
    drawn = (pixels[None] - boxes.center_px[:, :, None]) / boxes.side_px[..., None, None]
    scale, shift = best_camera(flat, drawn, torch.ones(1, 5, 22))
    return Prediction(seen[None], betas, scale, shift), target, boxes, rays


def test_the_truth_costs_nothing() -> None:
    found, target, boxes, rays = capture()
    losses = PoseFormerLoss({})(found, target, boxes, rays)
    for name, value in losses.parts.items():
        assert value < (0.03 if name in ("in_box", "camera") else 1e-4), name


def test_the_best_camera_draws_points_where_they_are_seen() -> None:
    draws = torch.Generator().manual_seed(2)
    points = torch.randn(2, 3, 8, 3, generator=draws)
    scale, shift = torch.rand(2, 3, generator=draws), torch.rand(2, 3, 2, generator=draws)
    drawn = scale.exp()[..., None, None] / 2 * points[..., :2] + shift[:, :, None]
    found = best_camera(points, drawn, torch.rand(2, 3, 8, generator=draws))
    torch.testing.assert_close(found[0], scale)
    torch.testing.assert_close(found[1], shift)


@pytest.mark.parametrize(
    ("part", "others"),
    [
        ("betas", {"joints", "velocity", "in_box", "camera"}),
        ("root", {"joints", "velocity", "in_box", "camera"}),
        ("turns", {"joints", "velocity", "in_box", "camera"}),
        ("camera", {"in_box"}),
    ],
)
def test_each_error_is_seen_by_its_own_part(part: str, others: set[str]) -> None:
    found, target, boxes, rays = capture()
    loss = PoseFormerLoss({})
    right = loss(found, target, boxes, rays)
    turned = found.rotmat.clone()
    if part in ("root", "turns"):
        joint = 0 if part == "root" else 16
        turn = rotvec_to_rotmat(torch.tensor([0.0, 0.3, 0.0]).numpy())
        turned[:, ::2, joint] = turned[:, ::2, joint] @ torch.tensor(turn, dtype=torch.float32)
    wrong = {
        "betas": replace(found, betas=found.betas + 1),
        "camera": replace(found, shift=found.shift + 0.2),
    }.get(part, replace(found, rotmat=turned))
    worse = loss(wrong, target, boxes, rays)
    for name, value in worse.parts.items():
        if name == part:
            assert value > right.parts[name] + 0.003
        elif name not in others:
            torch.testing.assert_close(value, right.parts[name])
    assert worse.total > right.total


def test_joints_that_are_not_in_the_picture_do_not_pull_the_camera() -> None:
    found, target, boxes, rays = capture()
    loss = PoseFormerLoss({})
    far = target.joints_px.clone()
    far[:, :, 20] = 1e6
    right = loss(found, target, boxes, rays)
    other = loss(found, replace(target, joints_px=far), boxes, rays)
    assert abs(float(other.parts["in_box"] - right.parts["in_box"])) < 0.01
    assert torch.isfinite(other.total)
