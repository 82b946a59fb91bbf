"""Renders a body's surface into a picture: a z-buffered, shaded rasteriser in numpy.

Every triangle is tried at the pixel centres of a square window over it. Triangles with windows of
the same size are handled together, so the work is a few large array operations. The nearest
triangle of a pixel is found with `minimum.at` over numbers that hold depth and triangle together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...protocol.arrays import check_shape

_NEAREST_M = 0.05
"""Triangles with a corner nearer to the camera than this are left out."""

_SAMPLES_AT_ONCE = 1 << 21
"""Pixel centres that are tried together; bounds the memory."""

_DEPTH_STEPS = 1 << 30
"""Steps into which the depth of a mesh is divided for comparison."""

_NOTHING = np.iinfo(np.int64).max
"""What stands in the depth buffer where nothing is seen."""

_AMBIENT = 0.35
"""Brightness of a surface seen edge-on, as a share of one that faces the camera."""


def draw_mesh(
    image_rgb: np.ndarray,
    vertices_camera_m: np.ndarray,
    faces: np.ndarray,
    K: np.ndarray,
    color: tuple[int, int, int],
    alpha: float = 0.6,
) -> None:
    """Draw a mesh over a picture, in place, lit from the camera.

    Args:
        image_rgb: (H, W, 3) uint8, writable.
        vertices_camera_m: (V, 3) in the OpenCV camera, metres.
        faces: (F, 3) triangles, counter-clockwise seen from outside.
        K: (3, 3) intrinsics, pixels.
        color: RGB of the surface.
        alpha: How much of the picture the mesh covers, 0 to 1.

    Raises:
        BadShape: An array has the wrong shape.
    """
    check_shape("image_rgb", image_rgb, (None, None, 3), kind="u")
    check_shape("vertices_camera_m", vertices_camera_m, (None, 3))
    check_shape("faces", faces, (None, 3), kind="iu")
    check_shape("K", K, (3, 3))
    vertices = np.asarray(vertices_camera_m, np.float32)
    pixels, weights, corners = rasterise(vertices, faces, K, image_rgb.shape[1], image_rgb.shape[0])
    normals = vertex_normals(vertices, faces)
    length = np.sqrt(np.einsum("va,va->v", normals, normals))
    facing = np.clip(-normals[:, 2] / np.maximum(length, 1e-12), 0.0, 1.0)  # Light from the camera.
    shade = (_AMBIENT + (1.0 - _AMBIENT) * facing)[corners]
    shade = np.einsum("nc,nc->n", shade, weights)
    flat = image_rgb.reshape(-1, 3)
    paint = (alpha * shade)[:, None] * np.asarray(color, np.float32)
    flat[pixels] = (np.float32(1.0 - alpha) * flat[pixels] + paint + 0.5).astype(np.uint8)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Normals (V, 3) of a mesh's vertices: sums over their triangles, not of unit length."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    corner = faces.ravel()
    per_corner = np.repeat(cross, 3, axis=0)
    sums = [np.bincount(corner, per_corner[:, i], len(vertices)) for i in range(3)]
    return np.stack(sums, axis=1).astype(np.float32)


def rasterise(
    vertices_camera_m: np.ndarray, faces: np.ndarray, K: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find what is seen at each pixel.

    Args:
        vertices_camera_m: (V, 3) in the OpenCV camera, metres.
        faces: (F, 3) triangles; those turned away from the camera are not drawn.
        K: (3, 3) intrinsics, pixels.
        width: Picture width.
        height: Picture height.

    Returns:
        Covered pixels as (N,) numbers `y * width + x`, weights of the three corners (N, 3), and the
        corners' vertex numbers (N, 3). Weights are those of the flat picture.
    """
    xy, depth = _project(vertices_camera_m, K)
    faces = _front_faces(xy, depth, faces, width, height)
    if not len(faces):
        return np.zeros(0, np.int64), np.zeros((0, 3), np.float32), np.zeros((0, 3), faces.dtype)
    # 1 / depth is linear in the picture. Step 0 is nearest, so a minimum finds what is in front.
    near = 1.0 / np.maximum(depth, _NEAREST_M)
    farthest, nearest = near[faces].min(), near[faces].max()
    scale = (_DEPTH_STEPS - 1) / max(nearest - farthest, 1e-12)
    best = np.full(width * height, _NOTHING)
    for chosen, px, py, weights in _covered(xy, faces, width, height):
        inverse = np.einsum("nc,nc->n", weights, near[faces[chosen]])
        steps = ((nearest - np.clip(inverse, farthest, nearest)) * scale).astype(np.int64)
        np.minimum.at(best, py * width + px, steps << 32 | chosen)
    pixels = np.flatnonzero(best != _NOTHING)
    corners = faces[best[pixels] & 0xFFFFFFFF]
    edges = _Triangles.of(xy, corners)
    b, c = edges.weights(pixels % width + 0.5, pixels // width + 0.5)
    return pixels, np.stack([1 - b - c, b, c], axis=1).astype(np.float32), corners


class _Triangles(NamedTuple):
    """Triangles in the picture, each of whose corners' weights is a linear function of x and y."""

    x: np.ndarray
    """(N,) first corner."""
    y: np.ndarray
    bx: np.ndarray
    """(N,) growth of the second corner's weight with x."""
    by: np.ndarray
    cx: np.ndarray
    """(N,) growth of the third corner's weight with x."""
    cy: np.ndarray

    @classmethod
    def of(cls, xy: np.ndarray, faces: np.ndarray) -> _Triangles:
        """Triangles (N, 3) of points (V, 2)."""
        (ax, ay), (bx, by), (cx, cy) = (xy[faces[:, i]].T for i in range(3))
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        parts = (ax, ay, (cy - ay) / area, (ax - cx) / area, (ay - by) / area, (bx - ax) / area)
        return cls(*(np.asarray(part) for part in parts))

    def weights(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of the second and third corner at one point per triangle."""
        dx, dy = x - self.x, y - self.y
        return self.bx * dx + self.by * dy, self.cx * dx + self.cy * dy

    def grid(self, x: np.ndarray, y: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
        """The same (N, side, side) at a window of points one apart, the first at x, y (N,)."""
        step = np.arange(side, dtype=np.float32)
        b, c = (part.astype(np.float32)[:, None, None] for part in self.weights(x, y))
        slopes = (part.astype(np.float32)[:, None] * step for part in self[2:])
        bx, by, cx, cy = slopes
        return b + bx[:, None, :] + by[:, :, None], c + cx[:, None, :] + cy[:, :, None]


def _project(vertices: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (V, 2) and depths (V,); the pixels of points that are too near mean nothing."""
    depth = vertices[:, 2].astype(np.float64)
    xyw = (vertices / np.maximum(depth, _NEAREST_M)[:, None]) @ np.asarray(K, np.float64).T
    return xyw[:, :2], depth


def _front_faces(
    xy: np.ndarray, depth: np.ndarray, faces: np.ndarray, width: int, height: int
) -> np.ndarray:
    """Triangles that face the camera, lie before it and touch the picture."""
    a, b, c = faces.T
    x, y = np.ascontiguousarray(xy.T)
    # Outside is clockwise in the picture, because y points down.
    keep = (x[b] - x[a]) * (y[c] - y[a]) < (y[b] - y[a]) * (x[c] - x[a])
    outside = [depth <= _NEAREST_M, x <= 0, x >= width, y <= 0, y >= height]
    keep &= ~(outside[0][a] | outside[0][b] | outside[0][c])
    for side in outside[1:]:
        keep &= ~(side[a] & side[b] & side[c])
    return faces[keep]


def _covered(
    xy: np.ndarray, faces: np.ndarray, width: int, height: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Pixel centres inside triangles: triangle number, x, y and corner weights, in portions."""
    (x0, x1), (y0, y1) = (
        _pixel_range(xy[:, axis], faces, size) for axis, size in ((0, width), (1, height))
    )
    extent = np.where((x1 > x0) & (y1 > y0), np.maximum(x1 - x0, y1 - y0), 0)
    order = np.argsort(extent, kind="stable")
    order = order[extent[order] > 0]
    while len(order):
        side = _window_side(int(extent[order[0]]))
        count = int(np.searchsorted(extent[order], side, side="right"))
        portion = order[: min(count, max(1, _SAMPLES_AT_ONCE // side**2))]
        order = order[len(portion) :]
        x, y = x0[portion], y0[portion]
        b, c = _Triangles.of(xy, faces[portion]).grid(x + 0.5, y + 0.5, side)
        # A hair of overlap, so that rounding leaves no hole between neighbours.
        n, row, column = np.nonzero(np.minimum(np.minimum(b, c), 1.0 - b - c) > -1e-4)
        b, c, px, py = b[n, row, column], c[n, row, column], x[n] + column, y[n] + row
        inside = (px < width) & (py < height)
        weights = np.stack([1 - b - c, b, c], axis=1)
        yield portion[n[inside]], px[inside], py[inside], weights[inside]


def _pixel_range(values: np.ndarray, faces: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First and one past the last pixel whose centre lies between the corners, along one axis."""
    a, b, c = (values[faces[:, i]] for i in range(3))
    low, high = np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)
    first = np.clip(np.ceil(low - 0.5), 0, size).astype(np.int64)
    return first, np.clip(np.floor(high - 0.5) + 1, 0, size).astype(np.int64)


def _window_side(extent: int) -> int:
    """Side of the window in which triangles of some extent are tried: few sides, little waste."""
    side = 2
    while side < extent:
        side = side + 1 if side < 4 else side * 3 // 2
    return side
