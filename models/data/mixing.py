"""From captured runs to new motion: other speeds and rates, mirrors, limbs of several captures.

A clip follows a base run for its pelvis and legs; trunk and head, left arm and right arm may follow
runs of their own. Every run is read at real times through a spline, so any frame rate comes out
smooth; at its ends time turns back gently.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from extpose_blender.protocol.skeletons import SMPLH_52

from .draws import Draws, smooth_factor
from .motion import BODY_JOINTS, MotionBank
from .quaternions import multiply, rotvec_to_quat, smooth_between, spline_weights

_UPPER = ("spine1", "spine2", "spine3", "neck", "head")
_ARM = ("collar", "shoulder", "elbow", "wrist")
_ROUNDED = 0.985
"""How sharply time turns at the ends of a run; 1 is a corner."""


def _part_of(name: str) -> int:
    """0 base, 1 trunk and head, 2 left arm, 3 right arm."""
    side, _, joint = name.partition("_")
    if name in _UPPER:
        return 1
    is_arm = joint in _ARM or (side in ("left", "right") and joint[-1:].isdigit())
    return 0 if not is_arm else 2 if side == "left" else 3


PARTS = 4
PART_OF_JOINT = tuple(_part_of(name) for name in SMPLH_52.joint_names)
"""(52,) which part of a mix each joint belongs to."""


@dataclass(frozen=True)
class MixConfig:
    """How captured motion is varied."""

    speed: tuple[float, float] = (0.5, 2.0)
    """Slowest and fastest replay."""
    as_captured_share: float = 0.4
    """Share of clips at the captured speed."""
    upper_share: float = 0.2
    """Share of clips whose trunk, head and arms come from another run."""
    arm_share: float = 0.12
    """Share of clips, for each arm, whose arm comes from another run."""
    habit_deg: float = 4.0
    """Deviation of each joint's constant turn: people hold themselves differently."""
    wander_deg: float = 4.0
    """Deviation of each joint's slowly changing turn, in half of the clips."""


@dataclass(frozen=True)
class Motions:
    """B moving people in the world, for a body of mean shape."""

    quat: Tensor
    """(B, T, 52, 4) local rotations; joint 0 turns the rest frame into the world, Z up."""
    pelvis_m: Tensor
    """(B, T, 3) pelvis joint, world; the ground is at z = 0."""
    fingers: Tensor
    """(B, 2) bool: the left and right hand's fingers were captured."""


def mix_motion(
    draws: Draws, bank: MotionBank, run_weights: Tensor, config: MixConfig, times_s: Tensor
) -> Motions:
    """Draw motions out of a bank.

    Args:
        draws: The batch's random numbers.
        bank: Captured runs, on the device of `draws`.
        run_weights: (R,) how often each run is taken.
        config: How they are varied.
        times_s: (B, T) seconds, from 0.
    """
    count = len(times_s)
    run = draws.choice(run_weights, PARTS * count).unflatten(0, (count, PARTS))
    same = ~draws.chance(config.upper_share, count)
    run[:, 1] = torch.where(same, run[:, 0], run[:, 1])
    for part in (2, 3):
        follows = ~draws.chance(config.arm_share, count)
        run[:, part] = torch.where(follows, run[:, 1], run[:, part])
    start = draws.uniform(count, PARTS)
    mirrored = draws.chance(0.5, count, PARTS)
    joined = run == run[:, :1]  # Parts of one run move together.
    start = torch.where(joined, start[:, :1], start)
    mirrored = torch.where(joined, mirrored[:, :1], mirrored)
    as_captured = draws.chance(config.as_captured_share, count)
    speed = draws.log_uniform(count, low=config.speed[0], high=config.speed[1])
    speed = torch.where(as_captured, 1.0, speed)
    row, share = _rows(bank, run, start, times_s * speed[:, None])
    captured = bank.fingers_move[run[:, 2:]]
    body = _read_joints(bank, run, row, share, mirrored, slice(0, BODY_JOINTS))
    quat = torch.zeros(count, times_s.shape[1], len(SMPLH_52), 4, device=draws.device)
    quat[..., 0] = 1.0
    quat[:, :, :BODY_JOINTS] = multiply(body, _habits(draws, config, times_s))
    known = captured.any(1).nonzero()[:, 0]
    quat[known, :, BODY_JOINTS:] = _read_joints(
        bank, run[known], row[known], share[known], mirrored[known], slice(BODY_JOINTS, None)
    )
    pelvis = _read_path(bank, run[:, 0], row[..., 0], share[..., 0], mirrored[:, 0])
    turn = draws.uniform(count, high=2 * torch.pi)
    quat[:, :, 0], pelvis = turned(quat[:, :, 0], pelvis, turn)
    return Motions(quat, pelvis, captured)


