"""Against the numpy conversions of the protocol; splines pass through their knots smoothly."""

from __future__ import annotations

import numpy as np
import torch

from extpose_blender.protocol import geometry
from models.data import quaternions
from models.data.draws import Draws


def test_they_agree_with_the_protocols_geometry() -> None:
    vectors = Draws(0, 0).normal(50, 3) * torch.tensor([1e-6, 0.3, 1.5]).repeat(17)[:50, None]
    vectors[0] = 0
    quat = quaternions.rotvec_to_quat(vectors)
    plain = geometry.rotvec_to_quat(vectors.double().numpy())
    np.testing.assert_allclose(quat, plain, atol=1e-6)
    np.testing.assert_allclose(
        quaternions.quat_to_rotmat(3 * quat), geometry.quat_to_rotmat(plain), atol=1e-5
    )
    np.testing.assert_allclose(
        quaternions.quat_to_rotvec(-quat), geometry.quat_to_rotvec(plain), atol=1e-5
    )
    other = quat.flip(0)
    np.testing.assert_allclose(
        quaternions.multiply(quat, other), geometry.quat_multiply(plain, plain[::-1]), atol=1e-5
    )


def test_a_spline_passes_through_its_knots_whatever_their_signs() -> None:
    knots = quaternions.rotvec_to_quat(0.4 * Draws(0, 1).normal(20, 4, 3))
    signs = Draws(0, 2).chance(0.5, 20, 4, 1).float() * 2 - 1
    for share, knot in ((0.0, 1), (1.0, 2)):
        weights = quaternions.spline_weights(torch.full((20,), share))
        found = quaternions.smooth_between(knots * signs, weights)
        alike = (found * knots[:, knot]).sum(-1).abs()
        torch.testing.assert_close(alike, torch.ones(20), atol=1e-6, rtol=0)


def test_a_steady_turn_stays_steady() -> None:
    angles = torch.tensor([0.0, 0.2, 0.4, 0.6])
    knots = quaternions.rotvec_to_quat(torch.stack([angles, 0 * angles, 0 * angles], -1))
    share = torch.linspace(0, 1, 9)
    between = quaternions.smooth_between(knots.expand(9, 4, 4), quaternions.spline_weights(share))
    turned = quaternions.quat_to_rotvec(between)[:, 0]
    torch.testing.assert_close(turned, 0.2 + 0.2 * share, atol=1e-4, rtol=0)
