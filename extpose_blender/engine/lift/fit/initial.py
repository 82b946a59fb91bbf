"""A first pose of every frame, straight from the detector's hints, without iterations.

Torso: the rotation that lays the rest torso over the hinted one. Limbs: upper and lower bone take
the hinted directions; the plane in which a knee or elbow bends fixes how the upper bone is twisted.
"""

from __future__ import annotations

import torch

from ....protocol.skeletons import SMPL_24, Skeleton
from .chain import BODY_JOINTS, Chain, Pose
from .evidence import TYPICAL_HEIGHT_M, Evidence
from .rotation import nearest_rotation, rotmat_to_rotvec, shortest_turn

_LIMBS = (
    ("left_shoulder", "left_elbow", "left_wrist", (0.0, -1.0, 0.0)),
    ("right_shoulder", "right_elbow", "right_wrist", (0.0, 1.0, 0.0)),
    ("left_hip", "left_knee", "left_ankle", (1.0, 0.0, 0.0)),
    ("right_hip", "right_knee", "right_ankle", (1.0, 0.0, 0.0)),
)
"""Upper joint, hinge, lower joint, and the axis about which the hinge bends at rest."""

_STRAIGHT = 0.15
"""Sine of the bend below which a hinge's plane is no longer trusted."""


def first_pose(chain: Chain, evidence: Evidence, points: Skeleton, focal_px: float) -> Pose:
    """Pose of every frame from its hints, or upright and facing as the shoulders say without
    them.
    """
    target = (evidence.sight[:, None] @ evidence.hints_m[..., None]).squeeze(-1)
    hinted = evidence.hint_weight[:, points.indices("left_shoulder", "right_hip")].amin(-1) > 0
    standing = _standing_points(chain, evidence, points)
    target = torch.where(hinted[:, None, None], target, standing)
    root = _torso_turn(chain, target, points)
    q = _limb_angles(chain, root, target, points)
    q = torch.where(hinted[:, None], q, torch.zeros_like(q))
    pose = Pose(root, target.new_zeros(len(target), 3), q)
    pose = Pose(root, place_pelvis(chain, pose, evidence, focal_px), q)
    return pose


