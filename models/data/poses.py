"""Poses that captures seldom hold, with smooth motion between them: sitting, kneeling, floor work,
acrobatics, and anything the pose prior or a random mix of captured frames allows.

A clip runs through a few drawn poses on a spline. Legs, hips and the trunk's tilt come from a stance
of `_STANCES`, arms and back from captured frames; or the whole pose comes from the captures or from
the prior. Every pose is held to the joint limits of `engine/body/joint_limits.py`. Where the body
is put is decided afterwards: its lowest part rests on the ground.

Frames: SMPL's local rotations; the root turns Y up into the world, Z up. Angles about the rest
pose's axes, as `joint_limits.py` explains them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extpose_blender.engine.body.joint_limits import hold_to_limits, joint_limits
from extpose_blender.engine.lift.fit.chain import pose_map
from extpose_blender.engine.lift.fit.prior import load_pose_prior
from extpose_blender.protocol.skeletons import SMPL_24, SMPLH_52

from .draws import Draws
from .mixing import Motions
from .motion import BODY_JOINTS, MotionBank
from .quaternions import (
    multiply,
    quat_to_rotvec,
    rotvec_to_quat,
    smooth_between,
    spline_weights,
)

_Range = tuple[float, float]
KEYS = 12
"""Poses of a clip; after the last one comes the first again."""


@dataclass(frozen=True)
class Stance:
    """What the legs do and how the trunk is tilted, degrees, evenly drawn from ranges."""

    hip_bend: _Range
    """How far a knee is lifted forward."""
    hip_spread: _Range
    """How far a leg is spread."""
    hip_turn: _Range
    """How far the toes are turned out."""
    knee: _Range
    """How far a knee is bent."""
    pitch: _Range = (-15.0, 25.0)
    """How far the pelvis leans forward; 90 lies face down, -90 on the back, 180 upside down."""
    lean: _Range = (-10.0, 10.0)
    """How far it leans to its left."""
    arms: _Range | None = None
    """How far the arms are raised forward from hanging; `None` leaves them as captured."""
    even: float = 0.5
    """How alike the legs are: 1 for mirror images."""
    weight: float = 1.0
    """How often it is drawn."""


_STANCES: tuple[Stance, ...] = (
    Stance((65, 110), (0, 25), (-10, 20), (55, 110), even=0.8, weight=3),  # on a chair
    Stance((70, 105), (0, 30), (-10, 25), (0, 35), (-25, 30), even=0.7),  # floor, legs ahead
    Stance((75, 100), (40, 70), (50, 85), (100, 140), (-15, 25), even=0.8),  # cross-legged
    Stance((105, 140), (0, 30), (-10, 25), (70, 130), (-30, 20), even=0.6),  # floor, knees up
    Stance((-10, 20), (0, 20), (-15, 15), (75, 125), (-10, 25), even=0.85, weight=1.5),  # kneels
    Stance((60, 110), (0, 20), (-10, 10), (125, 155), (0, 45), even=0.85),  # on the heels
    Stance((-20, 100), (0, 20), (-10, 15), (70, 115), (-5, 30), even=0.0, weight=1.5),  # one knee
    Stance((80, 130), (5, 40), (0, 35), (90, 150), (0, 40), even=0.85, weight=1.5),  # squats
    Stance((-25, 100), (0, 25), (-10, 25), (0, 110), (-5, 35), even=0.0, weight=1.5),  # lunges
    Stance((60, 100), (0, 20), (-10, 10), (65, 110), (70, 105), arms=(60, 110), even=0.7),  # fours
    Stance((-10, 30), (0, 15), (-10, 10), (0, 25), (70, 100), arms=(60, 120), even=0.8),  # plank
    Stance((80, 120), (0, 20), (-5, 10), (0, 30), (80, 130), arms=(140, 180), even=0.9),  # inverted V
    Stance((-15, 40), (0, 35), (-15, 30), (0, 100), (75, 105), (-30, 30), weight=1.5),  # face down
    Stance((-10, 90), (0, 35), (-15, 35), (0, 110), (-105, -75), (-30, 30), weight=2),  # on the back
    Stance((0, 90), (-5, 30), (-10, 20), (10, 110), (-30, 30), (65, 115)),  # on its left side
    Stance((0, 90), (-5, 30), (-10, 20), (10, 110), (-30, 30), (-115, -65)),  # on its right side
    Stance((-30, 60), (0, 60), (-10, 20), (0, 60), (150, 210), arms=(140, 185)),  # on the hands
    Stance((-30, 20), (0, 20), (-10, 10), (50, 100), (-130, -80), arms=(150, 190), even=0.9),  # bridge
    Stance((70, 140), (0, 20), (-10, 10), (80, 150), (-180, 180), even=0.9),  # tucked, rolls
    Stance((-20, 40), (20, 80), (-10, 30), (0, 30), (-20, 20), (-180, 180)),  # cartwheels
    Stance((-60, 100), (0, 40), (-20, 30), (0, 70), even=0.0),  # kicks, splits
)  # fmt: skip


@dataclass(frozen=True)
class PoseConfig:
    """How poses are drawn."""

    seconds: tuple[float, float] = (0.4, 2.5)
    """Least and most time from one pose to the next."""
    stance_share: float = 0.65
    """Share of clips that hold stances; the others take whole poses."""
    one_stance_share: float = 0.6
    """Share of those that vary a single stance."""
    prior_share: float = 0.4
    """Share of the others whose poses come from the prior; captured frames fill the rest."""
    prior_spread: float = 1.3
    """Factor on the prior's deviations."""
    noise_deg: float = 8.0
    """Deviation added to every angle of a stance's body."""
    tilt_deg: float = 25.0
    """Deviation of the tilt of whole poses."""
    hop_share: float = 0.15
    """Share of clips that leave the ground now and then."""


