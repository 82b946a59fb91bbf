"""Sun or lamp, light from all around, and the shadows of bodies.

Frame: the place's own (`surroundings.py`), Z up, metres. Colours are linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from .draws import Draws
from .rows import Rows

_MAP_SIDE = 96
"""Texels along the side of a shadow map."""
_MAP_HALF_M = 1.45
"""What it shows to either side of the body's middle."""
_BIAS_M = 0.03
"""A surface shadows only what lies farther behind it; more where the light grazes it."""


@dataclass(frozen=True)
class Lights(Rows):
    """The light of B places."""

    toward: Tensor
    """(B, 3) unit vector to the lamp or sun."""
    key: Tensor
    """(B, 3) what it gives a surface that faces it."""
    above: Tensor
    """(B, 3) what comes from all around, from above."""
    below: Tensor
    """(B, 3) and from below, off the floor."""
    softness: Tensor
    """(B,) 0 for hard shadows, 1 for soft ones."""


def draw_lights(draws: Draws, outdoors: Tensor) -> Lights:
    """Light for places: outdoors the sun or a grey sky, indoors lamps and windows."""
    count = len(outdoors)
    height = draws.uniform(count, low=0.35, high=1.45)
    around = draws.uniform(count, high=6.2832)
    level = height.cos()
    toward = torch.stack([level * around.cos(), level * around.sin(), height.sin()], -1)
    warm = draws.normal(count, 1) * 0.12
    tone = torch.cat([1 + warm, torch.ones_like(warm), 1 - 1.4 * warm], 1).clamp(0.5, 1.5)
    strength = draws.uniform(count, low=0.0, high=1.0)
    strength = torch.where(outdoors, 0.15 + 1.6 * strength, 0.15 + 1.0 * strength)[:, None]
    around_light = draws.uniform(count, 1, low=0.2, high=0.6)
    blue = torch.tensor([0.85, 1.0, 1.2], device=around_light.device)
    above = around_light * torch.where(outdoors[:, None], blue, 2 - tone)
    below = above * draws.uniform(count, 1, low=0.25, high=0.8) * tone
    softness = torch.where(outdoors, 0.3, 1.0) * draws.uniform(count)
    return Lights(toward, strength * tone, above, below, softness)


def shade(lights: Lights, normals: Tensor, lit: Tensor, wrap: Tensor | float = 0.0) -> Tensor:
    """Light (..., 3) that falls on places.

    Args:
        lights: Of each place, or of axes of length 1 where many have the same.
        normals: (..., 3) unit vectors.
        lit: (...) share of the key light that is not in shadow.
        wrap: How far the light reaches round an edge, as it does in skin; 0 for none.
    """
    facing = (normals * lights.toward).sum(-1)
    facing = ((facing + wrap) / (1 + wrap)).clamp(min=0) * lit
    upward = (0.5 + 0.5 * normals[..., 2])[..., None]
    return lights.below + (lights.above - lights.below) * upward + lights.key * facing[..., None]


class BodyShadows:
    """What N bodies keep from the light, seen from the light.

    Args:
        points_m: (N, V, 3) surfaces of the bodies, place frame.
        toward: (N, 3) unit vector to the light.
        softness: (N,) 0 to 1.
    """

    def __init__(self, points_m: Tensor, toward: Tensor, softness: Tensor) -> None:
        self._middle = points_m.mean(1)
        self._axes = _frame_of(toward)
        places = self._seen_from_light(points_m)
        self._places = places
        inside, texel = _texels(places)
        count = len(points_m)
        picture = torch.arange(count, device=points_m.device)[:, None]
        flat = (picture * _MAP_SIDE**2 + texel)[inside]
        nearest = torch.full((count * _MAP_SIDE**2,), -1e3, device=points_m.device)
        nearest.scatter_reduce_(0, flat, places[..., 2][inside], "amax")
        nearest = nearest.view(count, 1, _MAP_SIDE, _MAP_SIDE)
        # Vertices are farther apart than texels at some places.
        self._nearest = max_pool2d(nearest, 3, 1, 1)
        hard = (self._nearest > -1e2).float()
        soft = avg_pool2d(avg_pool2d(hard, 7, 1, 3), 7, 1, 3)
        firm = avg_pool2d(hard, 3, 1, 1)
        self._opacity = torch.lerp(firm, soft, softness[:, None, None, None])[:, 0]

    def lit_vertices(self, normals: Tensor) -> Tensor:
        """(N, V) share of the light that reaches the bodies' own vertices, with normals (N, V, 3)."""
        facing = (normals @ self._axes[:, 2, :, None])[..., 0].clamp(min=0.1)
        slope = (1 - facing * facing).clamp(min=0).sqrt() / facing
        bias = _BIAS_M + 3 * _MAP_HALF_M / _MAP_SIDE * slope
        inside, texel = _texels(self._places)
        nearest = self._nearest.flatten(1).gather(1, texel)
        lit = (nearest - bias < self._places[..., 2]).float()
        return torch.where(inside, lit, 1.0)

    def lit_places(self, points_m: Tensor) -> Tensor:
        """(N, P) share of the light that reaches places (N, P, 3) farther from it than the body."""
        places = self._seen_from_light(points_m)
        behind = (places[..., 2] < 0.4).float()
        grid = (places[..., :2] / _MAP_HALF_M)[:, None]
        sampled = torch.nn.functional.grid_sample(
            self._opacity[:, None], grid, align_corners=False, padding_mode="zeros"
        )
        return 1 - sampled[:, 0, 0] * behind

    def _seen_from_light(self, points_m: Tensor) -> Tensor:
        """(N, P, 3): right and down in the light's view, and how near to it, from the middle."""
        return (points_m - self._middle[:, None]) @ self._axes.mT


def _frame_of(toward: Tensor) -> Tensor:
    """(N, 3, 3) rows: two axes across a direction, then the direction."""
    up = torch.tensor([0.0, 1.0, 0.0], device=toward.device).expand_as(toward)
    right = torch.linalg.cross(up, toward)
    right = right / right.norm(dim=-1, keepdim=True).clamp(min=1e-4)
    return torch.stack([right, torch.linalg.cross(toward, right), toward], 1)


def _texels(places: Tensor) -> tuple[Tensor, Tensor]:
    """Whether places (N, P, 3) lie in the map, and in which texel."""
    at = ((places[..., :2] / _MAP_HALF_M + 1) * (_MAP_SIDE / 2)).floor()
    inside = ((at >= 0) & (at < _MAP_SIDE)).all(-1)
    at = at.clamp(0, _MAP_SIDE - 1).long()
    return inside, at[..., 1] * _MAP_SIDE + at[..., 0]
