"""Poses the surface of a body: linear blend skinning of a `BodyGeometry`, in numpy.

Source: smplx:smplx/lbs.py, without pose blend shapes, which a body-geometry file does not hold.
"""

from __future__ import annotations

import numpy as np

from ...protocol.arrays import check_shape
from ...protocol.body_file import BodyGeometry
from ...protocol.geometry import rotvec_to_rotmat


def pose_joints(
    body: BodyGeometry, rotvec: np.ndarray, transl_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Joints of a posed body.

    Args:
        body: The body at rest.
        rotvec: (T, J, 3) rotation vectors, each relative to the parent joint.
        transl_m: (T, 3) smplx's `transl`, added after the root has turned about its rest position.

    Returns:
        Orientations (T, J, 3, 3) and positions (T, J, 3), metres, in the frame that the root's
        rotation leads to.

    Raises:
        BadShape: The arrays do not fit the body.
    """
    axes = {"J": len(body.joint_names)}
    check_shape("rotvec", rotvec, ("T", "J", 3), axes)
    check_shape("transl_m", transl_m, ("T", 3), axes)
    local = rotvec_to_rotmat(rotvec.astype(np.float64))
    rest = body.rest_joints_m.astype(np.float64)
    turns = np.zeros_like(local)
    places = np.zeros(local.shape[:3])
    turns[:, 0], places[:, 0] = local[:, 0], rest[0] + transl_m
    for joint in range(1, len(rest)):
        parent = body.parents[joint]
        turns[:, joint] = turns[:, parent] @ local[:, joint]
        places[:, joint] = places[:, parent] + turns[:, parent] @ (rest[joint] - rest[parent])
    return turns, places


class Skinner:
    """Poses one body's surface again and again.

    Args:
        body: The body at rest.
    """

    def __init__(self, body: BodyGeometry) -> None:
        self._body = body
        self._weights = body.dense_weights()
        rest = body.rest_vertices_m
        self._rest = np.concatenate([rest, np.ones_like(rest[:, :1])], axis=1)  # (V, 4)

    def __call__(self, rotvec: np.ndarray, transl_m: np.ndarray) -> np.ndarray:
        """The surface in one pose.

        Args:
            rotvec: (J, 3) rotation vectors.
            transl_m: (3,) smplx's `transl`, metres.

        Returns:
            (V, 3) float32 vertices in the frame that the root's rotation leads to, metres.
        """
        turns, places = pose_joints(self._body, rotvec[None], transl_m[None])
        shift = places[0] - np.einsum("jab,jb->ja", turns[0], self._body.rest_joints_m)
        moves = np.concatenate([turns[0], shift[..., None]], axis=-1).astype(np.float32)
        blended = (self._weights @ moves.reshape(len(moves), 12)).reshape(-1, 3, 4)
        return np.asarray(np.einsum("vab,vb->va", blended, self._rest))
