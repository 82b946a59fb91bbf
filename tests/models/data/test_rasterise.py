"""The batched rasteriser against the one that draws overlays, mesh by mesh."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.draw.mesh import rasterise as rasterise_one
from models.data.rasterise import Seen, rasterise

_SIZE_HW = (96, 72)


def _views() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three views of the resting body: vertices in the camera, faces, intrinsics."""
    body = load_body("open")
    turned = []
    for angle, away in ((0.0, 2.5), (2.0, 3.2), (4.0, 1.6)):
        sine, cosine = np.sin(angle), np.cos(angle)
        turn = np.array([[cosine, 0, sine], [0, -1, 0], [sine, 0, -cosine]])
        turned.append(body.v_template @ turn.T + (0.05, -0.3, away))
    intrinsics = np.array([[110.0, 0, 36], [0, 110.0, 48], [0, 0, 1]])
    return np.stack(turned).astype(np.float32), body.faces, intrinsics


def _draw(vertices: np.ndarray, faces: np.ndarray, K: np.ndarray, pictures: list[int]) -> Seen:
    points = torch.tensor(vertices)
    xy = points[..., :2] / points[..., 2:] * float(K[0, 0]) + torch.tensor(K[:2, 2]).float()
    return rasterise(
        xy,
        points[..., 2],
        torch.tensor(faces).long(),
        torch.tensor(pictures),
        max(pictures) + 1,
        _SIZE_HW,
    )


def test_sees_what_the_plain_one_sees() -> None:
    vertices, faces, K = _views()
    seen = _draw(vertices, faces, K, [0, 1, 2])
    height, width = _SIZE_HW
    for i, one in enumerate(vertices):
        pixels, weights, corners = rasterise_one(one, faces, K, width, height)
        mine = (seen.mesh == i).numpy()
        assert np.isin(seen.pixel[mine] - i * height * width, pixels).mean() > 0.999
        assert abs(mine.sum() - len(pixels)) <= 2
        wanted = np.zeros(height * width)
        wanted[pixels] = 1 / np.einsum("nc,nc->n", weights, 1 / one[corners, 2])
        got = np.zeros(height * width)
        got[seen.pixel[mine] - i * height * width] = seen.depth_m[mine]
        both = (wanted > 0) & (got > 0)
        np.testing.assert_allclose(got[both], wanted[both], atol=2e-3)


def test_values_are_interpolated_on_the_surface() -> None:
    vertices, faces, K = _views()
    seen = _draw(vertices, faces, K, [0, 1, 2])
    places = seen.interpolate(torch.tensor(vertices))
    height, width = _SIZE_HW
    x = places[:, 0] / places[:, 2] * float(K[0, 0]) + float(K[0, 2])
    y = places[:, 1] / places[:, 2] * float(K[0, 0]) + float(K[1, 2])
    torch.testing.assert_close(x, seen.pixel % width + 0.5, atol=1e-2, rtol=0)
    torch.testing.assert_close(y, seen.pixel // width % height + 0.5, atol=1e-2, rtol=0)
    torch.testing.assert_close(places[:, 2], seen.depth_m, atol=1e-4, rtol=0)


def test_the_nearer_mesh_hides_the_other() -> None:
    vertices, faces, K = _views()
    behind = vertices[:1] * 1.5  # The same outline, farther away.
    seen = _draw(np.concatenate([behind, vertices[:1]]), faces, K, [0, 0])
    assert (seen.mesh == 1).float().mean() > 0.99


def test_order_does_not_matter_and_nothing_is_no_error() -> None:
    vertices, faces, K = _views()
    once = _draw(vertices[:1], faces, K, [0])
    shuffled = _draw(vertices[:1], faces[np.random.default_rng(0).permutation(len(faces))], K, [0])
    assert torch.equal(once.pixel, shuffled.pixel)
    assert (once.depth_m - shuffled.depth_m).abs().max() < 1e-3
    assert not len(_draw(vertices[:1] * (1, 1, -1), faces, K, [0]).pixel)


@pytest.mark.parametrize("scale", [0.02, 0.3, 4.0])
def test_any_size_of_triangle(scale: float) -> None:
    corners = np.array([[[-1, -1, 2], [1, -1, 2], [0, 1, 2]]], np.float32) * (scale, scale, 1)
    seen = _draw(
        corners, np.array([[0, 2, 1]]), np.array([[60.0, 0, 36], [0, 60, 48], [0, 0, 1]]), [0]
    )
    pixels, _, _ = rasterise_one(
        corners[0], np.array([[0, 2, 1]]), np.array([[60.0, 0, 36], [0, 60, 48], [0, 0, 1]]), 72, 96
    )
    assert set(seen.pixel.tolist()) == set(pixels.tolist())