class PoseSource:
    """Draws motion through seldom poses.

    Args:
        bank: Captured motion, on the device where it computes.
        config: How poses are drawn.
    """

    def __init__(self, bank: MotionBank, config: PoseConfig) -> None:
        self._bank, self.config = bank, config
        self._device = bank.quat.device
        prior = load_pose_prior(str(self._device))
        covariance = torch.linalg.inv(prior.precisions.double())
        self._prior_means = prior.means
        self._prior_factors = torch.linalg.cholesky(covariance).float()
        self._prior_weights = _shares(prior.log_weights, prior.precisions)
        self._prior_map = torch.tensor(pose_map(), dtype=torch.float32, device=self._device)
        self._limits = joint_limits("smpl")
        self._stances = torch.tensor(
            [
                (*s.hip_bend, *s.hip_spread, *s.hip_turn, *s.knee, *s.pitch, *s.lean,
                 *(s.arms or (math.nan, math.nan)), s.even)
                for s in _STANCES
            ],
            device=self._device,
        )  # fmt: skip

    def draw(self, draws: Draws, times_s: Tensor) -> tuple[Motions, Tensor]:
        """Draw motions for times (B, T).

        Returns:
            The motions; heights of the pelvis mean nothing. And (B, T) how far above the ground the
            lowest part is, metres.
        """
        count, frames = times_s.shape
        vectors, root = self._draw_keys(draws, count)
        knots = rotvec_to_quat(vectors)
        knots[:, :, 0] = root
        seconds = draws.log_uniform(count, low=self.config.seconds[0], high=self.config.seconds[1])
        place = times_s / seconds[:, None] + draws.uniform(count, 1, high=KEYS)
        index = place.floor()[..., None].long() + torch.arange(-1, 3, device=self._device)
        index = index.remainder(KEYS)  # (B, T, 4)
        clip = torch.arange(count, device=self._device)[:, None, None]
        weights = spline_weights(place - place.floor())
        around = knots[clip, index].transpose(2, 3)  # (B, T, 22, 4, 4)
        quat = torch.zeros(count, frames, len(SMPLH_52), 4, device=self._device)
        quat[..., 0] = 1.0
        quat[:, :, :BODY_JOINTS] = smooth_between(around, weights[:, :, None])
        steps = draws.normal(count, KEYS, 3) * draws.log_uniform(count, 1, 1, low=0.02, high=0.5)
        path = (steps[clip, index] * weights[..., None]).sum(2)
        hops = draws.chance(self.config.hop_share, count)[:, None]
        high = draws.normal(count, KEYS) * 0.4
        above = ((high[clip, index] * weights).sum(-1)).clamp(min=0) * hops
        fingers = torch.zeros(count, 2, dtype=torch.bool, device=self._device)
        return Motions(quat, path, fingers), above

    def _draw_keys(self, draws: Draws, count: int) -> tuple[Tensor, Tensor]:
        """Body poses (B, K, 22, 3) held to the limits, and roots (B, K, 4)."""
        config = self.config
        captured = self._captured(draws, count)
        holds = draws.chance(config.stance_share, count)[:, None]
        which = draws.choice([s.weight for s in _STANCES], count * KEYS).unflatten(0, (count, KEYS))
        single = draws.chance(config.one_stance_share, count)[:, None]
        which = torch.where(single, which[:, :1], which)
        stance, tilt = self._hold_stance(draws, captured, which)
        from_prior = draws.chance(config.prior_share, count)[:, None, None, None]
        whole = torch.where(from_prior, self._from_prior(draws, count), captured)
        vectors = torch.where(holds[..., None, None], stance, whole)
        tipped = draws.normal(count, KEYS, 2) * math.radians(config.tilt_deg)
        pitch, lean = torch.where(holds[..., None], tilt, tipped).unbind(-1)
        yaw = draws.uniform(count, 1, high=2 * torch.pi) + 0.5 * draws.normal(count, KEYS).cumsum(1)
        full = torch.zeros(count * KEYS, len(SMPL_24), 3, device=self._device)
        full[:, :BODY_JOINTS] = vectors.flatten(0, 1)
        held = hold_to_limits(full, self._limits)[:, :BODY_JOINTS]
        return held.unflatten(0, (count, KEYS)), _roots(pitch, lean, yaw)

    def _captured(self, draws: Draws, count: int) -> Tensor:
        """(B, K, 22, 3) body poses of captured frames, mirrored half of the time."""
        row = draws.whole(len(self._bank.quat), count, KEYS)
        vectors = quat_to_rotvec(self._bank.quat[row][:, :, :BODY_JOINTS])
        mirror = torch.tensor(SMPL_24.mirror[:BODY_JOINTS], device=self._device)
        sign = torch.tensor([1.0, -1.0, -1.0], device=self._device)
        flipped = draws.chance(0.5, count, KEYS, 1, 1)
        return torch.where(flipped, vectors[:, :, mirror] * sign, vectors)

    def _from_prior(self, draws: Draws, count: int) -> Tensor:
        """(B, K, 22, 3) poses of the prior; a clip stays within one of its parts."""
        part = draws.choice(self._prior_weights, count)
        numbers = draws.normal(count, KEYS, self._prior_means.shape[1]) * self.config.prior_spread
        q = self._prior_means[part][:, None] + torch.einsum(
            "bij,bkj->bki", self._prior_factors[part], numbers
        )
        vectors = (q @ self._prior_map.T).unflatten(-1, (BODY_JOINTS - 1, 3))
        return torch.cat([torch.zeros_like(vectors[:, :, :1]), vectors], 2)

    def _hold_stance(self, draws: Draws, body: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Poses (B, K, 22, 3) with the legs, and arms if it says so, of stances (B, K); and their
        tilt (B, K, 2), radians.
        """
        count = len(body)
        table = self._stances[which]  # (B, K, 15)
        low, high = table[..., 0:14:2], table[..., 1:14:2]
        even = table[..., 14:]
        common = draws.uniform(count, 1, 7)  # A clip's poses share half of where they lie.
        shares = [0.5 * common + 0.5 * draws.uniform(count, KEYS, 7) for _ in range(2)]
        shares[1] = even * shares[0] + (1 - even) * shares[1]
        noise = math.radians(self.config.noise_deg) * draws.normal(*body.shape)
        pose = body + noise
        sides = [(low + share * (high - low)).deg2rad() for share in shares]
        for side, sign, angles in (("left", 1.0, sides[0]), ("right", -1.0, sides[1])):
            bend, spread, turn, knee, _, _, arms = angles.unbind(-1)
            zero = torch.zeros_like(knee)
            swing = rotvec_to_quat(torch.stack([-bend, zero, sign * spread], -1))
            twist = rotvec_to_quat(torch.stack([zero, sign * turn, zero], -1))
            hip = SMPL_24.index[f"{side}_hip"]
            pose[:, :, hip] = quat_to_rotvec(multiply(swing, twist)) + noise[:, :, hip]
            pose[:, :, SMPL_24.index[f"{side}_knee"]] = torch.stack([knee, zero, zero], -1)
            shoulder = SMPL_24.index[f"{side}_shoulder"]
            raised = _raised(arms.nan_to_num(), sign) + noise[:, :, shoulder]
            told = ~arms.isnan()[..., None]
            pose[:, :, shoulder] = torch.where(told, raised, pose[:, :, shoulder])
        return pose, torch.stack([sides[0][..., 4], sides[0][..., 5]], -1)


def _raised(angle: Tensor, sign: float) -> Tensor:
    """(..., 3) turns of a shoulder that raise a T-pose's arm forward by an angle from hanging."""
    zero = torch.zeros_like(angle)
    down = rotvec_to_quat(torch.stack([zero, zero, zero - sign * torch.pi / 2], -1))
    forward = rotvec_to_quat(torch.stack([-angle, zero, zero], -1))
    return quat_to_rotvec(multiply(forward, down))


def _roots(pitch: Tensor, lean: Tensor, yaw: Tensor) -> Tensor:
    """(..., 4) turns of a pelvis from the rest frame to the world, Z up."""
    zero = torch.zeros_like(pitch)
    upright = rotvec_to_quat(torch.stack([zero + torch.pi / 2, zero, zero], -1))
    turns = [
        rotvec_to_quat(torch.stack(vector, -1))
        for vector in ((zero, zero, yaw), (pitch, zero, zero), (zero, zero, -lean))
    ]
    return multiply(multiply(turns[0], upright), multiply(turns[2], turns[1]))


def _shares(log_weights: Tensor, precisions: Tensor) -> Tensor:
    """(C,) how often each part of the prior's mixture is meant."""
    half = 0.5 * torch.logdet(precisions.double()).to(log_weights)
    return torch.softmax(log_weights - half, -1)


def rest_heights(joints_m: Tensor) -> Tensor:
    """(N,) height of the pelvis above the ground when the lowest part of a body rests on it.

    Args:
        joints_m: (N, 24, 3) joints in the world, Z up, the pelvis at the origin.
    """
    return (_FLESH.to(joints_m) - joints_m[..., 2]).amax(-1)


_FLESH_M = {
    "pelvis": 0.10, "hip": 0.09, "spine1": 0.10, "spine2": 0.10, "spine3": 0.10, "knee": 0.055,
    "ankle": 0.055, "foot": 0.025, "neck": 0.06, "head": 0.10, "collar": 0.06, "shoulder": 0.06,
    "elbow": 0.04, "wrist": 0.03, "hand": 0.025,
}  # fmt: skip
"""Flesh under a joint that lies on the ground."""
_FLESH = torch.tensor(np.array([_FLESH_M[n.split("_")[-1]] for n in SMPL_24.joint_names]))
