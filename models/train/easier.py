"""Captures in which the detector errs less than the measured statistics have it.

Those come from videos that are hard on purpose: people cut off by the picture's edge, odd poses. On
plain videos the detector is better, and a network that has only seen its bad days trusts it too
little. So its errors are drawn anew from the measured ones down to a fifth, clip by clip; what
it gets wrong on average, as with the place of the hips, stays as it is.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from extpose_blender.protocol.skeletons import SMPL_24
from models.data.clips import Clips
from models.data.detector_errors import LEFT_HIP, RIGHT_HIP, ErrorModel, sighted

from .open_body import open_body_layer

EASIEST = 0.2
"""Least share of the measured errors."""
HARDEST = 1.0
"""Most."""


class EasedErrors(nn.Module):
    """Scales the errors of made-up captures.

    Args:
        errors: The statistics that they were drawn from.
    """

    hint_map: Tensor

    def __init__(self, errors: ErrorModel) -> None:
        super().__init__()
        self.register_buffer("hint_map", errors.hint_map)
        self.body = open_body_layer()

    def forward(self, clips: Clips, draws: torch.Generator) -> Clips:
        """Clips with as much of their errors as is drawn for each.

        Args:
            clips: B captures.
            draws: On the CPU, whatever the device.
        """
        share = EASIEST + (HARDEST - EASIEST) * torch.rand(len(clips), 1, 1, 1, generator=draws)
        share = share.to(clips.betas.device)
        seen = clips.seen[..., None, None]
        points = torch.lerp(clips.true_px, clips.keypoints_px[..., :2], share) * seen
        hints = torch.lerp(self._usual_hints(clips), clips.hints_m[..., :3], share) * seen
        return replace(
            clips,
            keypoints_px=torch.cat([points, clips.keypoints_px[..., 2:]], -1),
            hints_m=torch.cat([hints, clips.hints_m[..., 3:]], -1),
        )

    def _usual_hints(self, clips: Clips) -> Tensor:
        """(B, T, 33, 3) what the detector would say on average."""
        rest = self.body.rest_joints(torch.cat([torch.zeros_like(clips.betas[:1]), clips.betas]))
        size = _size(rest)
        hints = sighted(clips.landmarks_m) * (size[0] / size[1:])[:, None, None, None]
        on_top = hints.flatten(-2) @ self.hint_map[:, :-1].T + self.hint_map[:, -1]
        hints = hints + on_top.unflatten(-1, hints.shape[-2:])
        return hints - hints[:, :, [LEFT_HIP, RIGHT_HIP]].mean(2, keepdim=True)


def _size(rest: Tensor) -> Tensor:
    """(N,) length of a leg plus that of the trunk, metres, as the detector's errors measure people."""
    hip, knee, ankle, pelvis, neck = (
        rest[:, SMPL_24.index[name]]
        for name in ("left_hip", "left_knee", "left_ankle", "pelvis", "neck")
    )
    return (knee - hip).norm(dim=-1) + (ankle - knee).norm(dim=-1) + (neck - pelvis).norm(dim=-1)
