"""Random numbers of one batch: a function of a seed and a step, with no state between batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


def mixed_seed(seed: int, step: int) -> int:
    """A number of 63 bits for a seed and a step; neighbours share nothing.

    Source: the finisher of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    """
    state = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & _MASK
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = ((state ^ (state >> shift)) * factor) & _MASK
    return (state ^ (state >> 31)) >> 1


class Draws:
    """Draws from one stream of random numbers on one device, float32.

    Args:
        seed: Of the whole training.
        step: Of this batch.
        device: Where the numbers are made and stay. CPU and GPU have different streams.
    """

    def __init__(self, seed: int, step: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = torch.Generator(device=self.device)
        self.generator.manual_seed(mixed_seed(seed, step))

    def normal(self, *shape: int) -> Tensor:
        """Normal numbers of mean 0 and deviation 1."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Even numbers from `low` to `high`."""
        numbers = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * numbers

    def log_uniform(self, *shape: int, low: float, high: float) -> Tensor:
        """Numbers whose logarithms are even, from `low` to `high`, both above 0."""
        return torch.exp(self.uniform(*shape, low=math.log(low), high=math.log(high)))

    def chance(self, share: float, *shape: int) -> Tensor:
        """Booleans that are true with this probability."""
        return torch.rand(shape, generator=self.generator, device=self.device) < share

    def whole(self, below: int, *shape: int) -> Tensor:
        """Whole numbers from 0 up to `below`, which is left out."""
        return torch.randint(below, shape, generator=self.generator, device=self.device)

    def choice(self, weights: Tensor | Sequence[float], count: int) -> Tensor:
        """(count,) indices, each drawn in proportion to its weight."""
        cumulated = torch.as_tensor(weights, dtype=torch.float64, device=self.device).cumsum(0)
        numbers = torch.rand(
            count, generator=self.generator, device=self.device, dtype=torch.float64
        )
        index = torch.searchsorted(cumulated, numbers * cumulated[-1], right=True)
        return index.clamp(max=len(cumulated) - 1)

    def unit_vectors(self, *shape: int) -> Tensor:
        """(*shape, 3) directions, even over the sphere."""
        vectors = self.normal(*shape, 3)
        return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=1e-6)


def smooth_factor(times_s: Tensor, tau_s: Tensor | float) -> Tensor:
    """What turns independent normal numbers into smooth ones.

    Args:
        times_s: (B, T) seconds.
        tau_s: Seconds after which little is left of a value, a number or (B,).

    Returns:
        (B, T, T) lower triangles: their product with normal numbers (B, T, C) has deviation 1 and
        correlation (1 + d) exp(-d), d the distance in `tau_s`, so it has a speed without jumps.
    """
    tau = torch.as_tensor(tau_s, dtype=torch.float64, device=times_s.device)
    if tau.dim() == 0:
        # Clips of one frame rate share their factor.
        few, which = times_s.unique(dim=0, return_inverse=True)
        return _factor(few.double(), tau)[which]
    return _factor(times_s.double(), tau.reshape(-1, 1, 1))


def _factor(times: Tensor, tau: Tensor) -> Tensor:
    distance = (times[:, :, None] - times[:, None, :]).abs() / tau
    covariance = (1 + distance) * torch.exp(-distance)
    covariance = covariance + 1e-6 * torch.eye(times.shape[1], dtype=torch.float64).to(times)
    return torch.linalg.cholesky(covariance).float()
