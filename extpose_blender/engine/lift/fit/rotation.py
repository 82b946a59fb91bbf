"""Rotations in torch, for batches of any shape, exact and smooth near zero."""

from __future__ import annotations

import torch

_SMALL = 1e-3


def skew(vector: torch.Tensor) -> torch.Tensor:
    """(..., 3) to (..., 3, 3): the matrix of the cross product with `vector`."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def _series(rotvec: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """sin(a)/a, (1 - cos(a))/a² and (a - sin(a))/a³, each (..., 1, 1)."""
    square = rotvec.square().sum(-1)[..., None, None]
    angle = square.sqrt()
    small = angle < _SMALL
    safe = torch.where(small, torch.ones_like(angle), angle)
    sine = torch.where(small, 1 - square / 6, safe.sin() / safe)
    cosine = torch.where(small, 0.5 - square / 24, 2 * (0.5 * safe).sin().square() / safe.square())
    cubic = torch.where(small, 1 / 6 - square / 120, (safe - safe.sin()) / safe**3)
    return sine, cosine, cubic


def rotvec_to_rotmat(rotvec: torch.Tensor) -> torch.Tensor:
    """Rotation vectors (..., 3) to rotation matrices (..., 3, 3)."""
    sine, cosine, _ = _series(rotvec)
    cross = skew(rotvec)
    return (
        torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
        + sine * cross
        + cosine * cross @ cross
    )


def left_jacobian(rotvec: torch.Tensor) -> torch.Tensor:
    """(..., 3) to (..., 3, 3): exp(v + d) equals exp(J(v) d) exp(v) to first order.

    Source: Sola, Deray, Atchuthan, A micro Lie theory for state estimation in robotics, eq. 145.
    """
    _, cosine, cubic = _series(rotvec)
    cross = skew(rotvec)
    return (
        torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
        + cosine * cross
        + cubic * cross @ cross
    )


def rotmat_to_rotvec(rotmat: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) to rotation vectors (..., 3), angles from 0 to pi."""
    from ....protocol import geometry

    vectors = geometry.rotmat_to_rotvec(rotmat.detach().cpu().double().numpy())
    return torch.as_tensor(vectors, dtype=rotmat.dtype, device=rotmat.device)


def nearest_rotation(matrix: torch.Tensor) -> torch.Tensor:
    """The rotation (..., 3, 3) nearest to a matrix (..., 3, 3)."""
    u, _, vt = torch.linalg.svd(matrix)
    sign = torch.linalg.det(u @ vt).sign()
    u = torch.cat([u[..., :2], u[..., 2:] * sign[..., None, None]], -1)
    return u @ vt


def shortest_turn(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (..., 3, 3) that turn unit vectors `start` into `end` by the shortest
    way.
    """
    axis = torch.linalg.cross(*torch.broadcast_tensors(start, end), dim=-1)
    sine = axis.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, (start * end).sum(-1, keepdim=True))
    return rotvec_to_rotmat(axis / sine.clamp_min(1e-9) * angle)
