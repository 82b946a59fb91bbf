"""A z-buffered triangle rasteriser in plain torch: many meshes into many pictures at once.

Every triangle is tried at the pixel centres of a square window over it. Triangles with windows of
the same size are handled together, so the work is a few large array operations on any device. The
nearest triangle of a pixel is a minimum over whole numbers that hold depth and triangle together:
the result does not depend on the order in which a device does them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

NEAREST_M = 0.05
"""Triangles with a corner nearer to the camera than this are left out."""

_SAMPLES_AT_ONCE = 1 << 24
"""Pixel centres that are tried together; bounds the memory."""
_SIDES = (1, 2, 3, 4, 6, 9, 13, 19, 28, 42, 63, 94, 141, 211, 316, 512, 1024)
"""Sides of the windows."""
_DEPTH_STEPS = (1 << 30) - 1
_NOTHING = (1 << 62) - 1


class Seen(NamedTuple):
    """What is seen, one entry for each of P covered pixels."""

    pixel: Tensor
    """(P,) `(picture * H + y) * W + x`."""
    mesh: Tensor
    """(P,) which mesh."""
    corners: Tensor
    """(P, 3) vertices of the triangle."""
    weights: Tensor
    """(P, 3) what each of them counts, on the surface itself (not in the flat picture)."""
    depth_m: Tensor
    """(P,) depth."""

    def interpolate(self, values: Tensor) -> Tensor:
        """Values of the vertices, (M, V, C) or (V, C) for all meshes, at the pixels: (P, C)."""
        first = self.mesh * values.shape[1] if values.dim() == 3 else torch.zeros_like(self.mesh)
        rows = first[:, None] + self.corners
        flat = values.reshape(-1, values.shape[-1])
        mixed = flat[rows[:, 0]] * self.weights[:, :1]
        for corner in (1, 2):
            mixed = mixed + flat[rows[:, corner]] * self.weights[:, corner, None]
        return mixed


class _Candidates(NamedTuple):
    """Triangles that may be seen, C of them."""

    mesh: Tensor
    face: Tensor
    x: Tensor
    """(3, C) corners in the picture, and so on."""
    y: Tensor
    near: Tensor
    """(3, C) one over the depth."""
    left: Tensor
    """(C,) first column and row of the window, and its side."""
    top: Tensor
    side: Tensor

    def take(self, index: Tensor) -> _Candidates:
        return _Candidates(*(array[..., index] for array in self))


def rasterise(
    xy: Tensor,
    depth_m: Tensor,
    faces: Tensor,
    picture_of_mesh: Tensor,
    pictures: int,
    size_hw: tuple[int, int],
) -> Seen:
    """Find what is seen at each pixel.

    Args:
        xy: (M, V, 2) vertices of the meshes in the picture: pixel k reaches from k to k + 1.
        depth_m: (M, V) their depths; what lies nearer than `NEAREST_M` is not drawn.
        faces: (F, 3) triangles of every mesh, counter-clockwise seen from outside; those turned away
            are not drawn.
        picture_of_mesh: (M,) the picture that each mesh is drawn into.
        pictures: How many pictures there are.
        size_hw: Their height and width.
    """
    height, width = size_hw
    found = _candidates(xy, depth_m, faces, size_hw)
    best = torch.full((pictures * height * width,), _NOTHING, device=xy.device)
    if found.mesh.numel():
        farthest, nearest = found.near.min(), found.near.max()
        scale = _DEPTH_STEPS / (nearest - farthest).clamp(min=1e-9).double()
        for chosen, column, row, weights in _covered(found, size_hw):
            near = (found.near[:, chosen] * weights).sum(0).clamp(farthest, nearest)
            steps = ((nearest - near).double() * scale).long()
            picture = picture_of_mesh[found.mesh[chosen]]
            pixel = (picture * height + row) * width + column
            best.scatter_reduce_(0, pixel, steps << 32 | chosen, "amin")
    pixel = (best != _NOTHING).nonzero()[:, 0]
    chosen = best[pixel] & 0xFFFFFFFF
    seen = found.take(chosen)
    weights = _weights(seen, pixel % width + 0.5, pixel // width % height + 0.5) * seen.near
    total = weights.sum(0)
    return Seen(pixel, seen.mesh, faces[seen.face], (weights / total).T, 1 / total)


def _candidates(
    xy: Tensor, depth_m: Tensor, faces: Tensor, size_hw: tuple[int, int]
) -> _Candidates:
    """Triangles that face the camera, lie before it and cover a pixel's centre or nearly so."""
    height, width = size_hw
    a, b, c = faces.T
    x, y = xy[..., 0], xy[..., 1]
    xa, ya = x[:, a], y[:, a]
    xb, yb, xc, yc = x[:, b] - xa, y[:, b] - ya, x[:, c] - xa, y[:, c] - ya
    keep = xb * yc < yb * xc  # Outside is clockwise in the picture, because y points down.
    hidden = (depth_m <= NEAREST_M) | ~torch.isfinite(depth_m)
    keep &= ~(hidden[:, a] | hidden[:, b] | hidden[:, c])
    zero = torch.zeros_like(xb)
    low = (
        xa + torch.minimum(torch.minimum(xb, xc), zero),
        ya + torch.minimum(torch.minimum(yb, yc), zero),
    )
    high = (
        xa + torch.maximum(torch.maximum(xb, xc), zero),
        ya + torch.maximum(torch.maximum(yb, yc), zero),
    )
    left, top = (torch.ceil(v - 0.5).clamp(min=0) for v in low)
    right = torch.floor(high[0] - 0.5).clamp(max=width - 1)
    bottom = torch.floor(high[1] - 0.5).clamp(max=height - 1)
    side = torch.maximum(right - left, bottom - top) + 1
    keep &= (right >= left) & (bottom >= top)
    mesh, face = keep.nonzero(as_tuple=True)
    corners = faces[face].T  # (3, C)
    return _Candidates(
        mesh,
        face,
        x[mesh, corners],
        y[mesh, corners],
        1 / depth_m[mesh, corners],
        left[mesh, face].long(),
        top[mesh, face].long(),
        side[mesh, face].long(),
    )


