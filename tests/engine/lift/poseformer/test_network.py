"""The network of `poseformer`: what it may and may not depend on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from extpose_blender.engine.lift.extpose.camera import project_in_crop, translation_in_crop
from extpose_blender.engine.lift.poseformer.config import PoseFormerConfig
from extpose_blender.engine.lift.poseformer.features import POINTS, VIEW, Inputs
from extpose_blender.engine.lift.poseformer.network import (
    PoseFormer,
    Prediction,
    mirror_prediction,
)
from extpose_blender.engine.lift.poseformer.predict import predict_both_ways
from extpose_blender.protocol.errors import UsageError

SMALL = PoseFormerConfig(frames=9, dim=32, depth=2, heads=4)


def network(config: PoseFormerConfig = SMALL) -> PoseFormer:
    """With weights that make every input count."""
    torch.manual_seed(0)
    made = PoseFormer(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


def inputs(count: int = 2, frames: int = 9, fps: float = 30.0) -> Inputs:
    draws = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(shape, generator=draws)

    shown = torch.ones(count, frames, dtype=torch.bool)
    return Inputs(
        normal(count, frames, POINTS, 3),
        normal(count, frames, POINTS, 4),
        normal(count, frames, VIEW),
        ((torch.arange(frames) - (frames - 1) / 2) / fps).expand(count, -1),
        shown,
        shown,
    )


def every(prediction: Prediction) -> torch.Tensor:
    parts = prediction.rotmat.flatten(2), prediction.camera, prediction.log_scale[..., None]
    return torch.cat(parts, -1)


def test_it_predicts_rotations() -> None:
    with torch.no_grad():
        found = network()(inputs())
    assert found.rotmat.shape == (2, 9, 24, 3, 3)
    assert found.betas.shape == (2, 10)
    eye = torch.eye(3).expand_as(found.rotmat)
    torch.testing.assert_close(found.rotmat @ found.rotmat.mT, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(found.rotmat), torch.ones(2, 9, 24))


def test_a_fresh_network_sees_an_upright_body_that_faces_the_camera() -> None:
    torch.manual_seed(0)
    blind = replace(inputs(), shows_hints=torch.zeros(2, 9, dtype=torch.bool))
    with torch.no_grad():
        found = PoseFormer(SMALL)(blind)
    wanted = torch.eye(3).repeat(24, 1, 1)
    wanted[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    assert (found.rotmat - wanted).abs().max() < 0.3


@pytest.mark.parametrize("kind", ["keypoints", "hints"])
@torch.no_grad()
def test_what_is_hidden_does_not_count(kind: str) -> None:
    net, shown = network(), inputs()
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[:, 3:5] = False
    hidden = replace(shown, **{f"shows_{kind}": mask})
    changed = getattr(hidden, kind).clone()
    changed[:, 3:5] = 7.0
    other = replace(hidden, **{kind: changed})
    torch.testing.assert_close(every(net(other)), every(net(hidden)), atol=1e-6, rtol=0)
    assert (every(net(hidden)) - every(net(shown))).abs().max() > 1e-3


@torch.no_grad()
def test_frames_that_show_nothing_change_no_other_frame() -> None:
    net, shown = network(), inputs()
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[:, 6:] = False
    blind = replace(shown, shows_keypoints=mask, shows_hints=mask)
    view = blind.view.clone()
    view[:, 6:] += 3.0
    torch.testing.assert_close(
        every(net(replace(blind, view=view)))[:, :6], every(net(blind))[:, :6], atol=1e-5, rtol=0
    )
    nothing = torch.zeros(2, 9, dtype=torch.bool)
    unseen = net(replace(shown, shows_keypoints=nothing, shows_hints=nothing))
    assert torch.isfinite(every(unseen)).all()


@torch.no_grad()
def test_time_counts_in_seconds_not_in_frames() -> None:
    net = network()
    slow, fast = inputs(fps=10.0), inputs(fps=30.0)
    assert (every(net(slow)) - every(net(fast))).abs().max() > 1e-3
    order = torch.randperm(9, generator=torch.manual_seed(3))
    shuffled = Inputs(**{name: value[:, order] for name, value in vars(fast).items()})
    torch.testing.assert_close(every(net(shuffled)), every(net(fast))[:, order], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_mirrored_picture_gives_the_mirrored_body() -> None:
    net, shown = network(), inputs()
    found = predict_both_ways(net, shown)
    other = mirror_prediction(predict_both_ways(net, shown.mirrored()))
    torch.testing.assert_close(every(found), every(other), atol=1e-5, rtol=0)
    again = mirror_prediction(mirror_prediction(found))
    torch.testing.assert_close(every(again), every(found))


def test_its_camera_draws_as_it_is_trained_to() -> None:
    draws = torch.Generator().manual_seed(0)
    log_scale = 0.2 * torch.randn(1, 4, generator=draws)
    shift = 0.1 * torch.randn(1, 4, 2, generator=draws)
    rotmat = torch.eye(3).expand(1, 4, 24, 3, 3)
    camera = Prediction(rotmat, torch.zeros(1, 10), log_scale, shift).camera
    points = 0.4 * torch.randn(1, 4, 22, 3, generator=draws)
    drawn = project_in_crop(points, translation_in_crop(camera))
    flat = log_scale.exp()[..., None, None] / 2 * points[..., :2] + shift[:, :, None]
    # The crop's camera is 40 metres away: flat but for a few per cent.
    assert (drawn - flat).abs().max() < 0.03


@pytest.mark.parametrize(
    ("values", "words"),
    [({"dim": 30}, "multiple"), ({"depth": 0}, "above 0"), ({"width": 3}, "Unknown")],
)
def test_impossible_sizes_are_refused(values: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        PoseFormerConfig.from_dict(values)


@torch.no_grad()
def test_angles_keep_their_digits_where_products_are_narrow() -> None:
    # An untrained network says what the hints say: nothing of that may go through bf16.
    torch.manual_seed(0)
    net, shown = PoseFormer(SMALL).eval(), inputs()
    net.pose.weight.zero_()
    plain = net(shown).rotmat
    with torch.autocast("cpu", torch.bfloat16):
        found = net(shown)
    assert torch.equal(found.rotmat, plain)
    assert {found.rotmat.dtype, found.betas.dtype, found.shift.dtype} == {torch.float32}
