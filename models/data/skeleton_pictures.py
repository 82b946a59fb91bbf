"""Skeleton images in batches on any device, as `engine/draw/skeleton_image.py` draws them one by one.

Bones are painted on the tiles of the picture that they touch, circles with stamps of OpenCV's own.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from extpose_blender.engine.draw import palettes
from extpose_blender.protocol.errors import BadShape

from .boxes import MIN_SCORE, SHOWN_WH
from .circle_stamps import FILE, SHIFT, SIDE

_TILE = 16
_HALF_WIDTH_PX = 2.0
_SHORTEST_PX = 0.5
_STEPS = 64
_REACH_PX = float(1 << 14)
_OPAQUE = 1.0 - 0.5 / 255


def draw_skeletons(points: Tensor, size_hw: tuple[int, int] = (256, 192)) -> Tensor:
    """Draw each skeleton into a black picture of its own.

    Args:
        points: (N, 18, 3) x, y, score, in pixels of a picture of 256×192.
        size_hw: Height and width of the pictures: 256×192 divided by a whole number.

    Returns:
        (N, 3, H, W) uint8 RGB.

    Raises:
        BadShape: The points are not eighteen, or the size is no whole part of 256×192.
    """
    joints = len(palettes.OPENPOSE_18_NAMES)
    if points.dim() != 3 or points.shape[1:] != (joints, 3):
        raise BadShape(f"`points` must be (N, {joints}, 3), not {tuple(points.shape)}")
    width, height = SHOWN_WH
    shrink = height // max(size_hw[0], 1)
    if (size_hw[0] * shrink, size_hw[1] * shrink) != (height, width):
        raise BadShape(f"`size_hw` must be {(height, width)} divided by a whole number")
    points = points.to(torch.float32)
    usable = torch.isfinite(points).all(-1) & (points.abs() < _REACH_PX).all(-1)
    points = torch.where(usable[..., None], points, 0.0)
    xy, score = points[..., :2], points[..., 2].clamp(max=1.0)
    canvas = torch.zeros((len(points), height * width, 3), device=points.device)
    _paint_bones(canvas, xy, score)
    _paint_circles(canvas, xy, score)
    drawn = canvas.unflatten(1, (height, width)).permute(0, 3, 1, 2)
    if shrink > 1:
        drawn = avg_pool2d(drawn, shrink).add(0.5).floor()
    return drawn.to(torch.uint8).contiguous()


def _paint_bones(canvas: Tensor, xy: Tensor, score: Tensor) -> None:
    """Lay the bones over black pictures (N, H·W, 3), one after the other."""
    device, width = canvas.device, SHOWN_WH[0]
    limbs = torch.tensor(palettes.OPENPOSE_18_LIMBS, device=device)
    strips = _strips().to(device)
    start, end = xy[:, limbs[:, 0]].movedim(1, 0), xy[:, limbs[:, 1]].movedim(1, 0)  # (17, N, 2)
    scores = score[:, limbs].permute(1, 0, 2)
    drawn = (scores >= MIN_SCORE).all(-1) & ((end - start).norm(dim=-1) > _SHORTEST_PX)
    tiles = _touched_tiles(start, end) & drawn[..., None]
    bone, picture, tile = tiles.nonzero(as_tuple=True)  # In the order of painting.
    counts = torch.bincount(bone, minlength=len(limbs)).tolist()
    step = torch.arange(_TILE, device=device)
    across = width // _TILE
    for k, pictures, places in zip(
        range(len(limbs)), picture.split(counts), tile.split(counts), strict=True
    ):
        x = (places % across * _TILE)[:, None, None] + step
        y = (places // across * _TILE)[:, None, None] + step[:, None]
        x, y = x.expand(-1, _TILE, _TILE), y.expand(-1, _TILE, _TILE)
        first = start[k, pictures][:, None, None]
        along = end[k, pictures][:, None, None] - first
        dx, dy = x - first[..., 0], y - first[..., 1]
        length2 = (along * along).sum(-1)
        place = (dx * along[..., 0] + dy * along[..., 1]) * (_STEPS / length2) - 0.5
        side = (dy * along[..., 0] - dx * along[..., 1]) / (2 * _HALF_WIDTH_PX * length2.sqrt())
        place, side = (place + 0.5).floor().long(), (side + 0.5).floor()
        inside = (side == 0) & (place >= 0) & (place < _STEPS)
        which = pictures[:, None, None].expand(-1, _TILE, _TILE)[inside]
        pixel = (y * width + x)[inside]
        alpha = scores[k, which].mean(-1)
        _lay(canvas, which, pixel, strips[k, place[inside]], alpha)


def _touched_tiles(start: Tensor, end: Tensor) -> Tensor:
    """(S, N, tiles) bool: tiles whose middle is near a bone between (S, N, 2) points."""
    width, height = SHOWN_WH
    device = start.device
    y, x = torch.meshgrid(
        torch.arange(height // _TILE, device=device),
        torch.arange(width // _TILE, device=device),
        indexing="ij",
    )
    middle = torch.stack([x, y], -1).reshape(-1, 2) * _TILE + (_TILE - 1) / 2
    along = (end - start)[:, :, None]
    away = middle - start[:, :, None]
    share = (away * along).sum(-1) / (along * along).sum(-1).clamp(min=1e-6)
    away = away - share.clamp(0, 1)[..., None] * along
    reach = _HALF_WIDTH_PX + 1 + _TILE * math.sqrt(0.5)
    return (away * away).sum(-1) < reach * reach


def _paint_circles(canvas: Tensor, xy: Tensor, score: Tensor) -> None:
    """Lay the circles over, joint by joint."""
    device, (width, height) = canvas.device, SHOWN_WH
    stamps = _stamps().to(device)
    colors = torch.tensor(palettes.OPENPOSE_18_COLORS, dtype=torch.float32, device=device)
    grid = (xy * (1 << SHIFT)).round().long()
    whole, part = grid >> SHIFT, grid & ((1 << SHIFT) - 1)
    step = torch.arange(SIDE, device=device) - SIDE // 2
    for joint in range(xy.shape[1]):
        x = whole[:, joint, 0, None, None] + step
        y = whole[:, joint, 1, None, None] + step[:, None]
        coverage = stamps[part[:, joint, 1], part[:, joint, 0]]
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (coverage > 0)
        inside &= (score[:, joint] >= MIN_SCORE)[:, None, None]
        which, row, column = inside.nonzero(as_tuple=True)
        pixel = y[which, row, 0] * width + x[which, 0, column]
        below = canvas[which, pixel]
        share = coverage[which, row, column][:, None]
        over = (below + (colors[joint] - below) * share).round()
        _lay(canvas, which, pixel, over, score[which, joint])


def _lay(canvas: Tensor, picture: Tensor, pixel: Tensor, over: Tensor, alpha: Tensor) -> None:
    """Lay colours (P, 3) over pixels, each touched once, in steps of whole levels."""
    alpha = torch.where(alpha > _OPAQUE, 1.0, alpha)[:, None]
    below = canvas[picture, pixel]
    canvas[picture, pixel] = (alpha * over + (1 - alpha) * below).round()


@cache
def _strips() -> Tensor:
    """(17, 64, 3) colours along each bone."""
    colors = np.array(palettes.OPENPOSE_18_COLORS, float)
    along = (np.arange(_STEPS)[:, None] + 0.5) / _STEPS
    fades = [colors[a] + along * (colors[b] - colors[a]) for a, b in palettes.OPENPOSE_18_LIMBS]
    return torch.tensor(np.rint(fades), dtype=torch.float32)


@cache
def _stamps() -> Tensor:
    """(16, 16, 13, 13) coverage, 0 to 1."""
    with np.load(FILE, allow_pickle=False) as file:
        return torch.tensor(file["coverage"].astype(np.float32) / 255)
