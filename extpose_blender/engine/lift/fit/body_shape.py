"""One shape and, where allowed, one focal length for the whole clip, from frames spread over it.

Poses of the chosen frames and the shared unknowns are solved together: every frame's own unknowns
are eliminated (Schur complement), so the cost grows with the number of frames and not with its
cube.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ...body.landmarks import LandmarkMap
from .chain import BODY_JOINTS, Chain, Pose, Posed
from .evidence import Evidence
from .solve import (
    Problem,
    frame_energies,
    frame_equations,
    hint_rows,
    limit_step,
    reprojection_errors,
    reprojection_rows,
    robust,
)

_USED_FRAMES = 32
_INDEPENDENT_FRAMES = 2.0
"""Frames of one clip repeat each other's errors: they count as this many independent ones."""
_FOCAL_SPREAD = 0.05
"""Usual error of the logarithm of an assumed focal length."""
_HEIGHT_SPREAD_M = 0.004


@dataclass(frozen=True)
class BodyLine:
    """Rest joints and height of a body as linear functions of its shape."""

    joints: torch.Tensor
    """(22, 3) rest joints at shape zero, metres."""
    joint_shapes: torch.Tensor
    """(B, 22, 3) change per unit of each shape number."""
    height_m: float
    """Height at shape zero, metres."""
    height_shapes: torch.Tensor
    """(B,) change of the height."""
    landmarks: LandmarkMap
    """The detector's points."""

    def rest(self, betas: torch.Tensor) -> torch.Tensor:
        """(22, 3) rest joints at a shape (B,)."""
        return self.joints + torch.einsum("b,bjc->jc", betas, self.joint_shapes)

    def chain(self, betas: torch.Tensor) -> Chain:
        """The chain at a shape (B,)."""
        rest = self.rest(betas)
        offsets = self.landmarks.offsets_m(rest.detach().cpu().double().numpy())
        return Chain(
            rest,
            torch.tensor(self.landmarks.joints, device=rest.device),
            torch.tensor(offsets, dtype=rest.dtype, device=rest.device),
        )

    def response(self, betas: torch.Tensor, posed: Posed) -> torch.Tensor:
        """(T, K, 3, B) how the landmarks move with the shape while pelvis and angles stay."""
        chain = self.chain(betas)
        bones = self.joint_shapes.clone()
        bones[:, 1:] -= self.joint_shapes[:, list(chain.parents[1:])]
        grown = [
            self.chain(betas + unit).point_offsets - chain.point_offsets
            for unit in torch.eye(len(betas), dtype=betas.dtype, device=betas.device)
        ]
        moved = posed.joints.new_zeros(len(posed.joints), BODY_JOINTS, 3, len(betas))
        for joint in range(1, BODY_JOINTS):
            parent = chain.parents[joint]
            moved[:, joint] = moved[:, parent] + posed.turns[:, parent] @ bones[:, joint].T
        offsets = torch.stack(grown, -1)  # (K, 3, B)
        return moved[:, chain.point_joints] + posed.turns[:, chain.point_joints] @ offsets


def spread_rows(evidence: Evidence, count: int = _USED_FRAMES) -> torch.Tensor:
    """Indices of well seen rows, spread over the clip: the best of each of `count` stretches."""
    quality = (evidence.weight.sum(-1) * evidence.seen).cpu().numpy()
    rows = np.flatnonzero(quality > 0.3 * np.median(quality[quality > 0]))
    parts = np.array_split(rows, min(count, len(rows)))
    return torch.tensor(
        [int(part[np.argmax(quality[part])]) for part in parts], device=evidence.seen.device
    )


@dataclass(frozen=True)
class ShapeSolution:
    """What a clip's frames share."""

    betas: torch.Tensor
    """(B,) shape."""
    focal_px: float
    """Focal length, pixels."""
    hint_scale: float
    """Metres of this body per metre of the hints."""
    energy: float
    """How badly it explains the frames, nats."""


def solve_shape(
    line: BodyLine,
    problem: Problem,
    start: Pose,
    height_m: float | None,
    free_focal: bool,
    betas: torch.Tensor | None = None,
    steps: int = 6,
) -> ShapeSolution:
    """Find shape, focal length and hint scale from a few frames.

    Args:
        line: The body.
        problem: The chosen frames, with the focal length to start from.
        start: Their first poses.
        height_m: The person's height where it is known.
        free_focal: Whether the focal length may move.
        betas: (B,) shape to start from; the mean when left out.
        steps: Gauss-Newton steps.
    """
    if betas is None:
        betas = torch.zeros(len(line.joint_shapes), dtype=start.q.dtype, device=start.q.device)
    first_focal = problem.focal_px
    pose = start
    for step in range(steps):
        chain = line.chain(betas)
        posed = chain.pose(pose)
        problem = replace(problem, chain=chain, hint_scale=hint_scale(problem, posed))
        slack = max(1.0, 4.0 * 0.5**step)
        move, shared = _shape_step(
            line, problem, pose, posed, betas, slack, height_m, first_focal, free_focal
        )
        pose = pose.moved(limit_step(move))
        betas = (betas + shared[:-1]).clamp(-3, 3)
        problem = replace(
            problem, focal_px=problem.focal_px * float(shared[-1].clamp(-0.2, 0.2).exp())
        )
    chain = line.chain(betas)
    posed = chain.pose(pose)
    problem = replace(problem, chain=chain, hint_scale=hint_scale(problem, posed))
    count = min(1.0, _INDEPENDENT_FRAMES / len(pose))
    energy = count * frame_energies(problem, pose, posed).sum() + 0.5 * betas.square().sum()
    return ShapeSolution(betas, problem.focal_px, problem.hint_scale, float(energy))


