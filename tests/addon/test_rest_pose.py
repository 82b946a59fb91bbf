"""Bones at rest: along their limbs, rolled so that one axis bends, left and right mirrored."""

from __future__ import annotations

import numpy as np
import pytest

from extpose_blender.addon.rest_pose import rest_pose, to_z_up
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.skeletons import MANO_16
from tests.addon.made_motion import make_body

MODELS = ("smpl", "smplh", "smplx", "mano")
MIRROR = np.array([-1.0, 1.0, 1.0])


def axes_of(rest, name):
    joint = rest.names.index(name)
    along = rest.tails_m[joint] - rest.heads_m[joint]
    along = along / np.linalg.norm(along)
    return np.cross(along, rest.z_axes[joint]), along, rest.z_axes[joint]


@pytest.mark.parametrize("model", MODELS[:3])
def test_body_stands_on_the_ground_under_its_pelvis(model):
    body = make_body(model, shift_m=(0.3, -0.7, 0.2))
    rest = rest_pose(body)
    assert np.allclose(rest.heads_m[0, :2], 0, atol=1e-6)
    assert np.isclose((to_z_up(body.rest_vertices_m) + rest.offset_m)[:, 2].min(), 0, atol=1e-6)
    up = rest.heads_m[rest.names.index("head")] - rest.heads_m[0]
    left = rest.heads_m[rest.names.index("left_hip")] - rest.heads_m[0]
    assert up[2] > 0.4 and left[0] > 0.03


@pytest.mark.parametrize("model", MODELS)
def test_bones_have_length_and_square_axes(model):
    rest = rest_pose(make_body(model) if model != "mano" else _hand())
    span = rest.tails_m - rest.heads_m
    assert np.linalg.norm(span, axis=1).min() >= 0.005 - 1e-9
    assert np.abs(np.einsum("ja,ja->j", span, rest.z_axes)).max() < 1e-9
    assert np.allclose(np.linalg.norm(rest.z_axes, axis=1), 1)


@pytest.mark.parametrize("model", MODELS[:3])
def test_left_and_right_are_mirror_images(model):
    rest = rest_pose(make_body(model))
    for name in rest.names:
        if not name.startswith("left_"):
            continue
        _, left, left_z = axes_of(rest, name)
        _, right, right_z = axes_of(rest, name.replace("left_", "right_"))
        assert np.allclose(left * MIRROR, right, atol=1e-6), name
        assert np.allclose(left_z * MIRROR, right_z, atol=1e-6), name


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("joint", "towards"),
    [
        ("elbow", (0, -1, 0)),  # the forearm comes forward
        ("knee", (0, 1, 0)),  # the shin goes back
        ("index2", (0, 0, -1)),  # the finger closes towards the palm, which faces down
    ],
)
def test_a_positive_turn_about_x_bends_the_joint(side, joint, towards):
    x, along, _ = axes_of(rest_pose(make_body()), f"{side}_{joint}")
    bent = rotvec_to_rotmat(x * 0.5) @ along
    assert (bent - along) @ np.array(towards) > 0.4


def test_bones_point_to_what_continues_them():
    rest = rest_pose(make_body())
    for name, follower in [("pelvis", "spine1"), ("left_hip", "left_knee"), ("neck", "head"),
                           ("spine3", "neck"), ("right_wrist", "right_middle1")]:  # fmt: skip
        tail = rest.tails_m[rest.names.index(name)]
        assert np.allclose(tail, rest.heads_m[rest.names.index(follower)])
        assert rest.connected[rest.names.index(follower)]
    assert not rest.connected[rest.names.index("left_hip")]


def test_joints_at_one_place_still_give_bones():
    body = make_body()
    joints = body.rest_joints_m.copy()
    joints[body.joint_names.index("spine2")] = joints[body.joint_names.index("spine1")]
    rest = rest_pose(type(body)(**{**vars(body), "rest_joints_m": joints}))
    assert np.linalg.norm(rest.tails_m - rest.heads_m, axis=1).min() >= 0.005 - 1e-9
    assert np.isfinite(rest.z_axes).all()


def _hand():
    whole = make_body("smplh")
    fingers = [n for n in whole.joint_names if n.startswith("left_") and n[-1].isdigit()]
    keep = [whole.joint_names.index(name) for name in ("left_wrist", *fingers)]
    return type(whole)(
        "hand",
        "mano",
        whole.rest_vertices_m,
        whole.faces,
        np.zeros((len(whole.rest_vertices_m), 1), np.int16),
        np.ones((len(whole.rest_vertices_m), 1), np.float32),
        whole.rest_joints_m[keep],
        MANO_16.joint_names,
        np.array(MANO_16.parents, np.int32),
    )
