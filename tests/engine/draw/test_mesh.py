"""What is drawn is what a ray from each pixel would meet."""

from __future__ import annotations

import numpy as np
import pytest

from extpose_blender.engine.draw.mesh import draw_mesh, rasterise
from extpose_blender.protocol.errors import BadShape

WIDTH, HEIGHT = 96, 72
K = np.array([[80.0, 0, WIDTH / 2], [0, 80.0, HEIGHT / 2], [0, 0, 1]])


def sphere(rings: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and outward triangles of the unit sphere."""
    theta, phi = np.meshgrid(
        np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, 2 * rings), indexing="ij"
    )
    vertices = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1
    )
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(2 * rings - 1), indexing="ij")
    a = (row * 2 * rings + column).ravel()
    b, c, d = a + 2 * rings, a + 2 * rings + 1, a + 1
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return vertices.reshape(-1, 3), faces


def nearest_plainly(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Depth of the nearest outward triangle for each pixel, by intersecting rays; inf for none."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], -1) @ np.linalg.inv(K).T
    best = np.full(len(rays), np.inf)
    for corners in vertices[faces]:
        if np.dot(np.cross(corners[1] - corners[0], corners[2] - corners[0]), corners[0]) >= 0:
            continue  # Turned away.
        weights = rays @ np.linalg.inv(corners)  # ray * depth = weights @ corners
        total = weights.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            hit = (weights >= -1e-9 * np.abs(total)[:, None]).all(axis=1) & (total > 0)
            best = np.where(hit, np.minimum(best, 1.0 / total), best)
    return best


@pytest.mark.parametrize("seed", range(3))
def test_equals_rays(seed: int) -> None:
    """Two spheres that cut into each other, one partly outside the picture."""
    rng = np.random.default_rng(seed)
    ball, ball_faces = sphere(12)
    shift = rng.uniform([-1.5, -1, 2.5], [1.5, 1, 4])
    vertices = np.concatenate([ball + np.array([0, 0, 3]), 0.7 * ball + shift])
    faces = np.concatenate([ball_faces, ball_faces + len(ball)])
    area = np.linalg.norm(
        np.cross(*(vertices[faces[:, i]] - vertices[faces[:, 0]] for i in (1, 2))), axis=1
    )
    faces = faces[
        area > 1e-9
    ]  # Without the slivers at the poles, which the plain twin cannot invert.
    pixels, weights, corners = rasterise(vertices, faces, K, WIDTH, HEIGHT)
    want = nearest_plainly(vertices, faces)
    got = np.full(WIDTH * HEIGHT, np.inf)
    got[pixels] = 1.0 / np.einsum("nc,nc->n", weights, 1.0 / vertices[corners][..., 2])
    both = np.isfinite(want) & np.isfinite(got)
    assert both.sum() > 800
    assert (np.isfinite(want) != np.isfinite(got)).sum() <= 4  # A hair of overlap at outlines.
    np.testing.assert_allclose(got[both], want[both], rtol=2e-3)


@pytest.mark.parametrize("rings", [6, 40, 300])
def test_no_holes_at_any_density(rings: int) -> None:
    vertices, faces = sphere(rings)
    pixels, _, _ = rasterise(vertices + np.array([0, 0, 2.5]), faces, K, WIDTH, HEIGHT)
    covered = np.zeros((HEIGHT, WIDTH), bool)
    covered.ravel()[pixels] = True
    y, x = np.nonzero(covered)
    for row in np.unique(y):
        assert np.ptp(x[y == row]) + 1 == (y == row).sum()


def test_alpha_and_light() -> None:
    vertices, faces = sphere(60)
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    draw_mesh(
        image, (vertices + np.array([0, 0, 2.5])).astype(np.float32), faces, K, (200, 0, 50), 0.5
    )
    assert (image[0, 0] == 100).all()
    np.testing.assert_allclose(image[HEIGHT // 2, WIDTH // 2], [150, 50, 75], atol=2)
    dark = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    draw_mesh(
        dark, (vertices + np.array([0, 0, 2.5])).astype(np.float32), faces, K, (200, 200, 200), 1.0
    )
    middle = dark[HEIGHT // 2, :, 0].astype(int)
    outline = int(np.flatnonzero(middle)[0])
    assert (np.diff(middle[outline : WIDTH // 2]) >= 0).all() and middle[outline] < 150


@pytest.mark.parametrize("place", [[0, 0, -3], [50, 0, 3], [0, 0, 0]])
def test_behind_beside_and_around_the_camera(place: list[float]) -> None:
    vertices, faces = sphere()
    image = np.full((HEIGHT, WIDTH, 3), 7, np.uint8)
    draw_mesh(image, (vertices + place).astype(np.float32), faces, K, (255, 0, 0))
    assert (image == 7).all()


def test_wrong_shapes_are_refused() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    with pytest.raises(BadShape, match="faces"):
        draw_mesh(image, np.zeros((3, 3), np.float32), np.zeros((1, 4), int), K, (1, 2, 3))
