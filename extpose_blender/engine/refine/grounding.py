"""Bring a person's feet down to the common ground by moving the body along its view rays.

One view sees depth worst: the solved root wanders to and fro by centimetres. Feet at rest tell how
much, for they stay where they are and lie in the ground. Sliding along the ray leaves the picture
as it was.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from .smoothing import whittaker

_WANDER_HZ = 1.5
_WANDER_M = 0.05
"""How fast and how far a solved depth wanders."""
_TRUST = 0.01
"""How far the solved depth may be off over long times, as a share of it."""
_TRUST_S = 0.5
"""Errors of depth closer together than this are one and the same error."""
_HEIGHT_M = 0.02
_HEIGHT_S = 0.2
"""How far a resting foot may be off the ground, and for how long that is one error."""
_CREEP_M = 0.08
"""How far a resting foot creeps in a second, by errors of the pose."""
_ALONG_M, _ACROSS_M = 0.10, 0.015
"""How well the place of a foot is known along its view ray and across it."""
_LIFT_HZ = 2.0
_HIGHEST_LIFT_M = 0.015
"""How fast and how far a body is moved straight up or down to meet the ground in the end."""


def slide_along_rays(
    root_m: np.ndarray,
    feet_m: np.ndarray,
    contact: np.ndarray,
    eye_m: np.ndarray,
    fps: float,
    feet_rest: bool,
) -> np.ndarray:
    """Find how far to move a body along its view rays so that resting feet rest on the ground.

    Minimises, over a slide per row: heights of resting points, their movement from row to row, the
    slide itself, and its second derivative; all quadratic, so one banded solve.

    Args:
        root_m: (T, 3) root in the world (ground at 0), metres.
        feet_m: (T, 4, 3) heels and toes.
        contact: (T, 4) which of them rest.
        eye_m: (3,) the camera's centre.
        fps: Rows per second.
        feet_rest: Whether resting points should stay where they are, and not only on the ground.

    Returns:
        (T, 3) shift of the body, metres.
    """
    count = len(root_m)
    offset = root_m - eye_m
    depth = np.linalg.norm(offset, axis=1)
    ray = offset / depth[:, None]
    bands, rhs = np.zeros((3, count)), np.zeros(count)
    bands[0] += 1.0 / ((_TRUST * depth) ** 2 * max(1.0, _TRUST_S * fps))
    height_weight = contact / (_HEIGHT_M**2 * max(1.0, _HEIGHT_S * fps))
    bands[0] += height_weight.sum(1) * ray[:, 2] ** 2
    rhs -= np.sum(height_weight * feet_m[..., 2], axis=1) * ray[:, 2]
    if feet_rest and count > 1:
        _add_resting(bands, rhs, ray, feet_m, contact, fps)
    if count > 2:
        _add_bending(bands, fps)
    slide = solveh_banded(bands[: min(3, count)], rhs, lower=True)
    limit = 5.0 * _TRUST * depth
    return np.asarray(np.clip(slide, -limit, limit)[:, None] * ray)


def lift_to_ground(feet_m: np.ndarray, contact: np.ndarray, fps: float) -> np.ndarray:
    """Small smooth heights (T,) to add to a body so that its resting points meet the ground."""
    rests = contact.sum(axis=1)
    if not rests.any():
        return np.zeros(len(feet_m))
    mean = np.sum(contact * feet_m[..., 2], axis=1) / np.maximum(rests, 1)
    wanted = np.clip(-mean, -_HIGHEST_LIFT_M, _HIGHEST_LIFT_M)
    weights = np.where(rests > 0, 1.0, 1e-3)
    return whittaker(wanted[:, None], weights, np.array(_LIFT_HZ), fps)[:, 0]


def onto_ground(points_m: np.ndarray, eye_m: np.ndarray) -> np.ndarray:
    """The likeliest places on the ground (z = 0) of points (..., 3) that one camera saw.

    A point is uncertain by a tenth of a metre along its view ray and by little across it. So where
    the camera looks down, it slides along the ray; where the ray skims the ground, it drops.

    Source: conditioning of a Gaussian on one linear measurement (Kalman's update).
    """
    offset = points_m - eye_m
    ray = offset / np.linalg.norm(offset, axis=-1, keepdims=True)
    # Covariance times the upward axis: what a change of height says about the point.
    gain = (_ALONG_M**2 - _ACROSS_M**2) * ray * ray[..., 2:] + _ACROSS_M**2 * np.array(
        [0.0, 0.0, 1.0]
    )
    return np.asarray(points_m - gain / gain[..., 2:] * points_m[..., 2:])


def _add_resting(
    bands: np.ndarray,
    rhs: np.ndarray,
    ray: np.ndarray,
    feet_m: np.ndarray,
    contact: np.ndarray,
    fps: float,
) -> None:
    """Add the squares of `feet[t+1] + slide[t+1] ray[t+1] - feet[t] - slide[t] ray[t]` of resting
    points.
    """
    weight = (contact[1:] & contact[:-1]) * (fps / _CREEP_M**2)
    total = weight.sum(axis=1)
    moved = np.sum(weight[..., None] * np.diff(feet_m, axis=0), axis=1)  # (T-1, 3)
    bands[0, 1:] += total
    bands[0, :-1] += total
    bands[1, :-1] -= total * np.sum(ray[1:] * ray[:-1], axis=1)
    rhs[1:] -= np.sum(moved * ray[1:], axis=1)
    rhs[:-1] += np.sum(moved * ray[:-1], axis=1)


def _add_bending(bands: np.ndarray, fps: float) -> None:
    stiffness = (fps / (2.0 * np.pi * _WANDER_HZ)) ** 4 / _WANDER_M**2
    inner = bands.shape[1] - 2
    for offset_a, a in enumerate((1.0, -2.0, 1.0)):
        for offset_b, b in enumerate((1.0, -2.0, 1.0)[: offset_a + 1]):
            bands[offset_a - offset_b, offset_b : offset_b + inner] += a * b * stiffness
