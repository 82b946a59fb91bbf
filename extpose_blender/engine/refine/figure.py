"""A person's skeleton at one shape, with the points of its surface that can meet the ground.

Plain numpy: every surface point rides rigidly on one joint, which is exact for heels and toes and
close enough to find the ground under a back or a knee.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...protocol.skeletons import MODEL_SKELETONS, Skeleton

_SIDES = ("left", "right")
_SOLE_BAND_M = 0.025
"""Vertices this close above the lowest one of a foot belong to its sole."""


@dataclass(frozen=True)
class Figure:
    """Rest pose of one body at one shape, in SMPL's rest frame (Y up, facing +Z), metres."""

    skeleton: Skeleton
    """Names and parents of the joints."""
    rest_m: np.ndarray
    """(J, 3) rest joints."""
    surface_m: np.ndarray
    """(S, 3) rest points of the surface that may touch the ground."""
    surface_joint: np.ndarray
    """(S,) joint that each of them rides on."""
    foot_m: np.ndarray
    """(4, 3) rest points in the order of `FOOT_POINTS`, on the sole; (0, 3) for a body without
    feet.
    """
    foot_joint: np.ndarray
    """(4,) joint that each of them rides on; (0,) without feet."""
    stature_m: float
    """Height of the body standing at rest."""

    @property
    def has_feet(self) -> bool:
        """Whether the body has legs to stand on."""
        return len(self.foot_joint) > 0

    @property
    def pelvis_height_m(self) -> float:
        """Height of the root joint above the sole at rest."""
        return float(self.rest_m[0, 1] - self.surface_m[:, 1].min())

    def index(self, name: str) -> int:
        """Index of a joint. Raises KeyError for an unknown name."""
        return self.skeleton.index[name]


@dataclass(frozen=True)
class Posed:
    """A figure's joints through time in one frame of reference."""

    figure: Figure
    """Whose joints they are."""
    rotmat: np.ndarray
    """(T, J, 3, 3) global rotations, rest frame to the frame of reference."""
    joints_m: np.ndarray
    """(T, J, 3) positions."""

    def points(
        self, rest_m: np.ndarray, joint: np.ndarray, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Positions (T, N, 3) of rest points (N, 3) riding on joints (N,), in all or some rows."""
        chosen = slice(None) if rows is None else rows
        arm = rest_m - self.figure.rest_m[joint]
        turned = self.rotmat[chosen][:, joint] @ arm[:, :, None]
        return np.asarray(self.joints_m[chosen][:, joint] + turned[..., 0])

    def feet(self) -> np.ndarray:
        """Heels and toes (T, 4, 3) in the order of `FOOT_POINTS`."""
        return self.points(self.figure.foot_m, self.figure.foot_joint)

    def surface(self, rows: np.ndarray) -> np.ndarray:
        """Surface points (R, S, 3) in some rows (R,)."""
        return self.points(self.figure.surface_m, self.figure.surface_joint, rows)

    def joint(self, name: str) -> np.ndarray:
        """Path (T, 3) of one joint."""
        return self.joints_m[:, self.figure.index(name)]

    def moved(self, turn: np.ndarray, shift_m: np.ndarray) -> Posed:
        """The same in another frame: `turn` (3, 3) or (T, 3, 3), `shift_m` (3,) or (T, 3)."""
        every = turn[..., None, :, :] if turn.ndim == 3 else turn
        joints = np.einsum("...ij,...j->...i", every, self.joints_m)
        return Posed(self.figure, every @ self.rotmat, joints + np.atleast_2d(shift_m)[:, None, :])


def make_figure(
    model_type: str, rest_joints_m: np.ndarray, rest_vertices_m: np.ndarray, rides_on: np.ndarray
) -> Figure:
    """Pick the points of a body's surface that can meet the ground.

    Args:
        model_type: `surface_model_type` of the body.
        rest_joints_m: (J, 3) rest joints at the shape.
        rest_vertices_m: (V, 3) rest vertices at the shape.
        rides_on: (V,) joint with the largest skinning weight of each vertex.
    """
    skeleton = MODEL_SKELETONS[model_type]
    chosen = _outermost(rest_vertices_m, rides_on)
    foot, foot_joint = _foot_points(skeleton, rest_vertices_m, rides_on)
    stature = float(np.ptp(rest_vertices_m[:, 1]))
    return Figure(
        skeleton, rest_joints_m, rest_vertices_m[chosen], rides_on[chosen], foot, foot_joint,
        stature,
    )  # fmt: skip


def pose_figure(figure: Figure, rotmat: np.ndarray, transl_m: np.ndarray) -> Posed:
    """Forward kinematics.

    Args:
        figure: The body.
        rotmat: (T, J, 3, 3) local rotations; joint 0 is the global orientation.
        transl_m: (T, 3) smplx's `transl`.
    """
    parents = figure.skeleton.parents
    assert parents is not None  # every model skeleton is a tree
    turned, joints = np.zeros(rotmat.shape), np.zeros(rotmat.shape[:-1])
    turned[:, 0], joints[:, 0] = rotmat[:, 0], transl_m + figure.rest_m[0]
    for joint, parent in enumerate(parents[1:], start=1):
        bone = figure.rest_m[joint] - figure.rest_m[parent]
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ bone
        turned[:, joint] = turned[:, parent] @ rotmat[:, joint]
    return Posed(figure, turned, joints)


def _outermost(vertices_m: np.ndarray, rides_on: np.ndarray) -> np.ndarray:
    """Indices of the vertices of each joint that reach farthest, in fourteen directions."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / np.sqrt(3)
    directions = np.concatenate([np.eye(3), -np.eye(3), corners])
    chosen = []
    for joint in np.unique(rides_on):
        members = np.flatnonzero(rides_on == joint)
        chosen.append(members[np.argmax(vertices_m[members] @ directions.T, axis=0)])
    return np.unique(np.concatenate(chosen))


def _foot_points(
    skeleton: Skeleton, vertices_m: np.ndarray, rides_on: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Heel and toe of each foot, at the height of its sole, and the joints they ride on."""
    if "left_foot" not in skeleton.index:
        return np.zeros((0, 3)), np.zeros(0, dtype=int)
    points, joints = [], []
    for side in _SIDES:
        ankle, foot = skeleton.indices(f"{side}_ankle", f"{side}_foot")
        sole = vertices_m[np.isin(rides_on, (ankle, foot))]
        if not len(sole):  # a mesh without this foot has no place to stand on
            return np.zeros((0, 3)), np.zeros(0, dtype=int)
        ground = sole[:, 1].min()
        sole = sole[sole[:, 1] < ground + _SOLE_BAND_M]
        rear, front = sole[:, 2].min(), sole[:, 2].max()
        for end, joint in ((rear, ankle), (front, foot)):
            near = sole[np.abs(sole[:, 2] - end) <= 0.12 * (front - rear)]
            points.append([near[:, 0].mean(), ground, near[:, 2].mean()])
            joints.append(joint)
    return np.array(points), np.array(joints)
