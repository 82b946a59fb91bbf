"""Motions made up for tests of what is written and drawn."""

from __future__ import annotations

import numpy as np

from extpose_blender.engine.draw.skinning import pose_joints
from extpose_blender.protocol.body_file import BodyGeometry
from extpose_blender.protocol.geometry import (
    Z_UP_R_Y_UP,
    project_points,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
)
from extpose_blender.protocol.motion import Motion
from extpose_blender.protocol.skeletons import COCO_17


def make_motion(
    body: BodyGeometry, rows: int, x_m: float = 0.0, size: tuple[int, int] = (320, 240)
) -> Motion:
    """A body that turns and bends in wild ways, four metres before a level camera."""
    rng = np.random.default_rng(7)
    joints = len(body.joint_names)
    rotvec = rng.normal(0, 0.8, (joints, 3)) + np.cumsum(rng.normal(0, 0.1, (rows, joints, 3)), 0)
    spin = np.stack([np.zeros(rows), 0.2 * np.arange(rows), 0.13 * np.arange(rows)], axis=1)
    rotvec[:, 0] = rotmat_to_rotvec(Z_UP_R_Y_UP @ rotvec_to_rotmat(spin))
    poses = rotvec.reshape(rows, -1).astype(np.float32)
    trans = (np.cumsum(rng.normal(0, 0.02, (rows, 3)), 0) + np.array([x_m, 0, 1])).astype(
        np.float32
    )
    _, places = pose_joints(body, poses.reshape(rows, -1, 3), trans)
    camera = np.eye(4)
    camera[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    camera[:3, 3] = -camera[:3, :3] @ [0, -4, 1]
    cameras = np.tile(camera, (rows, 1, 1)).astype(np.float32)
    K = np.array([[size[0], 0, size[0] / 2], [0, size[0], size[1] / 2], [0, 0, 1]], np.float32)
    xy = project_points(places, cameras, K)[:, : len(COCO_17)]
    return Motion(
        poses=poses,
        trans=trans,
        betas=np.zeros(10, np.float32),
        surface_model_type=body.surface_model_type,
        body_id=body.body_id,
        body_sha256="",
        mocap_framerate=30.0,
        frame_index=np.arange(rows),
        time_s=np.arange(rows) / 30.0,
        joints=places.astype(np.float32),
        joint_names=body.joint_names,
        keypoints_2d=np.concatenate([xy, np.ones_like(xy[..., :1])], -1).astype(np.float32),
        keypoint_names=COCO_17.joint_names,
        confidence=np.ones(rows, np.float32),
        camera_T_world=cameras,
        camera_K=K,
        foot_contact=np.zeros((rows, 4), bool),
    )
