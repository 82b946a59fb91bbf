"""`poseformer`: made-up captures in, body motion out."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from extpose_blender.engine.lift.poseformer.config import PoseFormerConfig
from extpose_blender.engine.lift.poseformer.features import (
    Inputs,
    boxes_of,
    network_inputs,
    rays_to,
)
from extpose_blender.engine.lift.poseformer.network import PoseFormer
from extpose_blender.engine.refine.intrinsics import ASSUMED_DIAGONAL_DEG
from models.data.clips import ClipConfig, Clips, ClipSource
from models.data.detector_errors import ErrorModel
from models.data.motion import MotionBank

from .config import TrainConfig
from .easier import EasedErrors
from .open_body import BODY_JOINTS
from .poseformer_losses import PoseFormerLoss, Target
from .task import Losses, Sources, narrow

_SHORTER = 3
"""How many times shorter the clips of every other step are."""
_HINTS_HIDDEN = 0.2
"""Share of clips without 3D hints."""
_KEYPOINTS_HIDDEN = 0.1
"""Share of clips without keypoints."""
_FRAME_HIDDEN = 0.05
"""Share of frames, in other clips, whose hints, or keypoints, are hidden."""
_FOCAL_UNKNOWN = 0.5
"""Share of clips whose focal length the network is told as a capture assumes it."""


class PoseFormerTask:
    """Trains the lifter's network.

    Args:
        config: The run.
        sources: Captured motion; the development set for scores.
        device: Torch's word for the device.
    """

    def __init__(self, config: TrainConfig, sources: Sources, device: str) -> None:
        self._config = config
        self._device = device
        self.network: nn.Module = PoseFormer(PoseFormerConfig.from_dict(config.model)).to(device)
        self._loss = PoseFormerLoss(config.losses).to(device)
        self._frames = PoseFormerConfig.from_dict(config.model).frames
        self._source = ClipSource(
            MotionBank.read(sources.motion), ClipConfig(**config.data), config.seed, device
        )
        self._eased = EasedErrors(ErrorModel.load()).to(device)
        self._development = sources.development

    def batch(self, step: int) -> Clips:
        """Captures of a step: every other one has short clips, and as many more of them.

        Short clips show more people for the same work, long ones how they move.
        """
        share = _SHORTER if step % 2 else 1
        count = self._config.batch * share
        return self._source.batch(step, count, max(1, self._frames // share))

    def frames(self, batch: Clips) -> int:
        """How many frames a batch holds."""
        return batch.seen.numel()

    def losses(self, step: int, batch: Clips) -> Losses:
        """Run the network over captures."""
        draws = torch.Generator().manual_seed(self._config.seed * 1_000_003 + step)
        batch = self._eased(batch, draws)
        focal = self._told_focal(batch, draws)
        boxes = boxes_of(batch.keypoints_px, batch.seen, batch.fps)
        inputs = network_inputs(
            batch.keypoints_px, batch.hints_m, boxes, focal, batch.size_wh, batch.fps
        )
        with narrow(self._device):
            found = self.network(hide(inputs, draws))
        target = Target(
            batch.rotmat,
            batch.betas,
            batch.joints_m[:, :, :BODY_JOINTS],
            batch.joints_px[:, :, :BODY_JOINTS],
            batch.fps,
        )
        rays = rays_to(boxes, focal, batch.size_wh)
        losses: Losses = self._loss(found, target, boxes, rays)
        return losses

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Errors on the development set."""
        if self._development is None:
            return {}
        from .development import score_network

        return score_network(network, self._development)

    def _told_focal(self, batch: Clips, draws: torch.Generator) -> Tensor:
        """(B,) the focal length that a capture would know: the true one, or the assumed one."""
        unknown = torch.rand(len(batch.focal_px), generator=draws) < _FOCAL_UNKNOWN
        half = math.tan(math.radians(ASSUMED_DIAGONAL_DEG) / 2)
        assumed = batch.size_wh.norm(dim=-1) / 2 / half
        return torch.where(unknown.to(assumed.device), assumed, batch.focal_px)


def hide(inputs: Inputs, draws: torch.Generator) -> Inputs:
    """Hide the keypoints or the hints of some clips, never both, and of some single frames.

    Args:
        inputs: Windows.
        draws: On the CPU, whatever the device.
    """
    count, frames = inputs.time_s.shape
    device = inputs.time_s.device
    chance = torch.rand(count, 1, generator=draws)
    single = torch.rand(2, count, frames, generator=draws) < _FRAME_HIDDEN
    no_hints = (chance < _HINTS_HIDDEN) | single[0]
    no_keypoints = (chance > 1 - _KEYPOINTS_HIDDEN) | single[1]
    return replace(
        inputs,
        shows_hints=inputs.shows_hints & ~no_hints.to(device),
        shows_keypoints=inputs.shows_keypoints & ~no_keypoints.to(device),
    )