def _covered(
    found: _Candidates, size_hw: tuple[int, int]
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Pixel centres inside triangles, in portions: candidate, column, row, flat weights (3, n)."""
    device = found.side.device
    classes = torch.bucketize(found.side, torch.tensor(_SIDES, device=device))
    order = classes.argsort(stable=True)
    counts = torch.bincount(classes, minlength=len(_SIDES)).tolist()
    for side, members in zip(_SIDES, order.split(counts), strict=True):
        step = torch.arange(side * side, device=device)
        for portion in members.split(max(1, _SAMPLES_AT_ONCE // (side * side))):
            if not len(portion):
                continue
            window = found.take(portion)
            column = window.left[:, None] + step % side
            row = window.top[:, None] + step // side
            weights = _weights(window, column + 0.5, row + 0.5)
            # A hair of overlap, so that rounding leaves no hole between neighbours.
            inside = weights.amin(0) > -1e-4
            inside &= (column < size_hw[1]) & (row < size_hw[0])
            which, place = inside.nonzero(as_tuple=True)
            at = which, place
            yield portion[which], column[at], row[at], weights[:, which, place]


def _weights(triangles: _Candidates, x: Tensor, y: Tensor) -> Tensor:
    """Weights of the corners of (C,) triangles in the flat picture at (C, ...) points: (3, C, ...)."""
    extra = (slice(None),) + (None,) * (x.dim() - 1)
    (ax, bx, cx), (ay, by, cy) = triangles.x, triangles.y
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    dx, dy = x - ax[extra], y - ay[extra]
    slopes = ((cy - ay) / area, (ax - cx) / area, (ay - by) / area, (bx - ax) / area)
    b = slopes[0][extra] * dx + slopes[1][extra] * dy
    c = slopes[2][extra] * dx + slopes[3][extra] * dy
    return torch.stack([1 - b - c, b, c])
