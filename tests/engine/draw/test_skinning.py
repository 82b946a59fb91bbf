"""The surface follows the joints exactly."""

from __future__ import annotations

import numpy as np
import pytest

from extpose_blender.engine.draw.skinning import Skinner, pose_joints
from extpose_blender.protocol.body_file import BodyGeometry
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.geometry import rotvec_to_rotmat


def skin_plainly(body: BodyGeometry, rotvec: np.ndarray, transl_m: np.ndarray) -> np.ndarray:
    """Vertex by vertex and joint by joint, with 4 by 4 matrices up the chain."""

    def world_T_joint(joint: int) -> np.ndarray:
        step = np.eye(4)
        step[:3, :3] = rotvec_to_rotmat(rotvec[joint])
        parent = body.parents[joint]
        step[:3, 3] = body.rest_joints_m[joint] - (body.rest_joints_m[parent] if joint else 0)
        return world_T_joint(parent) @ step if joint else step

    matrices = [world_T_joint(joint) for joint in range(52)]
    out = np.zeros((len(body.rest_vertices_m), 3))
    for v, rest in enumerate(body.rest_vertices_m.astype(float)):
        for joint, weight in zip(body.skin_joint[v], body.skin_weight[v], strict=True):
            local = np.append(rest - body.rest_joints_m[joint], 1.0)
            out[v] += weight * (matrices[joint] @ local)[:3]
    return out + transl_m


def test_skinning_equals_its_plain_twin(body: BodyGeometry) -> None:
    rng = np.random.default_rng(1)
    rotvec, transl = rng.normal(0, 0.8, (52, 3)), np.array([1.0, -2.0, 0.5])
    skinned = Skinner(body)(rotvec, transl)
    np.testing.assert_allclose(skinned, skin_plainly(body, rotvec, transl), atol=2e-5)


def test_rest_pose_is_the_rest_mesh(body: BodyGeometry) -> None:
    skinned = Skinner(body)(np.zeros((52, 3)), np.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(skinned, body.rest_vertices_m + np.array([0.1, 0.2, 0.3]), atol=1e-6)


def test_root_turns_about_its_rest_position(body: BodyGeometry) -> None:
    rotvec = np.zeros((3, 52, 3))
    rotvec[:, 0] = np.random.default_rng(2).normal(size=(3, 3))
    turns, places = pose_joints(body, rotvec, np.zeros((3, 3)))
    np.testing.assert_allclose(places[:, 0], np.tile(body.rest_joints_m[0], (3, 1)), atol=1e-7)
    rest = body.rest_joints_m.astype(float)
    want = np.einsum("tab,jb->tja", turns[:, 0], rest - rest[0]) + rest[0]
    np.testing.assert_allclose(places, want, atol=1e-7)


def test_wrong_number_of_joints_is_refused(body: BodyGeometry) -> None:
    with pytest.raises(BadShape, match="rotvec"):
        pose_joints(body, np.zeros((1, 24, 3)), np.zeros((1, 3)))
