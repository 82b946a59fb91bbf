"""What a detector's 3D points say about a body's pose, told so that little is left to learn.

How a limb is turned does not depend on which way the body faces; where its points lie does. So the
points are also given in a frame of the trunk, with the directions of the limbs and the planes in
which elbows and knees bend. And the turns of trunk and limbs that follow from the points alone are
what the network's answer begins with: it learns how these are wrong.

Axes of the trunk's frame are those of SMPL's rest frame: x to the person's left, y up, z ahead.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ....protocol.skeletons import MEDIAPIPE_33, SMPL_24
from ..fit.rotation import shortest_turn

_LIMBS = tuple(
    tuple(MEDIAPIPE_33.index[f"{side}_{point}"] for point in points)
    for side in ("left", "right")
    for points in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
)
"""Upper joint, hinge and lower joint of each limb."""
_LINES = tuple(
    (MEDIAPIPE_33.index[start], MEDIAPIPE_33.index[end])
    for start, end in (
        ("left_heel", "left_foot_index"),
        ("right_heel", "right_foot_index"),
        ("left_wrist", "left_index"),
        ("right_wrist", "right_index"),
        ("right_ear", "left_ear"),
        ("left_ear", "nose"),
        ("right_ear", "nose"),
        ("right_shoulder", "left_shoulder"),
        ("right_hip", "left_hip"),
    )
)
"""Other lines whose direction tells of a turn: feet, hands, head, shoulders, hips."""

_HIPS = list(MEDIAPIPE_33.indices("left_hip", "right_hip"))
_REST = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
"""Directions of both bones of each limb at rest, a T-pose."""
_HINGES = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Axis about which each limb's hinge bends at rest."""
_TURNED = tuple(
    (SMPL_24.index[f"{side}_{upper}"], SMPL_24.index[f"{side}_{hinge}"])
    for side in ("left", "right")
    for upper, hinge in (("shoulder", "elbow"), ("hip", "knee"))
)
"""Joints that are turned at the upper end and at the hinge of each limb."""

_LEAST_SIZE = 0.05
"""A metre is believed to be at least so many box units."""
_DEEPEST = 0.6
"""Points are believed to be at most this share of the person's distance nearer or farther."""

FEATURES = 6 + 3 * (len(MEDIAPIPE_33) + 3 * len(_LIMBS) + len(_LINES))
"""Numbers that describe a frame's hints."""

_STRAIGHT = 0.15
"""Sine of the bend below which a hinge's plane is no longer told in full."""


def joined_points(keypoints: Tensor, hints_m: Tensor, log_width: Tensor) -> Tensor:
    """Put the detector's 3D points where its 2D points see them, in true perspective.

    Across the line of sight a detector's picture points are several times as good as its 3D points;
    along it there are the latter alone. Size and place of the 3D points in the box are those that
    lay them best over the picture points.

    Args:
        keypoints: (..., 33, 3) box units, score.
        hints_m: (..., 33, 4) metres, score.
        log_width: (...) logarithm of the box's side over the focal length.

    Returns:
        (..., 33, 3) metres, origin between the hips.
    """
    seen, weight = keypoints[..., :2], keypoints[..., 2:].clamp_min(1e-3)
    points = hints_m[..., :3]
    share = weight / weight.sum(-2, keepdim=True)
    middle = (seen * share).sum(-2, keepdim=True)
    nearer = torch.ones_like(share)
    for _ in range(2):
        drawn = points[..., :2] / nearer
        drawn = drawn - (drawn * share).sum(-2, keepdim=True)
        both = (share * drawn * (seen - middle)).sum((-1, -2), keepdim=True)
        size = both / (share * drawn.square()).sum((-1, -2), keepdim=True).clamp_min(1e-6)
        size = size.clamp_min(_LEAST_SIZE)
        slope = size * log_width.exp()[..., None, None] * points[..., 2:]  # Depth over distance.
        nearer = 1 + slope.clamp(-_DEEPEST, _DEEPEST)
    placed = torch.cat([seen * nearer / size, points[..., 2:]], -1)
    return placed - placed[..., _HIPS, :].mean(-2, keepdim=True)


