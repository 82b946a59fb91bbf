"""People whose motion is known, seen by a perfect or a poor detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from extpose_blender.engine.body.landmarks import landmark_map
from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.lift.fit.chain import Chain, Pose, pose_names
from extpose_blender.engine.lift.fit.rotation import rotvec_to_rotmat, shortest_turn
from extpose_blender.protocol.flow import Intrinsics, LiftedTrack, Track
from extpose_blender.protocol.skeletons import DETECTOR_SKELETONS, LIMB_JOINTS, SMPL_24

LIMBS = SMPL_24.indices(*LIMB_JOINTS)
CAMERA = Intrinsics(1000.0, 1280, 720, "given")

_RELAXED = {
    "left_shoulder:2": -1.1, "right_shoulder:2": 1.1, "left_elbow:1": -0.5, "right_elbow:1": 0.5,
    "left_knee:0": 0.4, "right_knee:0": 0.4, "left_hip:0": -0.25, "right_hip:0": -0.25,
}  # fmt: skip
_SWING = {
    "left_hip:0": 0.4, "right_hip:0": -0.4, "left_knee:0": 0.35, "right_knee:0": -0.35,
    "left_shoulder:0": -0.3, "right_shoulder:0": 0.3, "left_shoulder:2": 0.5, "right_elbow:1": 0.4,
    "spine:1": 0.2, "head:1": 0.3, "spine:0": 0.15,
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A known motion, and what a detector would say about it."""

    track: Track
    joints_m: np.ndarray
    """(T, 22, 3) in the camera."""
    pose: Pose
    betas: np.ndarray


def open_chain(betas: np.ndarray, skeleton: str = "mediapipe33") -> Chain:
    """The open body's chain at a shape, in double precision."""
    rest = load_body("open").joints_rest(betas.astype(np.float32))[:22].astype(float)
    marks = landmark_map(skeleton)
    return Chain(
        torch.tensor(rest), torch.tensor(marks.joints), torch.tensor(marks.offsets_m(rest))
    )


def walking_person(
    rows: int = 60,
    fps: float = 30.0,
    turn_deg: float = 20.0,
    turn_rate_deg_s: float = 15.0,
    betas: np.ndarray | None = None,
    pixel_noise: float = 0.0,
    skeleton: str = "mediapipe33",
    hints: bool = True,
    distance_m: float = 4.5,
) -> Person:
    """Someone who swings arms and legs and slowly turns.

    Args:
        rows: Length.
        fps: Rows per second.
        turn_deg: 0 faces the camera, 180 shows the back.
        turn_rate_deg_s: How fast that changes.
        betas: (10,) shape.
        pixel_noise: Standard deviation of the keypoints' error, pixels.
        skeleton: The detector's points.
        hints: Whether the detector gives 3D hints.
        distance_m: From the camera.
    """
    betas = np.zeros(10) if betas is None else betas
    chain = open_chain(betas, skeleton)
    time = torch.arange(rows, dtype=torch.float64) / fps
    names = pose_names()
    q = torch.zeros(rows, len(names), dtype=torch.float64)
    for name, angle in _RELAXED.items():
        q[:, names.index(name)] = angle
    for name, size in _SWING.items():
        q[:, names.index(name)] += size * torch.sin(2 * np.pi * 0.8 * time)
    angle = torch.deg2rad(turn_deg + turn_rate_deg_s * time)
    upright = torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]], dtype=torch.float64)
    yaw = torch.stack([torch.zeros_like(angle), angle, torch.zeros_like(angle)], -1)
    pelvis = torch.stack([-0.3 + 0.3 * time, 0.1 + 0 * time, distance_m - 0.2 * time], -1)
    pose = Pose(rotvec_to_rotmat(yaw) @ upright, pelvis, q)
    posed = chain.pose(pose)
    track = see(posed.points.numpy(), fps, skeleton, pixel_noise, hints)
    return Person(track, posed.joints.numpy(), pose, betas)


def see(points_m: np.ndarray, fps: float, skeleton: str, pixel_noise: float, hints: bool) -> Track:
    """What a detector says about points (T, K, 3) in the camera."""
    generator = np.random.default_rng(1)
    rows, names = len(points_m), DETECTOR_SKELETONS[skeleton]
    xy = points_m[..., :2] / points_m[..., 2:] * CAMERA.focal_px + [
        CAMERA.width / 2,
        CAMERA.height / 2,
    ]
    xy = xy + pixel_noise * generator.normal(size=xy.shape)
    score = np.full((*xy.shape[:2], 1), 0.95)
    middle = points_m[:, names.indices("left_hip", "right_hip")].mean(1, keepdims=True)
    ray = middle[:, 0] / np.linalg.norm(middle[:, 0], axis=-1, keepdims=True)
    sight = shortest_turn(torch.tensor([0.0, 0, 1], dtype=torch.float64), torch.tensor(ray)).numpy()
    local = (points_m - middle) @ sight
    local = local + generator.normal(size=local.shape) * 0.003 * pixel_noise
    return Track(
        0,
        skeleton,
        fps,
        np.concatenate([xy, score], -1).astype(np.float32),
        np.concatenate([local, score * hints], -1).astype(np.float32),
        np.zeros((rows, 2, 21, 3), np.float32),
        np.ones(rows, bool),
        np.zeros(rows, np.int32),
        1.0,
    )


def joints_of(lifted: LiftedTrack) -> np.ndarray:
    """(T, 22, 3) joints of a result of the open body, in the camera."""
    body = load_body("open")
    betas = torch.tensor(lifted.betas)[None]
    posed = body.pose_joints(betas, torch.tensor(lifted.rotvec), torch.tensor(lifted.transl_m))
    return posed[:, :22].numpy().astype(float)


def aligned_error_mm(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of the limb joints (T, 22, 3) after a similarity per frame, millimetres."""
    a, b = found[:, LIMBS], truth[:, LIMBS]
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    u, s, vt = np.linalg.svd(np.einsum("tki,tkj->tij", a, b))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    turn = (u * sign[:, None]) @ vt
    scale = (s * sign).sum(-1) / (a**2).sum((1, 2))
    return float(1e3 * np.linalg.norm(scale[:, None, None] * (a @ turn) - b, axis=-1).mean())


def reprojection_px(lifted: LiftedTrack, track: Track, rows: np.ndarray | None = None) -> float:
    """Mean distance of the limb landmarks from the track's, pixels."""
    chain = open_chain(lifted.betas.astype(float), track.skeleton)
    q = torch.tensor(lifted.rotvec[:, 1:22].reshape(len(lifted), -1), dtype=torch.float64)
    root = rotvec_to_rotmat(torch.tensor(lifted.rotvec[:, 0], dtype=torch.float64))
    pelvis = torch.tensor(lifted.transl_m, dtype=torch.float64) + chain.rest_joints[0]
    pose = Pose(root, pelvis, q @ torch.linalg.pinv(chain.map).T)
    points = chain.pose(pose).points.numpy()
    camera = lifted.intrinsics
    xy = points[..., :2] / points[..., 2:] * camera.focal_px + [camera.width / 2, camera.height / 2]
    limbs = track.points.indices(*LIMB_JOINTS)
    error = np.linalg.norm(xy - track.keypoints_2d[..., :2], axis=-1)[:, limbs]
    return float(error.mean() if rows is None else error[rows].mean())
