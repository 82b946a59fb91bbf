"""The optimiser: Gauss-Newton over all frames of a window, with weights that let wrong keypoints
go.

Every term is a sum of squares in units of its own usual size:

- reprojection: keypoints, in shares of the person's height in pixels, robust (Geman-McClure);
- hints: depth of each point along the line of sight, from the middle of the hips, robust;
- prior: the mixture of `prior.py`; limits: a wall at the ends of each joint's range;
- anchor: angles that another lifter found, robust;
- smoothness: accelerations in real time of every unknown, robust so that fast hits stay sharp;
- rest: speeds in rows where nothing was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .banded import solve_banded
from .chain import ROOT_SIZE, Chain, Pose, Posed
from .evidence import Evidence
from .prior import PosePrior
from .rotation import rotmat_to_rotvec


@dataclass(frozen=True)
class Weights:
    """How strongly each term pulls."""

    keypoint: float = 0.012
    """Usual error of a keypoint, shares of the person's height."""
    keypoint_reach: float = 4.0
    """Errors beyond this many usual ones count less and less."""
    hint: float = 0.20
    """Usual error of a hint's depth, metres."""
    hint_reach: float = 3.0
    """As `keypoint_reach`, for hints."""
    prior: float = 1.0
    """Strength of the pose prior."""
    limit: float = 0.02
    """Radians beyond a limit that cost as much as one usual keypoint error."""
    smooth: float = 1.0
    """Strength of smoothness, 1 where accelerations are as in recorded motion."""
    smooth_reach: float = 3.0
    """As `keypoint_reach`, for accelerations."""
    anchor: float = 0.25
    """Usual error of an angle of a start that is believed, radians."""
    anchor_reach: float = 2.0
    """As `keypoint_reach`, for those angles."""
    idle_speed: float = 1.0
    """Usual speed in rows where nothing was seen, rad/s and m/s."""


@dataclass(frozen=True)
class Anchor:
    """Angles that another lifter measured, as one more observation of T frames."""

    pose: Pose
    """What it says; its place does not count."""
    weight: torch.Tensor
    """(T,) how much each frame of it counts, 0 to 1."""


@dataclass(frozen=True)
class Problem:
    """What does not change while a window is solved."""

    chain: Chain
    evidence: Evidence
    prior: PosePrior
    limits: torch.Tensor
    """(Q, 2) lowest and highest angle, radians."""
    hips: tuple[int, int]
    """Indices of the detector's hips."""
    focal_px: float
    fps: float
    hint_scale: float
    """Metres of this body per metre of the hints."""
    weights: Weights = Weights()
    anchor: Anchor | None = None
    """What another lifter says, where there is one."""


def solve_window(problem: Problem, start: Pose, steps: int, slack: float = 4.0) -> Pose:
    """Improve a pose of T frames by a fixed number of Gauss-Newton steps.

    The first step forgives errors `slack` times as large, each further one half of that, down to 1.
    """
    pose = start
    for _ in range(steps):
        pose = _one_step(problem, pose, slack)
        slack = max(1.0, 0.5 * slack)
    return pose


def _one_step(problem: Problem, pose: Pose, slack: float) -> Pose:
    posed = problem.chain.pose(pose)
    blocks, right = frame_equations(problem, pose, posed, slack)
    time_blocks, next_ties, second_ties, time_right = _smoothness(problem, pose, slack)
    diagonal = torch.diagonal(blocks, dim1=1, dim2=2)
    diagonal += time_blocks + 1e-4 * diagonal + 1e-3
    step = solve_banded(blocks, next_ties, second_ties, right + time_right)
    return pose.moved(limit_step(step))


def limit_step(step: torch.Tensor) -> torch.Tensor:
    """Shorten steps (T, 6 + Q) whose largest turn exceeds what the linearisation bears."""
    angles = torch.cat([step[:, :3], step[:, ROOT_SIZE:]], -1)
    largest = angles.abs().amax(-1, keepdim=True).clamp_min(1e-9)
    return step * (0.6 / largest).clamp(max=1.0)


