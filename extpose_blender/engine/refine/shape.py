"""The body's shape as this stage needs it: a figure for its betas, and betas for a height."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .figure import Figure, make_figure

_FARTHEST_BETA = 5.0
"""Shapes are kept within this many standard deviations of the mean in each component."""


class ShapedBody(Protocol):
    """What this stage needs of a body model."""

    @property
    def model_type(self) -> str:
        """`surface_model_type` of the body."""

    @property
    def sha256(self) -> str:
        """Hash of the body's file."""

    @property
    def side(self) -> str:
        """`left` or `right` for a hand, empty for a body."""

    @property
    def skin_weights(self) -> np.ndarray:
        """(V, J) skinning weights."""

    def joints_rest(self, betas: np.ndarray) -> np.ndarray:
        """(J, 3) rest joints at a shape (B,), metres."""

    def vertices_rest(self, betas: np.ndarray) -> np.ndarray:
        """(V, 3) rest vertices at a shape (B,), metres."""


def figure_of(body: ShapedBody, betas: np.ndarray) -> Figure:
    """The skeleton and ground points of a body at a shape (B,)."""
    rides_on = np.argmax(body.skin_weights, axis=1)
    joints, vertices = body.joints_rest(betas), body.vertices_rest(betas)
    return make_figure(body.model_type, joints.astype(float), vertices.astype(float), rides_on)


def with_stature(body: ShapedBody, betas: np.ndarray, stature_m: float) -> np.ndarray:
    """The shape nearest to a shape (B,) whose body stands `stature_m` metres high at rest.

    Goes along the gradient of the height, so what says nothing about height stays. Stops at five
    standard deviations: a height that no such body has is come as near to as it goes.
    """
    result = betas.astype(float)
    for _ in range(4):
        vertices = body.vertices_rest(result)
        top, sole = int(np.argmax(vertices[:, 1])), int(np.argmin(vertices[:, 1]))
        missing = stature_m - float(vertices[top, 1] - vertices[sole, 1])
        slope = _stature_slope(body, result, top, sole)
        size = float(slope @ slope)
        if abs(missing) < 1e-4 or size < 1e-12:
            break
        result = np.clip(result + missing / size * slope, -_FARTHEST_BETA, _FARTHEST_BETA)
    return result.astype(betas.dtype)


def _stature_slope(body: ShapedBody, betas: np.ndarray, top: int, sole: int) -> np.ndarray:
    """(B,) change of height with each beta; exact, as vertices are linear in them."""
    start = body.vertices_rest(betas)
    slope = np.zeros(len(betas))
    for i in range(len(betas)):
        moved = betas.copy()
        moved[i] += 1.0
        change = body.vertices_rest(moved) - start
        slope[i] = change[top, 1] - change[sole, 1]
    return slope
