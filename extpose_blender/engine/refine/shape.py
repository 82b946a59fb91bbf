"""The body's shape as this stage needs it: a figure for its betas, and betas for a height."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .figure import Figure, make_figure

_FARTHEST_BETA = 5.0
"""Shapes are kept within this many standard deviations of the mean in each component."""


_HOLD_BACK = 1e-3
"""Against using components that hardly change the skeleton, as a share of the strongest one's pull."""


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
    """The shape (B,) of the same build whose body stands `stature_m` metres high at rest.

    Goes in the direction in which the skeleton grows most nearly alike in all its parts, so a person who
    is made larger and put farther away keeps their place in the picture. Stops at five standard
    deviations: a height that no such body has is come as near to as it goes.
    """
    result = betas.astype(float)
    for _ in range(4):
        vertices = body.vertices_rest(result)
        top, sole = int(np.argmax(vertices[:, 1])), int(np.argmin(vertices[:, 1]))
        growth = _even_growth(body, result)
        taller = body.vertices_rest(result + growth) - vertices
        gained = float(taller[top, 1] - taller[sole, 1])
        missing = stature_m - float(vertices[top, 1] - vertices[sole, 1])
        if abs(missing) < 1e-4 or gained < 1e-6:
            break
        result = np.clip(result + missing / gained * growth, -_FARTHEST_BETA, _FARTHEST_BETA)
    return result.astype(betas.dtype)


def _even_growth(body: ShapedBody, betas: np.ndarray) -> np.ndarray:
    """(B,) change of shape that comes nearest to a skeleton larger by the same share everywhere.

    Joints are linear in the shape, so this is a least-squares problem.
    """
    joints = body.joints_rest(betas).astype(float)
    changes = [
        (body.joints_rest(betas + step).astype(float) - joints) for step in np.eye(len(betas))
    ]
    columns = np.stack([(change - change[0]).reshape(-1) for change in changes], axis=1)
    wanted = (joints - joints[0]).reshape(-1)
    size = float(np.square(columns).sum(axis=0).max())
    square = columns.T @ columns + _HOLD_BACK * size * np.eye(len(betas))
    return np.asarray(np.linalg.solve(square, columns.T @ wanted))
