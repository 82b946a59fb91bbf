"""Values of bone channels: posed like Blender poses them, they give the motion's joints."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from extpose_blender.addon.pose_channels import pose_channels
from extpose_blender.addon.rest_pose import rest_pose
from extpose_blender.protocol.errors import BadMotionFile
from extpose_blender.protocol.geometry import quat_to_rotmat
from tests.addon.made_motion import make_body, make_motion


def rest_matrices(rest):
    y = rest.tails_m - rest.heads_m
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    axes = np.tile(np.eye(4), (len(y), 1, 1))
    axes[:, :3, :3] = np.stack([np.cross(y, rest.z_axes), y, rest.z_axes], axis=-1)
    axes[:, :3, 3] = rest.heads_m
    return axes


def pose_like_blender(channels, axes, rest):
    """Blender's rule: pose = parent's pose · parent's rest⁻¹ · rest · basis."""
    count = len(channels.root_location_m)
    pose = np.zeros((count, len(rest.names), 4, 4))
    for joint, name in enumerate(rest.names):
        basis = np.tile(np.eye(4), (count, 1, 1))
        if name in channels.bones:
            bone = channels.bones.index(name)
            basis[:, :3, :3] = quat_to_rotmat(channels.quats_wxyz[:, bone].astype(float))
        if joint == 0:
            basis[:, :3, 3] = channels.root_location_m
            pose[:, 0] = axes[0] @ basis
        else:
            parent = rest.parents[joint]
            pose[:, joint] = pose[:, parent] @ np.linalg.inv(axes[parent]) @ axes[joint] @ basis
    return pose[..., :3, 3]


@pytest.mark.parametrize("body_model", ["smplh", "smplx", "smpl"])
@pytest.mark.parametrize("motion_model", ["smpl", "smplh"])
def test_channels_give_the_motions_joints(body_model, motion_model):
    body = make_body(body_model)
    rest = rest_pose(body)
    axes = rest_matrices(rest)
    motion = make_motion(body, 30, model=motion_model)
    channels = pose_channels(motion, body, axes)
    assert np.abs(pose_like_blender(channels, axes, rest) - motion.joints).max() < 1e-5


def test_quaternions_never_jump():
    body = make_body()
    motion = make_motion(body, 200, wild=1.0)
    quats = pose_channels(motion, body, rest_matrices(rest_pose(body))).quats_wxyz
    assert np.einsum("tbc,tbc->tb", quats[1:], quats[:-1]).min() > 0.5
    assert np.allclose(np.linalg.norm(quats, axis=-1), 1, atol=1e-6)


def test_joints_that_the_motion_lacks_are_not_keyed():
    body = make_body("smplh")
    channels = pose_channels(
        make_motion(body, 3, model="smpl"), body, rest_matrices(rest_pose(body))
    )
    assert channels.bones == body.joint_names[:22]


def test_motion_of_another_body_is_refused():
    body = make_body()
    other = dataclasses.replace(make_motion(body, 2), body_id="another")
    with pytest.raises(BadMotionFile, match="another"):
        pose_channels(other, body, rest_matrices(rest_pose(body)))
