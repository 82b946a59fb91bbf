"""Tileable textures made from a seed: cloth, wood, brick, leaves, facades, shelves, clutter.

A surface has a texture, two colours between which it moves each channel, and a scale. Textures are
kept at several degrees of blur, so that what is far away does not flicker.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

SIDE = 128
"""Texels along one side."""
LEVELS = 6
"""Degrees of blur; each is twice as wide as the one before."""
COPIES = 8
"""Textures of each kind."""

_SEED = 20_077

Draw = np.random.Generator


def _octaves(rng: Draw, slope: float, stretch: float = 1.0) -> np.ndarray:
    """Cloudy noise (S, S), 0 to 1 with mean a half; `stretch` above 1 draws it out along v."""
    frequency_v = np.fft.fftfreq(SIDE)[:, None] * SIDE * stretch
    frequency_u = np.fft.fftfreq(SIDE)[None] * SIDE
    size = np.maximum(np.hypot(frequency_u, frequency_v), 1.0)
    spectrum = np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * size**-slope
    spectrum[0, 0] = 0.0
    noise = np.fft.ifft2(spectrum).real
    return np.clip(0.5 + noise / (4.5 * noise.std()), 0, 1)


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1)


def _color(rng: Draw) -> np.ndarray:
    """A colour (3,) as things have: seldom pure."""
    color = rng.uniform(0.05, 1, 3)
    return np.asarray(color.mean() + rng.uniform(0.1, 0.9) * (color - color.mean()))


def _plain(rng: Draw) -> np.ndarray:
    return _grey(0.35 + 0.3 * _octaves(rng, 1.0))


def _cloudy(rng: Draw) -> np.ndarray:
    return _grey(_octaves(rng, rng.uniform(1.2, 1.9)))


def _grainy(rng: Draw) -> np.ndarray:
    """Grass, gravel, carpet: fine noise over coarse noise."""
    share = rng.uniform(0.3, 0.8)
    return _grey(share * _octaves(rng, 0.4) + (1 - share) * _octaves(rng, 1.5))


def _hairy(rng: Draw) -> np.ndarray:
    """Strands along v."""
    return _grey(_octaves(rng, 0.9, 8.0))


def _striped(rng: Draw) -> np.ndarray:
    """Stripes across v of uneven width."""
    edges = np.cumsum(np.tile(rng.uniform(0.15, 1.0, rng.integers(2, 7)), rng.integers(1, 4)))
    band = np.searchsorted(edges / edges[-1], np.arange(SIDE) / SIDE)
    values = np.repeat((band % 2).astype(float)[:, None], SIDE, axis=1)
    return _grey(0.1 + 0.8 * values)


def _plaid(rng: Draw) -> np.ndarray:
    lines = [_striped(rng)[:, 0, 0], _striped(rng)[:, 0, 0]]
    mixed = 0.5 * lines[0][:, None] + 0.5 * lines[1][None]
    tint = rng.uniform(0.6, 1.4, (2, 3))
    return np.clip(mixed[..., None] * np.where(lines[0][:, None, None] > 0.5, *tint), 0, 1)


def _dotted(rng: Draw) -> np.ndarray:
    count = int(rng.integers(2, 7))
    v, u = np.mgrid[:SIDE, :SIDE] / SIDE * count
    v = v + 0.5 * (np.floor(u) % 2) * (count % 2 == 0)
    away = np.hypot(u % 1 - 0.5, v % 1 - 0.5)
    return _grey(np.where(away < rng.uniform(0.15, 0.38), 0.95, 0.1))


def _flowered(rng: Draw) -> np.ndarray:
    """Blots of several colours, as printed cloth has."""
    picture = np.zeros((SIDE, SIDE, 3)) + _color(rng)
    for _ in range(rng.integers(2, 5)):
        blot = _octaves(rng, rng.uniform(0.9, 1.6)) > rng.uniform(0.5, 0.7)
        picture[blot] = _color(rng)
    return picture


def _planks(rng: Draw) -> np.ndarray:
    rows = int(rng.choice([4, 8]))
    row = np.arange(SIDE) * rows // SIDE
    shade = rng.uniform(0.3, 0.75, (rows, 2))
    half = (np.arange(SIDE)[None] + (row * 37 % SIDE)[:, None]) % SIDE < SIDE // 2
    picture = np.where(half, shade[row][:, :1], shade[row][:, 1:])
    picture = picture + 0.35 * (_octaves(rng, 1.0, 8.0).T - 0.5)
    picture[(np.arange(SIDE) * rows % SIDE) < rows] *= 0.5
    return _grey(np.clip(picture, 0, 1))


def _bricks(rng: Draw) -> np.ndarray:
    rows, columns = (8, 4) if rng.random() < 0.6 else (4, 4)
    v, u = np.mgrid[:SIDE, :SIDE] / SIDE
    row = np.floor(v * rows).astype(int)
    along = u * columns + 0.5 * (row % 2) * (rows > columns)
    column = np.floor(along).astype(int) % columns
    picture = rng.uniform(0.35, 0.7, (rows, columns))[row, column]
    picture = picture + 0.3 * (_octaves(rng, 0.8) - 0.5)
    joint = (v * rows % 1 < 0.1) | (along % 1 < 0.05)
    return _grey(np.clip(np.where(joint, rng.choice([0.1, 0.9]), picture), 0, 1))


def _facade(rng: Draw) -> np.ndarray:
    """Rows of windows."""
    picture = np.zeros((SIDE, SIDE, 3)) + rng.uniform(0.35, 0.8)
    rows, columns = rng.integers(2, 6, 2)
    wide, high = rng.uniform(0.35, 0.8, 2)
    v, u = np.mgrid[:SIDE, :SIDE] / SIDE
    window = (u * columns % 1 < wide) & (v * rows % 1 < high)
    glass = rng.uniform(0.02, 0.5, (rows, columns))
    shade = glass[(v * rows).astype(int), (u * columns).astype(int)]
    return np.where(window[..., None], shade[..., None] * (0.8, 1.0, 1.15), picture)


def _shelves(rng: Draw) -> np.ndarray:
    """Rows of upright things of all colours."""
    picture = np.zeros((SIDE, SIDE, 3)) + 0.08
    rows = int(rng.integers(2, 6))
    high = SIDE // rows
    for row in range(rows):
        at, floor = 0, (row + 1) * high - 3
        while at < SIDE:
            wide = int(rng.integers(2, 14))
            top = floor - int(high * rng.uniform(0.35, 0.9))
            if rng.random() < 0.85:
                picture[max(top, row * high) : floor, at : at + wide - 1] = _color(rng)
            at += wide
        picture[floor : floor + 3] = 0.55
    return picture


def _cluttered(rng: Draw) -> np.ndarray:
    """Posters, shop fronts, whatever lies about: overlapping shapes of all colours."""
    picture = np.zeros((SIDE, SIDE, 3)) + _color(rng)
    v, u = np.mgrid[:SIDE, :SIDE]
    for _ in range(rng.integers(6, 40)):
        middle, half = rng.uniform(0, SIDE, 2), rng.uniform(2, 40, 2)
        dv = (v - middle[0] + SIDE / 2) % SIDE - SIDE / 2
        du = (u - middle[1] + SIDE / 2) % SIDE - SIDE / 2
        if rng.random() < 0.5:
            inside = (np.abs(dv) < half[0]) & (np.abs(du) < half[1])
        else:
            inside = (dv / half[0]) ** 2 + (du / half[1]) ** 2 < 1
        picture[inside] = _color(rng) * rng.uniform(0.3, 1)
    return np.clip(picture + 0.2 * (_grey(_octaves(rng, 1.0)) - 0.5), 0, 1)


def _leafy(rng: Draw) -> np.ndarray:
    """Leaves in light and shade."""
    leaves = _octaves(rng, 0.5) * 0.6 + _octaves(rng, 1.6) * 0.5
    return np.clip(_grey(np.where(leaves > 0.56, leaves + 0.3, leaves * 0.45)), 0, 1)


def _sky(rng: Draw) -> np.ndarray:
    clouds = np.clip((_octaves(rng, 1.7) - rng.uniform(0.35, 0.7)) * rng.uniform(1.5, 4), 0, 1)
    return _grey(clouds)


def _bumpy(rng: Draw) -> np.ndarray:
    """Not a look but three unevennesses, one to a channel: how normals of cloth turn."""
    return np.stack([_octaves(rng, 1.5) for _ in range(3)], -1)


KINDS: dict[str, Callable[[Draw], np.ndarray]] = {
    "plain": _plain, "cloudy": _cloudy, "grainy": _grainy, "hairy": _hairy, "striped": _striped,
    "plaid": _plaid, "dotted": _dotted, "flowered": _flowered, "planks": _planks,
    "bricks": _bricks, "facade": _facade, "shelves": _shelves, "cluttered": _cluttered,
    "leafy": _leafy, "sky": _sky, "bumpy": _bumpy,
}  # fmt: skip
"""How each kind is made; `COPIES` of each, one kind after the other."""

_ORDER = list(KINDS)


class TextureBank:
    """All textures, ready to be looked up.

    Args:
        device: Where it lies; it is the same everywhere.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        rng = np.random.default_rng(_SEED)
        made = [make(rng) for make in KINDS.values() for _ in range(COPIES)]
        texels = torch.tensor(np.stack(made), dtype=torch.float32).permute(0, 3, 1, 2)
        levels = [texels]
        for level in range(1, LEVELS):
            levels.append(_blurred(levels[0], 2.0 ** (level - 1)))
        stacked = torch.stack(levels).permute(0, 1, 3, 4, 2)  # (L, K, v, u, 3)
        self._texels = (stacked * 255).round().to(torch.uint8).reshape(-1, 3).to(device)
        self.count = len(made)
        """How many textures there are."""

    def look_up(self, texture: Tensor, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
        """Colours of textures at places, all arguments of one shape.

        Args:
            texture: Number of the texture, int64.
            u: Place across, in widths of the texture.
            v: Place down.
            footprint: What one pixel covers, in widths of the texture.

        Returns:
            (..., 3), 0 to 1; bilinear.
        """
        level = torch.log2((footprint * SIDE).clamp(min=1.0)).round().long().clamp(max=LEVELS - 1)
        base = (level * self.count + texture) * (SIDE * SIDE)
        u, v = u * SIDE - 0.5, v * SIDE - 0.5
        left, top = torch.floor(u), torch.floor(v)
        across, down = (u - left)[..., None], (v - top)[..., None]
        columns = [(left.long() + step) % SIDE for step in (0, 1)]
        rows = [base + (top.long() + step) % SIDE * SIDE for step in (0, 1)]
        corners = [[self._texels[row + column].float() for column in columns] for row in rows]
        upper, lower = (torch.lerp(one, two, across) for one, two in corners)
        return torch.lerp(upper, lower, down) / 255


def texture_numbers(kinds: str) -> list[int]:
    """Numbers of all textures of some kinds, words with spaces between."""
    return [_ORDER.index(kind) * COPIES + copy for kind in kinds.split() for copy in range(COPIES)]


def _blurred(texels: Tensor, sigma: float) -> Tensor:
    """Textures (K, 3, S, S) after a Gaussian blur round the edges."""
    frequency = torch.fft.fftfreq(SIDE)
    falloff = torch.exp(-2 * (torch.pi * sigma * frequency) ** 2)
    spectrum = torch.fft.fft2(texels) * falloff[:, None] * falloff
    return torch.fft.ifft2(spectrum).real.clamp(0, 1)