def _standing_points(chain: Chain, evidence: Evidence, points: Skeleton) -> torch.Tensor:
    """(T, K, 3) an upright body that faces the camera, or away from it where left lies left."""
    count = len(evidence)
    like = evidence.hints_m
    left, right = points.indices("left_shoulder", "right_shoulder")
    away = evidence.xy_px[:, left, 0] < evidence.xy_px[:, right, 0]
    facing = like.new_tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    turned = like.new_tensor([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
    root = torch.where(away[:, None, None], turned, facing)
    zero = Pose(root, like.new_zeros(count, 3), like.new_zeros(count, chain.map.shape[1]))
    return chain.pose(zero).points


def _torso_turn(chain: Chain, target: torch.Tensor, points: Skeleton) -> torch.Tensor:
    """(T, 3, 3) rotation of the pelvis."""
    corners = points.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    at_rest = chain.rest_joints[chain.point_joints[corners]] + chain.point_offsets[corners]
    model = at_rest - at_rest.mean(0)
    seen = target[:, corners] - target[:, corners].mean(1, keepdim=True)
    return nearest_rotation(seen.transpose(-1, -2) @ model)


def _limb_angles(
    chain: Chain, root: torch.Tensor, target: torch.Tensor, points: Skeleton
) -> torch.Tensor:
    """(T, Q) angles that point the limbs as hinted, torso straight."""
    rotvecs = target.new_zeros(len(target), BODY_JOINTS, 3)
    for upper, hinge, lower, axis in _LIMBS:
        a, b, c = (target[:, points.index[name]] for name in (upper, hinge, lower))
        local_upper = (root.transpose(-1, -2) @ _unit(b - a)[..., None]).squeeze(-1)
        local_lower = (root.transpose(-1, -2) @ _unit(c - b)[..., None]).squeeze(-1)
        turn, bend = _hinge_turn(chain, hinge, lower, axis, local_upper, local_lower)
        rotvecs[:, SMPL_24.index[upper]] = rotmat_to_rotvec(turn)
        rotvecs[:, SMPL_24.index[hinge]] = bend
    flat = rotvecs[:, 1:].reshape(len(target), -1)
    return flat @ torch.linalg.pinv(chain.map).T


def _hinge_turn(
    chain: Chain,
    hinge: str,
    lower: str,
    axis: tuple[float, ...],
    first: torch.Tensor,
    second: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn of the upper bone and rotation vector of its hinge, for the directions of both bones."""
    rest_first = _unit(chain.bones[SMPL_24.index[hinge]])
    rest_second = _unit(chain.bones[SMPL_24.index[lower]])
    bend_axis = first.new_tensor(axis)
    shortest = shortest_turn(rest_first.expand_as(first), first)
    default = (shortest @ bend_axis[:, None]).squeeze(-1)
    cross = torch.linalg.cross(first, second, dim=-1)
    trust = (cross.norm(dim=-1, keepdim=True) / _STRAIGHT).clamp(max=1.0)
    # A bend against the hinge is an error of the hint, never an arm on backwards.
    forward = ((cross * default).sum(-1, keepdim=True) > 0).to(cross)
    wanted = _unit(_unit(cross) * trust * forward + default * (1 - trust * forward))
    wanted = _unit(wanted - (wanted * first).sum(-1, keepdim=True) * first)
    own_axis = _unit(bend_axis - (bend_axis * rest_first).sum() * rest_first)
    at_rest = torch.stack(
        [rest_first, own_axis, torch.linalg.cross(rest_first, own_axis, dim=-1)], -1
    )
    there = torch.stack([first, wanted, torch.linalg.cross(first, wanted, dim=-1)], -1)
    turn = there @ at_rest.T
    inside = (turn.transpose(-1, -2) @ second[..., None]).squeeze(-1)
    bend = rotmat_to_rotvec(shortest_turn(rest_second.expand_as(inside), inside))
    return turn, bend


def place_pelvis(chain: Chain, pose: Pose, evidence: Evidence, focal_px: float) -> torch.Tensor:
    """(T, 3) where the pelvis must be for the posed landmarks to lie over the keypoints.

    A linear problem per frame in x, y and z; the person's size in the picture holds the depth where
    too few keypoints do.
    """
    points = chain.pose(Pose(pose.root, torch.zeros_like(pose.pelvis), pose.q)).points
    slope = evidence.xy_px / focal_px  # (T, K, 2)
    weight = evidence.weight
    depth = focal_px * TYPICAL_HEIGHT_M / evidence.size_px
    rows = points.new_zeros(*weight.shape, 2, 3)
    rows[..., 0, 0] = rows[..., 1, 1] = 1.0
    rows[..., 2] = -slope
    wanted = slope * points[..., 2:] - points[..., :2]
    weighted = rows * weight[..., None, None]
    normal = torch.einsum("tkij,tkil->tjl", weighted, rows)
    right = torch.einsum("tkij,tki->tj", weighted, wanted)
    hold = 1e-3 * weight.sum(-1) + 1e-6
    normal = normal + 1e-6 * torch.eye(3, dtype=normal.dtype, device=normal.device)
    normal[:, 2, 2] += hold
    right = torch.cat([right[:, :2], (right[:, 2] + hold * depth)[:, None]], -1)
    place = torch.linalg.solve(normal.double(), right.double()[..., None]).squeeze(-1).to(points)
    near = (place[:, 2] < 0.3 * depth) | (place[:, 2] > 3 * depth)
    centre = (evidence.xy_px * weight[..., None]).sum(1) / weight.sum(-1, keepdim=True).clamp_min(
        1e-6
    )
    plain = torch.cat([centre / focal_px * depth[:, None], depth[:, None]], -1)
    return torch.where(near[:, None], plain, place)


def _unit(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.norm(dim=-1, keepdim=True).clamp_min(1e-9)