def describe_hints(hints_m: Tensor) -> Tensor:
    """Describe the detector's 3D points.

    Args:
        hints_m: (..., 33, 3) metres, or with more numbers behind them.

    Returns:
        (..., `FEATURES`): two axes of the trunk, then in its frame the points, the directions of the
        limbs' bones, the axes about which their hinges bend, and the directions of feet, hands and
        head.
    """
    points = hints_m[..., :3]
    trunk = trunk_turn(points)
    inside = points @ trunk  # Rows times a rotation: what its transpose makes of columns.
    upper, hinge, lower = (inside[..., list(joints), :] for joints in zip(*_LIMBS, strict=True))
    first, second = _unit(hinge - upper), _unit(lower - hinge)
    bend = torch.linalg.cross(first, second, dim=-1)
    sine = bend.norm(dim=-1, keepdim=True)
    axis = bend / sine.clamp_min(_STRAIGHT)
    starts, ends = (list(line) for line in zip(*_LINES, strict=True))
    lines = _unit(inside[..., ends, :] - inside[..., starts, :])
    parts = (trunk[..., :2], inside, first, second, axis, lines)
    return torch.cat([part.flatten(-2) for part in parts], -1)


def hinted_turns(hints_m: Tensor) -> Tensor:
    """The turns that follow from the detector's 3D points alone.

    Args:
        hints_m: (..., 33, 3) metres, or with more numbers behind them.

    Returns:
        (..., 24, 3, 3) rotations of SMPL's joints in their parents' frames; those of the spine, the
        head, feet and hands are not turned. The root's is to the frame of the points.
    """
    points = hints_m[..., :3]
    trunk = trunk_turn(points)
    inside = points @ trunk
    upper, hinge, lower = (inside[..., list(joints), :] for joints in zip(*_LIMBS, strict=True))
    turn, bend = _limb_turns(_unit(hinge - upper), _unit(lower - hinge))
    eye = torch.eye(3, dtype=points.dtype, device=points.device)
    turns = eye.expand(*trunk.shape[:-2], len(SMPL_24), 3, 3).clone()
    turns[..., 0, :, :] = trunk
    uppers, hinges = (list(joints) for joints in zip(*_TURNED, strict=True))
    turns[..., uppers, :, :] = turn
    turns[..., hinges, :, :] = bend
    return turns


def _limb_turns(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Turns of the upper bones and of the hinges, both (..., 4, 3, 3), for the bones' directions.

    The plane in which a hinge bends fixes how the upper bone is twisted; where it is nearly straight,
    or bends the wrong way, the bone is not twisted at all. As `fit/initial.py` does it.
    """
    rest, axis = first.new_tensor(_REST), first.new_tensor(_HINGES)
    plain = shortest_turn(rest.expand_as(first), first)
    untwisted = (plain @ axis[..., None])[..., 0]
    bend = torch.linalg.cross(first, second, dim=-1)
    trust = (bend.norm(dim=-1, keepdim=True) / _STRAIGHT).clamp(max=1.0)
    trust = trust * ((bend * untwisted).sum(-1, keepdim=True) > 0)
    wanted = _unit(bend) * trust + untwisted * (1 - trust)
    wanted = _unit(wanted - (wanted * first).sum(-1, keepdim=True) * first)
    there = torch.stack([first, wanted, torch.linalg.cross(first, wanted, dim=-1)], -1)
    at_rest = torch.stack([rest, axis, torch.linalg.cross(rest, axis, dim=-1)], -1)
    turn = there @ at_rest.mT
    inside = (turn.mT @ second[..., None])[..., 0]
    return turn, shortest_turn(rest.expand_as(inside), inside)


def trunk_turn(points: Tensor) -> Tensor:
    """(..., 33, 3) → (..., 3, 3): from the trunk's frame to that of the points.

    Up is from the middle of the hips to that of the shoulders; where the points coincide the result
    is a finite matrix, not a rotation.
    """
    left, right, left_hip, right_hip = (
        points[..., MEDIAPIPE_33.index[name], :]
        for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    )
    up = _unit((left + right) - (left_hip + right_hip))
    across = (left - right) + (left_hip - right_hip)
    across = _unit(across - (across * up).sum(-1, keepdim=True) * up)
    return torch.stack([across, up, torch.linalg.cross(across, up, dim=-1)], -1)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-4)
