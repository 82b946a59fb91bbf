"""How far a person's joints go: to see what is wrong in a motion, to hold a pose, to punish a fit.

A joint's rotation is taken apart into a twist about its bone and a swing that carries the bone. A
swing is a rotation vector at right angles to the bone; its two components and the twist each have a
lowest and a highest angle. Knees are hinges with a little play and elbows hinges that may lean,
because a body model's bones are not a person's.

The angles are about the axes of the rest pose (X to the person's left, Y up, Z forward). Their
middle is the clinical range of the American Academy of Orthopaedic Surgeons ("Joint Motion: Method
of Measuring and Recording", 1965; Norkin and White, "Measurement of Joint Motion"), measured from
SMPL's T-pose, widened for gymnasts and for how SMPL's skeleton shares a movement among joints: a
lifted arm between collar and shoulder, a turned palm among shoulder, elbow and wrist, a bent back
among three joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from ...protocol.errors import BadShape
from ...protocol.skeletons import MODEL_SKELETONS

_X, _Y = 0, 1
_Range = tuple[float, float]

# Bone axis and ranges about X, Y and Z in degrees; left side, the right mirrors it.
_LEFT: dict[str, tuple[int, _Range, _Range, _Range]] = {
    # -x lifts the knee forward, +z spreads the leg, +y turns the toes out.
    "left_hip": (_Y, (-165, 70), (-70, 85), (-55, 110)),
    # +x bends the knee.
    "left_knee": (_Y, (-15, 168), (-45, 45), (-22, 22)),
    # -x lifts the toes.
    "left_ankle": (_Y, (-60, 80), (-50, 50), (-50, 50)),
    "left_foot": (_Y, (-90, 60), (-30, 30), (-30, 30)),
    # +x bends forward.
    "spine1": (_Y, (-45, 70), (-45, 45), (-40, 40)),
    "spine2": (_Y, (-40, 55), (-40, 40), (-35, 35)),
    "spine3": (_Y, (-40, 50), (-40, 40), (-35, 35)),
    "neck": (_Y, (-60, 65), (-65, 65), (-50, 50)),
    "head": (_Y, (-60, 55), (-65, 65), (-45, 45)),
    # -y brings the shoulder forward, +z lifts it.
    "left_collar": (_X, (-45, 45), (-50, 45), (-40, 65)),
    # +z lifts the arm, -y brings it forward.
    "left_shoulder": (_X, (-140, 140), (-160, 90), (-130, 115)),
    # -y bends the elbow; about x the forearm turns. The hinge leans up to 30 degrees from Y with
    # how the upper arm is turned, which in a full bend is up to 80 degrees about z.
    "left_elbow": (_X, (-120, 120), (-165, 20), (-80, 80)),
    # -z bends the hand towards the palm.
    "left_wrist": (_X, (-85, 85), (-60, 60), (-100, 95)),
    "left_hand": (_X, (-45, 45), (-45, 45), (-90, 60)),
    "left_thumb1": (_X, (-75, 75), (-75, 75), (-75, 75)),
    "left_thumb2": (_X, (-75, 75), (-85, 85), (-85, 85)),
    "left_thumb3": (_X, (-85, 85), (-100, 100), (-100, 100)),
    "jaw": (_Y, (-10, 45), (-20, 20), (-20, 20)),
    "left_eye_smplhf": (_Y, (-50, 50), (-60, 60), (-30, 30)),
}
_LEFT |= {
    f"left_{finger}{i}": (_X, (-twist, twist), (-side, side), bend)
    for finger in ("index", "middle", "ring", "pinky")
    for i, twist, side, bend in (
        (1, 40.0, 45.0, (-115.0, 60.0)),
        (2, 30.0, 40.0, (-135.0, 30.0)),
        (3, 30.0, 50.0, (-110.0, 45.0)),
    )
}


@dataclass(frozen=True)
class JointLimits:
    """Limits of the joints of one skeleton."""

    joint_names: tuple[str, ...]
    """(J,) names."""
    bone_axis: np.ndarray
    """(J,) int: the axis, 0 for X or 1 for Y, along which the bone lies at rest."""
    low: np.ndarray
    """(J, 3) lowest angles about X, Y, Z, radians. -inf for the root, which may turn freely."""
    high: np.ndarray
    """(J, 3) highest angles, radians."""


@dataclass(frozen=True)
class Violation:
    """A joint beyond its limits in one frame."""

    frame: int
    """Row of the motion."""
    joint: str
    """Its name."""
    axis: str
    """`x`, `y` or `z`."""
    excess_deg: float
    """How far beyond, degrees."""


@cache
def joint_limits(model_type: str) -> JointLimits:
    """Limits for `smpl`, `smplh`, `smplx` or `mano`. Raises KeyError for another name.

    A hand of MANO is taken to be a right hand.
    """
    names = MODEL_SKELETONS[model_type].joint_names
    axes = np.zeros(len(names), np.int64)
    low, high = np.full((2, len(names), 3), np.inf)
    low = -high
    for joint, name in enumerate(names):
        if joint == 0:
            continue
        sided = f"right_{name}" if model_type == "mano" else name
        axes[joint], *ranges = _LEFT[sided.replace("right", "left")]
        bounds = np.radians(ranges)
        if "right" in sided:
            # A mirror at x = 0 keeps rotations about X and reverses those about Y and Z.
            bounds[1:] = -bounds[1:, ::-1]
        low[joint], high[joint] = bounds.T
    return JointLimits(names, axes, low, high)


def joint_angles(poses: Tensor, limits: JointLimits) -> Tensor:
    """Twist and swing of each joint, put where they belong among X, Y and Z.

    Args:
        poses: (B, J, 3) rotation vectors.
        limits: Limits of that skeleton, which know the bones.

    Returns:
        (B, J, 3) angles in radians, twist about the bone's axis and swing about the two others;
        differentiable but for swings of half a turn.
    """
    quat = _rotvec_to_quat(poses)
    along = torch.nn.functional.one_hot(torch.from_numpy(limits.bone_axis), 3).to(poses)
    twist = torch.cat([quat[..., :1], quat[..., 1:] * along], -1)
    length = twist.norm(dim=-1, keepdim=True)
    identity = torch.zeros_like(twist)
    identity[..., 0] = 1.0
    twist = torch.where(length > 1e-6, twist / length.clamp(min=1e-6), identity)
    swing = _multiply(quat, twist * twist.new_tensor([1.0, -1.0, -1.0, -1.0]))
    return _quat_to_rotvec(swing) + _quat_to_rotvec(twist)


def limit_penalty(poses: Tensor, limits: JointLimits) -> Tensor:
    """Squared angle beyond the limits (B, J), radians squared; 0 inside. Arguments as above."""
    angles = joint_angles(poses, limits)
    low, high = _bounds(limits, poses)
    return ((low - angles).clamp(min=0) ** 2 + (angles - high).clamp(min=0) ** 2).sum(-1)


def hold_to_limits(poses: Tensor, limits: JointLimits) -> Tensor:
    """Rotation vectors (B, J, 3) with every angle brought to its limit; arguments as above."""
    low, high = _bounds(limits, poses)
    angles = joint_angles(poses, limits)
    held = torch.minimum(torch.maximum(angles, low), high)
    along = torch.nn.functional.one_hot(torch.from_numpy(limits.bone_axis), 3).to(poses)
    quat = _multiply(_rotvec_to_quat(held * (1 - along)), _rotvec_to_quat(held * along))
    changed = (held != angles).any(-1, keepdim=True)
    return torch.where(changed, _quat_to_rotvec(quat), poses)


def find_violations(
    poses: np.ndarray, model_type: str, tolerance_deg: float = 1.0
) -> list[Violation]:
    """Joints of a motion that go beyond their limits.

    Args:
        poses: (T, 3 J) rotation vectors, as in a motion file.
        model_type: `smpl`, `smplh`, `smplx` or `mano`.
        tolerance_deg: Excess that still counts as inside.

    Raises:
        BadShape: The poses are not of that skeleton.
    """
    limits = joint_limits(model_type)
    count = len(limits.joint_names)
    if poses.ndim != 2 or poses.shape[1] != 3 * count:
        raise BadShape(f"`poses` must be (T, {3 * count}) for {model_type}, not {poses.shape}")
    rows = torch.from_numpy(np.asarray(poses, np.float64).reshape(len(poses), count, 3))
    angles = joint_angles(rows, limits).numpy()
    excess = np.degrees(np.maximum(limits.low - angles, angles - limits.high))
    return [
        Violation(int(t), limits.joint_names[j], "xyz"[a], float(excess[t, j, a]))
        for t, j, a in np.argwhere(excess > tolerance_deg)
    ]


def _bounds(limits: JointLimits, like: Tensor) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(limits.low).to(like), torch.from_numpy(limits.high).to(like)


def _rotvec_to_quat(rotvec: Tensor) -> Tensor:
    """Unit quaternions w x y z, w >= 0, of rotation vectors (..., 3)."""
    squared = (rotvec * rotvec).sum(-1, keepdim=True)
    small = squared < 1e-8
    angle = torch.sqrt(torch.where(small, torch.ones_like(squared), squared))
    scale = torch.where(small, 0.5 - squared / 48, torch.sin(angle / 2) / angle)
    real = torch.where(small, 1 - squared / 8, torch.cos(angle / 2))
    quat = torch.cat([real, rotvec * scale], -1)
    return torch.where(real < 0, -quat, quat)


def _quat_to_rotvec(quat: Tensor) -> Tensor:
    """Rotation vectors (..., 3), angles up to pi, of unit quaternions w x y z."""
    quat = torch.where(quat[..., :1] < 0, -quat, quat)
    squared = (quat[..., 1:] ** 2).sum(-1, keepdim=True)
    small = squared < 1e-10
    sine = torch.sqrt(torch.where(small, torch.ones_like(squared), squared))
    angle = 2 * torch.atan2(sine, torch.where(small, torch.ones_like(sine), quat[..., :1]))
    return quat[..., 1:] * torch.where(small, 2 + squared / 3, angle / sine)


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """Product of quaternions w x y z: `a` after `b`."""
    real = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(-1, keepdim=True)
    cross = torch.linalg.cross(a[..., 1:], b[..., 1:])
    return torch.cat([real, a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + cross], -1)
