"""Frames that were not seen are left out, not masked: samples that saw equally many run together.

Leaving out is exact by construction, costs nothing for what is left out, and keeps the fused
attention kernels, which take no mask.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ....protocol.errors import BadShape


@dataclass(frozen=True)
class SeenFrames:
    """Some samples of a batch, each with the same number n of frames that were seen."""

    samples: Tensor
    """Which samples, (b,) int64."""
    frames: Tensor
    """Which frames of each, in their order, (b, n) int64."""

    @classmethod
    def groups_of(cls, valid: Tensor) -> list[SeenFrames]:
        """Group the samples of (B, T) bool by how many frames they saw; none seen, no group."""
        counts = valid.sum(dim=1)
        groups = []
        for count in sorted(set(counts.tolist()) - {0}):
            samples = torch.nonzero(counts == count)[:, 0]
            frames = torch.nonzero(valid[samples])[:, 1].view(-1, count)
            groups.append(cls(samples, frames))
        return groups

    def take(self, values: Tensor) -> Tensor:
        """(B, T, ...) → (b, n, ...)."""
        return values[self.samples[:, None], self.frames]

    def put(self, values: Tensor, seen: Tensor) -> Tensor:
        """Replace what was taken: (B, T, ...) and (b, n, ...) → (B, T, ...), a copy."""
        return values.index_put((self.samples[:, None], self.frames), seen.to(values.dtype))


def check_valid(valid: Tensor | None, batch: int, frames: int) -> None:
    """Refuse a mask that is not (B, T) bool.

    Raises:
        BadShape: It is not.
    """
    if valid is None:
        return
    if valid.dtype != torch.bool or valid.shape != (batch, frames):
        raise BadShape(
            f"Wanted `valid` ({batch}, {frames}) bool, got {tuple(valid.shape)} {valid.dtype}"
        )
