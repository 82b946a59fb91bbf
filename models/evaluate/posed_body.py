"""The open body in motion: vertices and joints, by plain linear blend skinning in numpy.

Kept apart from `engine/body` on purpose: the truth of the rendered set must not share an error
with what is measured against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from extpose_blender.protocol.geometry import rotvec_to_rotmat


@dataclass(frozen=True)
class BodyModel:
    """Arrays of a body file in SMPL-H layout."""

    template_m: np.ndarray
    """(V, 3) rest vertices at the mean shape."""
    shape_dirs: np.ndarray
    """(V, 3, B) change per shape component."""
    joint_regressor: np.ndarray
    """(J, V)."""
    weights: np.ndarray
    """(V, J) skinning weights."""
    parents: np.ndarray
    """(J,) parent of each joint, -1 for the root."""
    faces: np.ndarray
    """(F, 3) triangles."""
    landmarks: dict[str, int]
    """Named vertices."""

    def shaped(self, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rest vertices (V, 3) and joints (J, 3) at a shape, metres."""
        vertices = self.template_m + self.shape_dirs[..., : len(betas)] @ betas
        return vertices, self.joint_regressor @ vertices


def read_body_model(path: Path) -> BodyModel:
    """Read the open body. Its pose-dependent shape is zero and is left out."""
    with np.load(path, allow_pickle=False) as data:
        parents = data["kintree_table"][0].astype(np.int64)
        parents[0] = -1
        names = [str(name) for name in data["vertex_names"]]
        return BodyModel(
            template_m=data["v_template"].astype(np.float64),
            shape_dirs=data["shapedirs"].astype(np.float64),
            joint_regressor=data["J_regressor"].astype(np.float64),
            weights=data["weights"].astype(np.float64),
            parents=parents,
            faces=data["f"].astype(np.int32),
            landmarks=dict(zip(names, data["vertex_ids"].tolist(), strict=True)),
        )


def pose_joints(
    rest_joints: np.ndarray, parents: np.ndarray, rotvec: np.ndarray, transl: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Forward kinematics as smplx does it.

    Args:
        rest_joints: (J, 3) joints at rest, metres.
        parents: (J,) parents, -1 for the root.
        rotvec: (T, J, 3) local rotation vectors.
        transl: (T, 3) translation after the root has turned about its own rest place.

    Returns:
        Global rotations (T, J, 3, 3) and joints (T, J, 3).
    """
    turned = rotvec_to_rotmat(rotvec.astype(np.float64))
    joints = np.zeros((len(rotvec), len(parents), 3))
    joints[:, 0] = rest_joints[0] + transl
    for joint in range(1, len(parents)):
        parent = parents[joint]
        turned[:, joint] = turned[:, parent] @ turned[:, joint]
        offset = rest_joints[joint] - rest_joints[parent]
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ offset
    return turned, joints


def skin(
    rest_vertices: np.ndarray,
    rest_joints: np.ndarray,
    weights: np.ndarray,
    turned: np.ndarray,
    joints: np.ndarray,
) -> np.ndarray:
    """(T, V, 3) float32 vertices of a posed body."""
    moved = np.zeros((len(turned), len(rest_vertices), 3), np.float32)
    for frame, (rotations, places) in enumerate(zip(turned, joints, strict=True)):
        shifts = places - np.einsum("jab,jb->ja", rotations, rest_joints)
        blended = (weights @ rotations.reshape(len(rotations), 9)).reshape(-1, 3, 3)
        moved[frame] = np.einsum("vab,vb->va", blended, rest_vertices) + weights @ shifts
    return moved