def frame_equations(
    problem: Problem, pose: Pose, posed: Posed, slack: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Normal equations of the terms that look at one frame: (T, D, D) and (T, D)."""
    jacobian = problem.chain.jacobian(pose, posed)
    parts = [
        reprojection_rows(problem, posed, jacobian, slack),
        hint_rows(problem, posed, jacobian, slack),
    ]
    rows = torch.cat([part[0] for part in parts], 1)
    errors = torch.cat([part[1] for part in parts], 1)
    blocks = rows.transpose(1, 2) @ rows
    right = -(rows.transpose(1, 2) @ errors[..., None]).squeeze(-1)
    gradient, curvature = problem.prior.quadratic(pose.q)
    strength = problem.weights.prior
    blocks[:, ROOT_SIZE:, ROOT_SIZE:] += strength * curvature
    right[:, ROOT_SIZE:] -= strength * gradient
    if problem.anchor is not None:
        _hold_to_anchor(problem.anchor, problem.weights, pose, slack, blocks, right)
    beyond = _beyond_limits(problem, pose)
    wall = (beyond != 0).to(beyond) / problem.weights.limit**2
    torch.diagonal(blocks, dim1=1, dim2=2)[:, ROOT_SIZE:] += wall
    right[:, ROOT_SIZE:] -= wall * beyond
    return blocks, right


def _hold_to_anchor(
    anchor: Anchor, weights: Weights, pose: Pose, slack: float, blocks: torch.Tensor,
    right: torch.Tensor,
) -> None:  # fmt: skip
    """Pull the root's turn and the angles towards the anchor's; changes `blocks` and `right`."""
    turn = rotmat_to_rotvec(pose.root @ anchor.pose.root.transpose(-1, -2))
    place = torch.zeros_like(turn)
    error = torch.cat([turn, place, pose.q - anchor.pose.q], -1) / weights.anchor
    pull = robust(error.square(), weights.anchor_reach * slack).square()
    pull[:, 3:ROOT_SIZE] = 0.0
    pull = pull * anchor.weight[:, None] / weights.anchor**2
    torch.diagonal(blocks, dim1=1, dim2=2).add_(pull)
    right -= pull * error * weights.anchor


def frame_energies(problem: Problem, pose: Pose, posed: Posed) -> torch.Tensor:
    """(T,) what the terms that look at one frame add up to: lower is likelier, in nats."""
    evidence, weights = problem.evidence, problem.weights
    seen = reprojection_errors(problem, posed).square().sum(-1)
    hinted = hint_errors(problem, posed).square()
    beyond = (_beyond_limits(problem, pose) / weights.limit).square()
    return (
        0.5 * (evidence.weight * seen * robust(seen, weights.keypoint_reach)).sum(-1)
        + 0.5
        * (evidence.hint_weight.square() * hinted * robust(hinted, weights.hint_reach)).sum(-1)
        + 0.5 * beyond.sum(-1)
        + weights.prior * problem.prior.energy(pose.q)
    )


def _beyond_limits(problem: Problem, pose: Pose) -> torch.Tensor:
    """(T, Q) by how much angles lie outside their limits, radians."""
    return pose.q - pose.q.clamp(problem.limits[:, 0], problem.limits[:, 1])


def reprojection_errors(problem: Problem, posed: Posed) -> torch.Tensor:
    """(T, K, 2) projected minus seen, in usual errors."""
    usual = problem.weights.keypoint
    return keypoint_errors(posed.points, problem.evidence, problem.focal_px, usual)


def keypoint_errors(
    points: torch.Tensor, evidence: Evidence, focal_px: float, usual: float
) -> torch.Tensor:
    """(T, K, 2) projected landmarks (T, K, 3) minus keypoints, in `usual` shares of the height."""
    flat = focal_px * points[..., :2] / points[..., 2:].clamp_min(0.1)
    return (flat - evidence.xy_px) / (usual * evidence.size_px)[:, None, None]


def reprojection_rows(
    problem: Problem, posed: Posed, jacobian: torch.Tensor, slack: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted rows (T, 2K, D) and errors (T, 2K) of the keypoints."""
    evidence, weights = problem.evidence, problem.weights
    error = reprojection_errors(problem, posed)
    depth = posed.points[..., 2:].clamp_min(0.1)
    scale = (
        problem.focal_px
        / depth[..., None]
        / (weights.keypoint * evidence.size_px)[:, None, None, None]
    )
    slope = (posed.points[..., :2] / depth)[..., None]
    rows = scale * (jacobian[:, :, :2] - slope * jacobian[:, :, 2:])
    strength = evidence.weight.sqrt() * robust(
        error.square().sum(-1), weights.keypoint_reach * slack
    )
    return (rows * strength[..., None, None]).flatten(1, 2), (error * strength[..., None]).flatten(
        1
    )


def hint_errors(problem: Problem, posed: Posed) -> torch.Tensor:
    """(T, K) depth behind the middle of the hips minus the hinted one, in usual errors."""
    depth = (posed.points * problem.evidence.sight[:, None, :, 2]).sum(-1)
    left, right = problem.hips
    middle = 0.5 * (depth[:, left] + depth[:, right])[:, None]
    hinted = problem.hint_scale * problem.evidence.hints_m[..., 2]
    return (depth - middle - hinted) / problem.weights.hint


def hint_rows(
    problem: Problem, posed: Posed, jacobian: torch.Tensor, slack: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted rows (T, K, D) and errors (T, K) of the hints' depths."""
    evidence, weights = problem.evidence, problem.weights
    ray = evidence.sight[:, None, :, 2]  # (T, 1, 3)
    slope = (ray[:, :, None] @ jacobian).squeeze(2)  # (T, K, D)
    left, right = problem.hips
    middle_slope = 0.5 * (slope[:, left] + slope[:, right])[:, None]
    error = hint_errors(problem, posed)
    strength = evidence.hint_weight * robust(error.square(), weights.hint_reach * slack)
    return (slope - middle_slope) * (strength / weights.hint)[..., None], error * strength


def robust(square: torch.Tensor, reach: float) -> torch.Tensor:
    """Square root of Geman-McClure's weight for squared errors."""
    return 1.0 / (1.0 + square / reach**2)


def _smoothness(
    problem: Problem, pose: Pose, slack: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Diagonals of the time terms: (T, D) own, (T-1, D) and (T-2, D) ties, and (T, D) right-hand
    side.
    """
    count, size = len(pose), ROOT_SIZE + pose.q.shape[1]
    own = pose.q.new_zeros(count, size)
    right = pose.q.new_zeros(count, size)
    next_ties = pose.q.new_zeros(max(count - 1, 0), size)
    second_ties = pose.q.new_zeros(max(count - 2, 0), size)
    if count < 2:
        return own, next_ties, second_ties, right
    speed = _differences(pose)  # (T-1, D)
    if count > 2:
        usual = problem.prior.acceleration / problem.fps**2
        error = speed[1:] - speed[:-1]
        weight = problem.weights.smooth / usual.square()
        weight = (
            weight * robust((error / usual).square(), problem.weights.smooth_reach * slack) ** 2
        )
        for shift, factor in ((0, 1.0), (1, -2.0), (2, 1.0)):
            own[shift : count - 2 + shift] += factor**2 * weight
            right[shift : count - 2 + shift] -= factor * weight * error
        next_ties[:-1] += -2.0 * weight
        next_ties[1:] += -2.0 * weight
        second_ties += weight
    seen = problem.evidence.seen
    unseen = (~(seen[1:] & seen[:-1])).to(speed)[:, None]
    weight = unseen * (problem.fps / problem.weights.idle_speed) ** 2 / problem.fps
    weight = weight.expand_as(speed)
    own[:-1] += weight
    own[1:] += weight
    next_ties -= weight
    right[:-1] += weight * speed
    right[1:] -= weight * speed
    return own, next_ties, second_ties, right


def _differences(pose: Pose) -> torch.Tensor:
    """(T-1, 6 + Q) change of every unknown to the next frame."""
    turn = rotmat_to_rotvec(pose.root[1:] @ pose.root[:-1].transpose(-1, -2))
    return torch.cat([turn, pose.pelvis[1:] - pose.pelvis[:-1], pose.q[1:] - pose.q[:-1]], -1)
