"""Losses equal the public models', on their arrays and on axes that they do not know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.model_joints import BODY_44_PELVIS, HAND_21_WRIST
from extpose_blender.engine.lift.extpose.losses import (
    Estimate,
    LossWeights,
    SupervisedLosses,
    Target,
    discriminator_loss,
    generator_loss,
    keypoint_2d_loss,
    keypoint_3d_loss,
    parameter_loss,
    supervised_losses,
)

Archive = np.lib.npyio.NpzFile


@pytest.fixture(scope="module")
def arrays(shared_fixture: Callable[[str], Archive]) -> Archive:
    return shared_fixture("losses.npz")


@pytest.mark.parametrize(("kind", "root"), [("body", BODY_44_PELVIS), ("hand", HAND_21_WRIST)])
def test_keypoint_losses_are_the_reference_s(arrays: Archive, kind: str, root: int) -> None:
    def read(name: str) -> torch.Tensor:
        return torch.tensor(arrays[f"{kind}/{name}"])

    assert root == int(read("pelvis_id"))
    flat = keypoint_2d_loss(read("pred2d"), read("gt2d_conf"))
    np.testing.assert_allclose(flat, read("kp2d_l1"), rtol=1e-5)
    deep = keypoint_3d_loss(read("pred3d"), read("gt3d_conf"), root)
    np.testing.assert_allclose(deep, read("kp3d_l1"), rtol=1e-5)


def test_parameter_loss_is_the_reference_s(arrays: Archive) -> None:
    got = parameter_loss(*(torch.tensor(arrays[f"param/{name}"]) for name in ("pred", "gt", "has")))
    np.testing.assert_allclose(got, arrays["param/loss"], rtol=1e-5)


def _draw(*batch: int, joints: int = 24, points: int = 44) -> tuple[Estimate, Target]:
    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*batch, *shape, generator=generator, dtype=torch.float64)

    estimate = Estimate(numbers(points, 2), numbers(points, 3), numbers(joints, 3, 3), numbers(10))
    target = Target(
        numbers(points, 3).abs(), numbers(points, 4).abs(), numbers(joints, 3, 3), numbers(10),
        *(numbers().abs() for _ in range(3)),
    )  # fmt: skip
    return estimate, target


def _parts(losses: SupervisedLosses) -> list[torch.Tensor]:
    return [
        losses.keypoints_3d, losses.keypoints_2d, losses.global_orient, losses.pose, losses.betas
    ]  # fmt: skip


def test_frames_count_like_pictures() -> None:
    """Clips of frames cost what their frames cost as pictures."""
    estimate, target = _draw(2, 3)
    flat = (
        type(part)(**{name: value.flatten(0, 1) for name, value in vars(part).items()})
        for part in (estimate, target)
    )
    clips = supervised_losses(estimate, target, BODY_44_PELVIS)
    pictures = supervised_losses(*flat, BODY_44_PELVIS)
    for one, other in zip(_parts(clips), _parts(pictures), strict=True):
        torch.testing.assert_close(one, other)


def test_losses_are_sums_written_out() -> None:
    estimate, target = _draw(2, joints=3, points=4)
    wanted = np.zeros(5)
    for row in range(2):
        for k in range(4):
            deep, flat = target.keypoints_3d[row, k], target.keypoints_2d[row, k]
            got = estimate.keypoints_3d[row, k] - estimate.keypoints_3d[row, 1]
            true = deep[:3] - target.keypoints_3d[row, 1, :3]
            wanted[0] += float(deep[3] * (got - true).abs().sum())
            wanted[1] += float(flat[2] * (estimate.keypoints_2d[row, k] - flat[:2]).abs().sum())
        for j in range(3):
            known = target.has_pose if j else target.has_global_orient
            squared = (estimate.rotmat[row, j] - target.rotmat[row, j]).square().sum()
            wanted[3 if j else 2] += float(known[row] * squared)
        squared = (estimate.betas[row] - target.betas[row]).square().sum()
        wanted[4] += float(target.has_betas[row] * squared)
    losses = supervised_losses(estimate, target, root=1)
    np.testing.assert_allclose([float(part) for part in _parts(losses)], wanted, rtol=1e-9)
    weights = LossWeights(2.0, 3.0, 5.0, 7.0, 11.0, 13.0)
    total = losses.total(weights, adversarial=torch.tensor(1.5))
    np.testing.assert_allclose(total, wanted @ [2, 3, 5, 7, 11] + 13 * 1.5, rtol=1e-9)


def test_a_fooled_discriminator_costs_the_generator_nothing() -> None:
    assert generator_loss(torch.ones(3, 25)) == 0
    assert generator_loss(torch.zeros(3, 25)) == 25
    assert discriminator_loss(torch.zeros(3, 25), torch.ones(6, 25)) == 0
    assert discriminator_loss(torch.ones(3, 25), torch.zeros(6, 25)) == 75