def _shape_step(
    line: BodyLine, problem: Problem, pose: Pose, posed: Posed, betas: torch.Tensor, slack: float,
    height_m: float | None, first_focal: float, free_focal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    """Steps of the frames (T, D) and of the shared unknowns (B + 1,): shape, log focal length."""
    own, right = frame_equations(problem, pose, posed, slack)
    response = line.response(betas, posed)
    jacobian = torch.cat([problem.chain.jacobian(pose, posed), response], -1)
    rows, errors = reprojection_rows(problem, posed, jacobian, slack)
    points = problem.focal_px * posed.points[..., :2] / posed.points[..., 2:].clamp_min(0.1)
    plain = problem.weights.keypoint * problem.evidence.size_px[:, None, None]
    share = _row_strength(problem, posed, slack)
    by_focal = (points / plain * share[..., None]).flatten(1)
    rows = torch.cat([rows, by_focal[..., None]], -1)
    more, more_errors = hint_rows(problem, posed, jacobian, slack)
    more = torch.cat([more, torch.zeros_like(more[..., :1])], -1)
    rows, errors = torch.cat([rows, more], 1), torch.cat([errors, more_errors], 1)
    size = right.shape[1]
    mixed = rows[..., :size].transpose(1, 2) @ rows[..., size:]  # (T, D, B + 1)
    shared = (rows[..., size:].transpose(1, 2) @ rows[..., size:]).double()
    wanted = -(rows[..., size:].transpose(1, 2) @ errors[..., None]).squeeze(-1).double()
    diagonal = torch.diagonal(own, dim1=1, dim2=2)
    diagonal += 1e-3 * diagonal + 1e-2
    factor = torch.linalg.cholesky(own.double())
    solved = torch.cholesky_solve(torch.cat([mixed, right[..., None]], -1).double(), factor)
    count = min(1.0, _INDEPENDENT_FRAMES / len(pose))
    normal = count * (shared - mixed.double().transpose(1, 2) @ solved[..., :-1]).sum(0)
    side = count * (wanted - (mixed.double().transpose(1, 2) @ solved[..., -1:]).squeeze(-1)).sum(0)
    _add_shared_priors(
        normal, side, line, betas, height_m, problem.focal_px / first_focal, free_focal
    )
    step = torch.linalg.solve(normal, side)
    move = solved[..., -1] - solved[..., :-1] @ step
    return move.to(pose.q), step.to(pose.q)


def _row_strength(problem: Problem, posed: Posed, slack: float) -> torch.Tensor:

    error = reprojection_errors(problem, posed).square().sum(-1)
    return problem.evidence.weight.sqrt() * robust(error, problem.weights.keypoint_reach * slack)


def _add_shared_priors(
    normal: torch.Tensor, side: torch.Tensor, line: BodyLine, betas: torch.Tensor,
    height_m: float | None, zoom: float, free_focal: bool,
) -> None:  # fmt: skip
    """Shape is usual, height as given, focal length as assumed; changes `normal` and `side`."""
    size = len(betas)
    normal[:size, :size] += torch.eye(size).to(normal)
    side[:size] -= betas.to(side)
    if height_m is not None:
        slope = line.height_shapes.to(normal) / _HEIGHT_SPREAD_M
        error = (line.height_m + float(line.height_shapes @ betas) - height_m) / _HEIGHT_SPREAD_M
        normal[:size, :size] += torch.outer(slope, slope)
        side[:size] -= slope * error
    spread = _FOCAL_SPREAD if free_focal else 1e-6
    normal[size, size] += 1 / spread**2
    side[size] -= float(np.log(zoom)) / spread**2


def hint_scale(problem: Problem, posed: Posed) -> float:
    """Metres of the body per metre of the hints: the middle frame's ratio of in-plane extents."""
    evidence = problem.evidence
    weight = (evidence.hint_weight * evidence.weight)[..., None]
    local = (evidence.sight.transpose(-1, -2)[:, None] @ posed.points[..., None]).squeeze(-1)[
        ..., :2
    ]
    total = weight.sum(1, keepdim=True).clamp_min(1e-9)
    spread = [
        ((flat - (flat * weight).sum(1, keepdim=True) / total).square() * weight).sum((1, 2))
        for flat in (local, evidence.hints_m[..., :2])
    ]
    usable = spread[1] > 1e-4
    if not bool(usable.any()):
        return 1.0
    return float((spread[0] / spread[1].clamp_min(1e-9)).sqrt()[usable].median())
