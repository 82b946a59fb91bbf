"""Feet come down to the ground the way the camera saw them."""

from __future__ import annotations

import numpy as np
import pytest

from extpose_blender.engine.refine.grounding import lift_to_ground, onto_ground, slide_along_rays

EYE = np.array([0.0, 0.0, 1.5])


def _standing(rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    root = np.tile([0.3, 4.0, 0.9], (rows, 1))
    feet = np.tile([[0.2, 3.9, 0], [0.2, 4.1, 0], [0.4, 3.9, 0], [0.4, 4.1, 0.0]], (rows, 1, 1))
    return root, feet, np.ones((rows, 4), bool)


def test_points_end_on_the_ground_and_keep_their_place_in_the_picture() -> None:
    points = np.random.default_rng(0).uniform([-1, 2, -0.1], [1, 4, 0.1], size=(50, 3))
    landed = onto_ground(points, EYE)
    np.testing.assert_allclose(landed[:, 2], 0.0, atol=1e-12)
    rays = [p - EYE for p in (points, landed)]
    cosine = np.sum(rays[0] * rays[1], 1) / np.prod([np.linalg.norm(r, axis=1) for r in rays], 0)
    assert np.degrees(np.arccos(cosine)).max() < 0.25


def test_under_a_skimming_ray_a_point_drops_instead_of_running_away() -> None:
    point = np.array([[0.0, 5.0, 0.05]])
    landed = onto_ground(point, np.array([0.0, 0.0, 0.05]))
    np.testing.assert_allclose(landed, [[0.0, 5.0, 0.0]], atol=1e-12)


def test_wandering_depth_of_somebody_who_stands_is_taken_back() -> None:
    rows, fps = 150, 30.0
    root, feet, contact = _standing(rows)
    ray = (root - EYE) / np.linalg.norm(root - EYE, axis=1, keepdims=True)
    wander = 0.05 * np.sin(2 * np.pi * 0.7 * np.arange(rows) / fps)[:, None] * ray
    shift = slide_along_rays(root + wander, feet + wander[:, None], contact, EYE, fps, True)
    assert np.std(wander + shift, axis=0).max() < 0.35 * np.std(wander, axis=0).max()
    np.testing.assert_allclose(np.cross(shift, root + wander - EYE), 0.0, atol=1e-9)


@pytest.mark.parametrize("rows", (1, 2, 3))
def test_shortest_clips(rows: int) -> None:
    root, feet, contact = _standing(rows)
    shift = slide_along_rays(root, feet, contact, EYE, 30.0, True)
    np.testing.assert_allclose(shift, 0.0, atol=1e-9)


def test_lift_is_smooth_and_small() -> None:
    _, feet, contact = _standing(90)
    feet[:, :, 2] = 0.008
    feet[45:, :, 2] = -0.5
    lift = lift_to_ground(feet, contact, 30.0)
    assert lift[0] == pytest.approx(-0.008, abs=1e-3)
    assert np.abs(lift).max() < 0.022
    assert np.abs(np.diff(lift)).max() < 0.006


def test_without_contacts_nothing_is_lifted() -> None:
    _, feet, contact = _standing(5)
    assert not lift_to_ground(feet, contact & False, 30.0).any()
