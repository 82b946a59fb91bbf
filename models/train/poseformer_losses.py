"""What `poseformer` is trained to make small. All means, so that no size of batch changes them.

Joints are those of the open body, relative to its pelvis, in the picture's camera; metres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from extpose_blender.engine.lift.poseformer.features import Boxes
from extpose_blender.engine.lift.poseformer.network import Prediction
from extpose_blender.protocol.skeletons import LIMB_JOINTS, SMPL_24

from .open_body import BODY_JOINTS, open_body_layer
from .task import Losses

_LIMB_WEIGHT = 2.0
"""How much more the limbs' joints count than those of trunk and toes."""
_UNSEEN = 0.25
"""How much a frame counts in which the detector found nobody."""
_FARTHEST = 1.5
"""Joints farther than this from the box's middle, in its sides, do not count in the box."""


@dataclass(frozen=True)
class PoseFormerLossWeights:
    """Factors of the losses."""

    joints: float = 20.0
    """Absolute differences of joints, metres, mean over the axes."""
    turns: float = 1.0
    """Squared differences of the joints' rotation matrices, sum over the nine numbers."""
    root: float = 2.0
    """The same of the root alone."""
    velocity: float = 2.0
    """Absolute differences of the joints' velocities, metres per second."""
    in_box: float = 4.0
    """Absolute differences of joints as drawn in the box, box units."""
    camera: float = 1.0
    """Absolute differences of the camera's scale and shift from the best ones for the truth."""
    betas: float = 0.02
    """Squared differences of shape numbers."""


@dataclass(frozen=True)
class Target:
    """What is true of B windows of T frames."""

    rotmat: Tensor
    """(B, T, 24, 3, 3) rotations; the root's to the picture's camera."""
    betas: Tensor
    """(B, 10) shape."""
    joints_m: Tensor
    """(B, T, 22, 3) joints in the picture's camera."""
    joints_px: Tensor
    """(B, T, 22, 2) the same in the picture."""
    fps: Tensor
    """(B,) frames per second."""


class PoseFormerLoss(nn.Module):
    """Compares predictions with the truth on the open body.

    Args:
        weights: Factors by name; those left out keep their defaults.
    """

    limbs: Tensor

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = PoseFormerLossWeights(**weights)
        self.body = open_body_layer()
        share = torch.ones(BODY_JOINTS)
        share[list(SMPL_24.indices(*LIMB_JOINTS))] = _LIMB_WEIGHT
        self.register_buffer("limbs", share / share.mean())

    def forward(self, found: Prediction, target: Target, boxes: Boxes, rays: Tensor) -> Losses:
        """Compare.

        Args:
            found: What the network says.
            target: What is true.
            boxes: Of the same frames.
            rays: (B, T, 3, 3) of `rays_to`: from a camera that looks at the box to the picture's.
        """
        share = torch.where(boxes.found, 1.0, _UNSEEN)
        share = share / share.mean()
        root = rays.mT @ target.rotmat[:, :, 0]
        joints = self._joints(found.rotmat, found.betas)
        truth = (target.joints_m - target.joints_m[:, :, :1]) @ rays  # As the box's camera sees it.
        relative = joints - joints[:, :, :1]
        parts = {
            "joints": self._mean((relative - truth).abs().mean(-1), share),
            "turns": self._turns(found.rotmat[:, :, 1:], target.rotmat[:, :, 1:], share),
            "root": (share * (found.rotmat[:, :, 0] - root).square().sum((-1, -2))).mean(),
            "velocity": self._velocity(
                relative @ rays.mT, target.joints_m - target.joints_m[:, :, :1], target.fps
            ),
            "betas": (found.betas - target.betas).square().mean(),
        } | self._in_box(found, joints, truth, target, boxes, share)
        factors = asdict(self.weights)
        total = sum(factors[name] * value for name, value in parts.items())
        assert isinstance(total, Tensor)
        return Losses(total, parts)

    def _joints(self, rotmat: Tensor, betas: Tensor) -> Tensor:
        """(B, T, 22, 3) joints of the body where its origin is zero."""
        count, frames = rotmat.shape[:2]
        every = betas[:, None].expand(-1, frames, -1).flatten(0, 1)
        joints = self.body.joints(every, rotmat[:, :, :BODY_JOINTS].flatten(0, 1))
        return joints.unflatten(0, (count, frames))

    def _mean(self, values: Tensor, share: Tensor) -> Tensor:
        """Mean of (B, T, 22) with the limbs' and the frames' weights."""
        return (values * self.limbs * share[..., None]).mean()

    @staticmethod
    def _turns(found: Tensor, wanted: Tensor, share: Tensor) -> Tensor:
        """Of the joints of the body; hands and fingers are not the network's."""
        difference = (found - wanted)[:, :, : BODY_JOINTS - 1]
        return (share[..., None] * difference.square().sum((-1, -2))).mean()

    def _velocity(self, found: Tensor, wanted: Tensor, fps: Tensor) -> Tensor:
        change = (found - wanted).diff(dim=1) * fps[:, None, None, None]
        return (change.abs().mean(-1) * self.limbs).mean()

    def _in_box(
        self, found: Prediction, joints: Tensor, truth: Tensor, target: Target, boxes: Boxes,
        share: Tensor,
    ) -> dict[str, Tensor]:  # fmt: skip
        """How far the drawing in the box is off, and the camera that draws it."""
        side = boxes.side_px[:, :, None, None]
        wanted = (target.joints_px - boxes.center_px[:, :, None]) / side
        near = (wanted.abs() < _FARTHEST).all(-1).float() * share[..., None]
        size = found.log_scale.exp()[..., None, None] / 2
        drawn = size * joints[..., :2] + found.shift[:, :, None]
        misses = (drawn - wanted).clamp(-2 * _FARTHEST, 2 * _FARTHEST).abs().mean(-1)
        origin = self.body.rest_joints(target.betas)[:, None, :1]  # Pelvis at rest.
        log_scale, shift = best_camera(truth + origin, wanted, near)
        off = (found.log_scale - log_scale).abs() + (found.shift - shift).abs().sum(-1)
        usable = (near.sum(-1) >= 4).float() * share
        return {
            "in_box": (misses * near).mean(),
            "camera": (off.clamp(max=2.0) * usable).mean(),
        }


def best_camera(points_m: Tensor, drawn: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The scale and shift with which a flat drawing of points comes nearest to where they are seen.

    Args:
        points_m: (B, T, K, 3) as a camera that looks at the box sees them.
        drawn: (B, T, K, 2) box units.
        weight: (B, T, K).

    Returns:
        (B, T) logarithm of the scale and (B, T, 2) shift, as of `Prediction`.
    """
    share = (weight / weight.sum(-1, keepdim=True).clamp_min(1e-6))[..., None]
    flat = points_m[..., :2]
    drawn = torch.where(share > 0, drawn, 0.0)
    middle, seen = (flat * share).sum(2), (drawn * share).sum(2)
    out, off = flat - middle[:, :, None], drawn - seen[:, :, None]
    both = (share * out * off).sum((-1, -2))
    size = both / (share * out.square()).sum((-1, -2)).clamp_min(1e-6)
    size = size.clamp(1e-3, 1e3)
    return (2 * size).log(), seen - size[..., None] * middle
