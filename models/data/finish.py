"""What a camera and a file do to a picture: focus, exposure, white balance, noise, compression."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

from .draws import Draws
from .rows import Rows

_BLOCK = 8
"""Side of the blocks that JPEG and video files store."""
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Finishes(Rows):
    """How the pictures of B clips are finished."""

    defocus_px: Tensor
    """(B,) blur of the surroundings, deviation in pixels of a crop of 256."""
    blur_px: Tensor
    """(B,) blur of everything, likewise."""
    brightness: Tensor
    """(B,) middle of the light after exposure, linear, of 1."""
    balance: Tensor
    """(B, 3) factors of the channels."""
    gamma: Tensor
    """(B,) exponent after exposure: 1 is sRGB's own look."""
    contrast: Tensor
    """(B,) factor on what lies above and below the middle."""
    saturation: Tensor
    """(B,) 0 for grey, 1 as it is."""
    noise: Tensor
    """(B,) deviation of the noise, of 1."""
    coarseness: Tensor
    """(B,) steps into which a file divides what it stores, of 1; 0 for none."""
    shutter: Tensor
    """(B,) share of the time between frames during which the shutter is open."""


def draw_finishes(draws: Draws, count: int) -> Finishes:
    """Cameras and files, from good to poor."""
    return Finishes(
        defocus_px=draws.chance(0.6, count) * draws.uniform(count, high=2.5) + 0.4,
        blur_px=draws.chance(0.4, count) * draws.uniform(count, high=1.6) + 0.25,
        brightness=draws.log_uniform(count, low=0.06, high=0.3),
        balance=(1 + draws.normal(count, 3) * 0.06).clamp(0.75, 1.3),
        gamma=draws.uniform(count, low=0.85, high=1.2),
        contrast=draws.uniform(count, low=0.95, high=1.35),
        saturation=torch.where(
            draws.chance(0.04, count), 0.0, draws.uniform(count, low=0.6, high=1.3)
        ),
        noise=draws.chance(0.7, count) * draws.log_uniform(count, low=0.003, high=0.06),
        coarseness=draws.chance(0.6, count) * draws.log_uniform(count, low=0.02, high=0.25),
        shutter=draws.chance(0.8, count) * draws.uniform(count, low=0.05, high=0.6),
    )


def expose(linear: Tensor, finishes: Finishes, inside: Tensor) -> Tensor:
    """Linear pictures (N, 3, H, W) as a camera would store them, 0 to 1.

    Args:
        linear: Light.
        finishes: One for each picture.
        inside: (N, 1, H, W) bool: pixels that the frame has; the others do not count.
    """
    luma = torch.tensor(_LUMA, device=linear.device)[:, None, None]
    grey = (linear * luma).sum(1, keepdim=True)
    # The mean of the logarithm: a lamp or the sky does not make everything else black.
    held = torch.where(inside, (grey + 0.01).log(), 0.0).sum((1, 2, 3))
    mean = (held / inside.sum((1, 2, 3)).clamp(min=1)).exp()
    bright = linear * (finishes.brightness / mean)[:, None, None, None]
    bright = bright * finishes.balance[:, :, None, None]
    grey = (bright * luma).sum(1, keepdim=True)
    bright = (grey + (bright - grey) * finishes.saturation[:, None, None, None]).clamp(min=0)
    rolled = 1 - torch.exp(-1.5 * bright)  # Highlights fade out, nothing is cut.
    stored = rolled.clamp(min=1e-6) ** (finishes.gamma[:, None, None, None] / 2.2)
    return (0.5 + (stored - 0.5) * finishes.contrast[:, None, None, None]).clamp(0, 1)


def add_noise(pictures: Tensor, deviation: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (N, 3, H, W) with noise, more of it where they are dark."""
    noise = torch.randn(pictures.shape, generator=generator, device=pictures.device)
    return pictures + noise * deviation[:, None, None, None] * (1.3 - 0.6 * pictures)


def blur(pictures: Tensor, sigma_px: Tensor, reach: int = 5) -> Tensor:
    """Gaussian blur of pictures (N, C, H, W), each by its own deviation (N,), in pixels."""
    count, channels, height, width = pictures.shape
    away = torch.arange(-reach, reach + 1, device=pictures.device)
    kernel = torch.exp(-0.5 * (away / sigma_px.clamp(min=0.05)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = pictures.reshape(1, count * channels, height, width)
    flat = pad(flat, (reach, reach, reach, reach), mode="replicate")
    flat = conv2d(flat, kernel[:, None, None, :], groups=count * channels)
    flat = conv2d(flat, kernel[:, None, :, None], groups=count * channels)
    return flat.view(count, channels, height, width)


def smear(pictures: Tensor, way_px: Tensor, exposures: int) -> Tensor:
    """Pictures (N, C, H, W) that moved by ways (N, 2) while they were taken."""
    if exposures == 1 or not (way_px.abs() > 0.5).any():
        return pictures
    count, _, height, width = pictures.shape
    turn = torch.eye(2, device=pictures.device).expand(count, 2, 2)
    share = way_px * torch.tensor([2 / width, 2 / height], device=pictures.device)
    total = torch.zeros_like(pictures)
    for step in range(exposures):
        moved = torch.cat([turn, (share * (step / (exposures - 1) - 0.5))[..., None]], -1)
        grid = affine_grid(moved, list(pictures.shape), align_corners=False)
        total += grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return total / exposures


def compress(pictures: Tensor, coarseness: Tensor) -> Tensor:
    """Round the waves of 8×8 blocks, as JPEG and video files do; finer waves in larger steps.

    Args:
        pictures: (N, 3, H, W); sides are multiples of 8.
        coarseness: (N,) step of the slow waves, of 1; 0 leaves a picture as it is.
    """
    count, _, height, width = pictures.shape
    waves = _waves(pictures.device)
    shape = (count, 3, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    luma = torch.tensor(_LUMA, device=pictures.device)[:, None, None]
    grey = (pictures * luma).sum(1, keepdim=True)
    split = torch.cat([grey, pictures[:, :1] - grey, pictures[:, 2:] - grey], 1)
    stored = torch.einsum("nchiwj,ui,vj->nchuwv", split.view(shape), waves, waves)
    order = torch.arange(_BLOCK, device=pictures.device)
    step = 0.3 + 0.25 * (order[:, None, None] + order)
    channel = torch.tensor([1.0, 1.6, 1.6], device=pictures.device)
    steps = coarseness[:, None, None, None, None, None] * channel[:, None, None, None, None] * step
    steps = steps.clamp(min=1e-4)
    stored = (stored / steps).round() * steps
    split = torch.einsum("nchuwv,ui,vj->nchiwj", stored, waves, waves).reshape(pictures.shape)
    red, blue = split[:, 1:2] + split[:, :1], split[:, 2:] + split[:, :1]
    green = (split[:, :1] - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1]
    poor = torch.cat([red, green, blue], 1)
    return torch.where((coarseness > 0)[:, None, None, None], poor, pictures)


def _waves(device: torch.device) -> Tensor:
    """(8, 8) the discrete cosine transform, one wave to a row."""
    wave = torch.arange(_BLOCK, device=device)
    waves = torch.cos(wave[:, None] * (wave + 0.5) * (math.pi / _BLOCK))
    waves[0] *= math.sqrt(0.5)
    return waves * math.sqrt(2 / _BLOCK)
