"""The motion file's contents from what the stages found."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...protocol.flow import LiftedTrack, Track
from ...protocol.motion import Motion
from ...protocol.skeletons import with_hands
from .figure import Posed
from .shape import ShapedBody


def assemble_motion(
    lifted: LiftedTrack,
    track: Track,
    body: ShapedBody,
    posed: Posed,
    rotvec: np.ndarray,
    transl_m: np.ndarray,
    betas: np.ndarray,
    foot_contact: np.ndarray,
    camera_T_world: np.ndarray,
    frame_index: np.ndarray,
    time_s: np.ndarray,
    meta: dict[str, Any],
) -> Motion:
    """Put one person's motion together.

    Args:
        lifted: Whose motion it is: model, camera, confidence, notes.
        track: The same person's keypoints; hands come after the body where any was found.
        body: The body that `betas` are of.
        posed: Joints in the world.
        rotvec: (T, J, 3) local rotations, joint 0 in the world.
        transl_m: (T, 3) smplx's `transl` in the world.
        betas: (B,) shape.
        foot_contact: (T, 4).
        camera_T_world: (T, 4, 4).
        frame_index: (T,) source picture of each row.
        time_s: (T,) its presentation time, seconds.
        meta: Goes into the file, with the person's number, the camera's source and the lifter's
            notes.
    """
    about = {
        "person": lifted.person_id,
        "camera": lifted.intrinsics.source,
        "stature_m": round(posed.figure.stature_m, 4),
        "notes": list(lifted.notes),
    }
    points, keypoints = track.points, track.keypoints_2d
    if (track.hands_2d[..., 2] > 0).any():
        points = with_hands(points)
        keypoints = np.concatenate([keypoints, track.hands_2d.reshape(len(track), -1, 3)], axis=1)
    return Motion(
        poses=rotvec.reshape(len(rotvec), -1).astype(np.float32),
        trans=transl_m.astype(np.float32),
        betas=betas.astype(np.float32),
        surface_model_type=lifted.model_type,
        body_id=lifted.body_id,
        body_sha256=body.sha256,
        mocap_framerate=float(lifted.fps),
        frame_index=frame_index.astype(np.int64),
        time_s=time_s.astype(np.float64),
        joints=posed.joints_m.astype(np.float32),
        joint_names=posed.figure.skeleton.joint_names,
        keypoints_2d=keypoints.astype(np.float32),
        keypoint_names=points.joint_names,
        confidence=lifted.confidence.astype(np.float32),
        camera_T_world=camera_T_world.astype(np.float32),
        camera_K=lifted.intrinsics.K.astype(np.float32),
        foot_contact=foot_contact,
        side=body.side,
        meta={**meta, **about},
    )
