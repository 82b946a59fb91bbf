"""ExtPose: pictures of a person, and drawings of its skeleton, to pose, shape and camera.

Weights are those of HMR2.0 or HaMeR, key by key; nothing is added. One or two streams and any
number of frames go through the same weights.

Source: ExtPose (ICML 2025); choices where the paper is silent are fields of `ExtPoseConfig`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ....protocol.errors import BadShape
from .backbone import Backbone
from .config import ExtPoseConfig
from .head import PoseHead
from .seen_frames import SeenFrames, check_valid

__all__ = ["ExtPose", "ExtPoseConfig", "ExtPoseOutput"]


@dataclass(frozen=True)
class ExtPoseOutput:
    """What the network says about each clip of a batch."""

    rotmat: Tensor
    """Rotation of each joint relative to its parent, the root's first, (B, T, J, 3, 3)."""
    betas: Tensor
    """One shape per clip, (B, 10)."""
    camera: Tensor
    """Scale and shift in each frame's crop, (B, T, 3)."""


class ExtPose(nn.Module):
    """The network, for bodies or for right hands.

    Args:
        config: Sizes and choices.
    """

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        if config.body == "smpl":
            self.smpl_head = PoseHead(config)
        else:
            self.mano_head = PoseHead(config)

    @property
    def head(self) -> PoseHead:
        """`smpl_head` or `mano_head`."""
        return self.smpl_head if self.config.body == "smpl" else self.mano_head

    def forward(
        self,
        *,
        image: Tensor | None = None,
        skeleton: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> ExtPoseOutput:
        """Predict pose, shape and camera for clips of equal length.

        Args:
            image: Normalised crops, (B, T, 3, H, W), or None.
            skeleton: Normalised skeleton images of the same crops, same shape, or None.
            valid: Which frames were seen, (B, T) bool; None means all. The others take no part:
                the result is that of leaving them out, and what it says for them (no rotation, the
                mean camera) is only a filler. A clip without any seen frame gets the mean shape.

        Returns:
            Rotations and camera per frame, one shape per clip: the mean over its seen frames.

        Raises:
            BadShape: Neither stream is given, or shapes do not agree.
        """
        streams = [stream for stream in (image, skeleton) if stream is not None]
        self._check(streams, valid)
        if valid is None or bool(valid.all()):
            return self._predict(streams, None)
        return self._predict_seen(streams, valid.to(streams[0].device))

    def _predict(self, streams: list[Tensor], frames: Tensor | None) -> ExtPoseOutput:
        """Predict for frames that were all seen; `frames` (B, T) are their places in the clip."""
        B, T = streams[0].shape[:2]
        pictures = torch.stack(streams, dim=1)  # (B, S, T, 3, H, W)
        tokens = self.backbone.embed(pictures.flatten(0, 2)).unflatten(0, (B, -1, T))
        context = self.backbone.encode(tokens, frames)  # (B, T, K, D)
        rotmat, betas, camera = self.head(context.flatten(0, 1))
        return ExtPoseOutput(
            rotmat=rotmat.unflatten(0, (B, T)),
            betas=betas.unflatten(0, (B, T)).mean(dim=1),
            camera=camera.unflatten(0, (B, T)),
        )

    def _predict_seen(self, streams: list[Tensor], valid: Tensor) -> ExtPoseOutput:
        """Predict for the seen frames alone and put them back in their places."""
        B, T = valid.shape
        camera = self.head.init_cam.float().expand(B, T, 3)
        rotmat = torch.eye(3, device=camera.device).expand(B, T, self.config.num_joints, 3, 3)
        betas = self.head.init_betas.float().expand(B, -1)
        for seen in SeenFrames.groups_of(valid):
            part = self._predict([seen.take(stream) for stream in streams], seen.frames)
            rotmat = seen.put(rotmat.to(part.rotmat.dtype), part.rotmat)
            camera = seen.put(camera.to(part.camera.dtype), part.camera)
            betas = betas.to(part.betas.dtype).index_put((seen.samples,), part.betas)
        return ExtPoseOutput(rotmat=rotmat, betas=betas, camera=camera)

    def _check(self, streams: list[Tensor], valid: Tensor | None) -> None:
        """Refuse missing or unequal streams; the backbone checks the size of pictures."""
        if not streams:
            raise BadShape("Wanted `image`, `skeleton` or both, got neither")
        shapes = [tuple(stream.shape) for stream in streams]
        height, width = self.config.image_size
        wanted = f"(B, T, 3, {height}, {width})"
        for shape in shapes:
            if len(shape) != 5 or shape[2:] != (3, height, width) or 0 in shape:
                raise BadShape(f"Wanted pictures of shape {wanted}, got {shape}")
        if len(set(shapes)) > 1:
            raise BadShape(f"Wanted two streams of one shape, got {shapes[0]} and {shapes[1]}")
        check_valid(valid, *shapes[0][:2])
