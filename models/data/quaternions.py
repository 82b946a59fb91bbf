"""Unit quaternions w x y z in torch, any leading axes, and smooth paths through them."""

from __future__ import annotations

import torch
from torch import Tensor


def quat_to_rotmat(quat: Tensor) -> Tensor:
    """Quaternions (..., 4), of any length, to rotation matrices (..., 3, 3)."""
    w, x, y, z = quat.unbind(-1)
    double = 2 / (quat * quat).sum(-1)
    rows = [
        1 - double * (y * y + z * z), double * (x * y - w * z), double * (x * z + w * y),
        double * (x * y + w * z), 1 - double * (x * x + z * z), double * (y * z - w * x),
        double * (x * z - w * y), double * (y * z + w * x), 1 - double * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def rotvec_to_quat(rotvec: Tensor) -> Tensor:
    """Rotation vectors (..., 3) to quaternions (..., 4)."""
    angle = rotvec.norm(dim=-1, keepdim=True)
    return torch.cat([torch.cos(angle / 2), 0.5 * torch.sinc(angle / (2 * torch.pi)) * rotvec], -1)


def quat_to_rotvec(quat: Tensor) -> Tensor:
    """Unit quaternions (..., 4) to rotation vectors (..., 3), angles from 0 to pi."""
    quat = torch.where(quat[..., :1] < 0, -quat, quat)
    sine = quat[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, quat[..., :1])
    return torch.where(sine > 1e-7, angle / sine.clamp(min=1e-7), 2.0) * quat[..., 1:]


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Product of quaternions (..., 4): the rotation `a` after the rotation `b`."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    parts = [
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    ]
    return torch.stack(parts, -1)


def spline_weights(share: Tensor) -> Tensor:
    """(..., 4) Catmull-Rom weights of the two knots before and the two after, share from 0 to 1."""
    squared, cubed = share * share, share * share * share
    weights = [
        -0.5 * cubed + squared - 0.5 * share,
        1.5 * cubed - 2.5 * squared + 1,
        -1.5 * cubed + 2 * squared + 0.5 * share,
        0.5 * cubed - 0.5 * squared,
    ]
    return torch.stack(weights, -1)


def smooth_between(knots: Tensor, weights: Tensor) -> Tensor:
    """A smooth path through quaternions; its turns have no jump in speed.

    Args:
        knots: (..., 4 knots, 4) of any signs.
        weights: (..., 4), those of `spline_weights`.

    Returns:
        (..., 4) unit quaternions.
    """
    signs = (knots * knots[..., 1:2, :]).sum(-1, keepdim=True).sign()
    mixed = (knots * signs * weights[..., None]).sum(-2)
    return mixed / mixed.norm(dim=-1, keepdim=True).clamp(min=1e-6)