def turned(root: Tensor, pelvis: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Roots (B, T, 4) and paths (B, T, 3) turned about the world's vertical by (B,) radians."""
    zero = torch.zeros_like(angle)
    about = torch.stack([torch.cos(angle / 2), zero, zero, torch.sin(angle / 2)], -1)
    c, s = angle.cos()[:, None], angle.sin()[:, None]
    x, y, z = pelvis.unbind(-1)
    path = torch.stack([c * x - s * y, s * x + c * y, z], -1)
    return multiply(about[:, None].expand_as(root), root), path


def _rows(bank: MotionBank, run: Tensor, start: Tensor, moved_s: Tensor) -> tuple[Tensor, Tensor]:
    """Frame of the bank (B, T, P) before each time, and share (B, T, P) of the way to the next."""
    last = (bank.length[run] - 1).float()  # (B, P)
    phase = start[:, None] + moved_s[:, :, None] * (bank.fps[run] / last.clamp(min=1))[:, None]
    # Even from end to end and back, with rounded corners.
    wave = torch.asin(_ROUNDED * torch.cos(torch.pi * phase)) / torch.pi
    swing = torch.asin(torch.tensor(_ROUNDED)) / torch.pi
    place = (0.5 - 0.5 * wave / swing.to(wave)) * last[:, None]
    row = torch.minimum(place.floor(), last[:, None] - 1).clamp(min=0)
    return row.long(), (place - row).clamp(0, 1)


def _read_joints(
    bank: MotionBank, run: Tensor, row: Tensor, share: Tensor, mirrored: Tensor, joints: slice
) -> Tensor:
    """Rotations (B, T, J, 4) of some joints at the given rows."""
    device = row.device
    part = torch.tensor(PART_OF_JOINT[joints], device=device)
    mirror = torch.tensor(SMPLH_52.mirror[joints], device=device)
    own = torch.arange(len(SMPLH_52), device=device)[joints]
    flip = mirrored[:, part]  # (B, J)
    joint = torch.where(flip, mirror, own)
    rows = _knots(bank, run, row)[:, :, part]  # (B, T, J, 4)
    index = rows * len(SMPLH_52) + joint[:, None, :, None]
    quat = smooth_between(bank.quat.view(-1, 4)[index], spline_weights(share)[:, :, part])
    sign = torch.tensor([1.0, 1.0, -1.0, -1.0], device=device)
    return torch.where(flip[:, None, :, None], quat * sign, quat)


def _read_path(
    bank: MotionBank, run: Tensor, row: Tensor, share: Tensor, mirrored: Tensor
) -> Tensor:
    """Pelvis (B, T, 3) of runs (B,) at rows (B, T)."""
    knots = _knots(bank, run[:, None], row[..., None])[:, :, 0]
    path = (bank.pelvis_m[knots] * spline_weights(share)[..., None]).sum(-2)
    across = torch.tensor([-1.0, 1.0, 1.0], device=row.device)
    return torch.where(mirrored[:, None, None], path * across, path)


def _knots(bank: MotionBank, run: Tensor, row: Tensor) -> Tensor:
    """(B, T, P, 4) frames of the bank around rows (B, T, P) of runs (B, P)."""
    knots = row[..., None] + torch.arange(-1, 3, device=row.device)
    knots = torch.minimum(knots.clamp(min=0), (bank.length[run] - 1)[:, None, :, None])
    return knots + bank.first[run][:, None, :, None]


def _habits(draws: Draws, config: MixConfig, times: Tensor) -> Tensor:
    """(B, T, 22, 4) small turns of the body's joints; the pelvis has none."""
    count, frames = times.shape
    turned = BODY_JOINTS - 1
    wanders = draws.chance(0.5, count, 1, 1)
    factor = smooth_factor(times, draws.log_uniform(count, low=0.4, high=2.0))
    slow = factor @ draws.normal(count, frames, turned * 3) * wanders * config.wander_deg
    vector = (slow + draws.normal(count, 1, turned * 3) * config.habit_deg).deg2rad()
    quat = torch.zeros(count, frames, BODY_JOINTS, 4, device=times.device)
    quat[..., 0] = 1.0
    quat[:, :, 1:] = rotvec_to_quat(vector.unflatten(-1, (turned, 3)))
    return quat
