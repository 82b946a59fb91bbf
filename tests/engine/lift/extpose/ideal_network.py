"""A network that makes no mistake: what it would say about a person whose motion is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import least_squares

from extpose_blender.engine.body.landmarks import landmark_map
from extpose_blender.engine.lift.base import RestBody
from extpose_blender.engine.lift.extpose.blend import RowPredictions
from extpose_blender.engine.lift.fit.chain import Chain, Posed
from extpose_blender.protocol.flow import Intrinsics, LiftedTrack, Track
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.skeletons import LIMB_JOINTS, SMPL_24

LIMBS = SMPL_24.indices(*LIMB_JOINTS)
MIDDLE = np.zeros(10, np.float32)


@dataclass(frozen=True)
class Scene:
    """A person before a camera, and what a perfect network says about it."""

    track: Track
    predictions: RowPredictions
    rotmat: np.ndarray
    """(T, 24, 3, 3) the truth: joint 0 in the picture's camera."""
    joints_m: np.ndarray
    """(T, 22, 3) in the camera."""
    joints_px: np.ndarray
    """(T, 22, 2) in the picture."""
    height_px: float
    """How tall the person stands in the picture."""


def turn_to(ray: np.ndarray) -> np.ndarray:
    """(T, 3, 3) the shortest turn of the optical axis to rays (T, 3), by Rodrigues' formula."""
    ray = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
    axis = np.cross([0.0, 0.0, 1.0], ray)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, ray[:, 2:])
    return rotvec_to_rotmat(axis / np.maximum(sine, 1e-12) * angle)


def moving(rows: int, turn_deg: float = 30.0) -> np.ndarray:
    """(T, 24, 3, 3) somebody upright who swings arms and legs; joint 0 in the camera."""
    time = np.arange(rows) / 30.0
    rotvec = np.zeros((rows, 24, 3))
    swing = np.sin(2 * np.pi * 0.9 * time)
    for name, axis, rest, size in (
        ("left_shoulder", 2, -1.0, 0.4), ("right_shoulder", 2, 1.0, 0.4),
        ("left_elbow", 1, -0.5, 0.4), ("right_elbow", 1, 0.6, 0.3), ("left_hip", 0, -0.3, 0.4),
        ("right_hip", 0, -0.2, -0.4), ("left_knee", 0, 0.5, 0.3), ("right_knee", 0, 0.4, -0.3),
        ("spine2", 1, 0.1, 0.2), ("neck", 0, 0.1, 0.1), ("left_wrist", 2, 0.2, 0.1),
    ):  # fmt: skip
        rotvec[:, SMPL_24.index[name], axis] = rest + size * swing
    rotmat = rotvec_to_rotmat(rotvec)
    yaw = np.zeros((rows, 3))
    yaw[:, 1] = np.radians(turn_deg) + 0.5 * time
    rotmat[:, 0] = rotvec_to_rotmat(yaw) @ np.diag([1.0, -1.0, -1.0])
    return rotmat


def scene(
    body: RestBody,
    intrinsics: Intrinsics,
    pelvis_m: tuple[float, float, float],
    rows: int = 6,
    betas: np.ndarray = MIDDLE,
    rotmat: np.ndarray | None = None,
    turned: bool = True,
    skeleton: str = "mediapipe33",
    crop_up: float = 0.0,
) -> Scene:
    """Put a person into a picture.

    Args:
        body: The network's own body.
        intrinsics: The camera.
        pelvis_m: Where the pelvis is in the first row, camera, metres; it moves a little.
        rows: Length.
        betas: (10,) shape.
        rotmat: (T, 24, 3, 3) the motion; `moving` when left out.
        turned: The network answers for a camera that looks straight at the crop's middle.
        skeleton: The detector's points.
        crop_up: How far above the person's middle the crop lies, shares of its side: the network
            answers by what it sees.
    """
    rotmat = moving(rows) if rotmat is None else rotmat
    rest = np.asarray(body.joints_rest(betas), float)[:22]
    marks = landmark_map(skeleton)
    chain = Chain(
        torch.tensor(rest), torch.tensor(marks.joints), torch.tensor(marks.offsets_m(rest))
    )
    drift = np.arange(len(rotmat))[:, None] * np.array([0.01, 0.0, -0.01])
    pelvis = np.array(pelvis_m) + drift
    posed = place(chain, rotmat, pelvis)
    joints, points = posed.joints.numpy(), posed.points.numpy()
    picture = np.array([intrinsics.width, intrinsics.height]) / 2
    joints_px = joints[..., :2] / joints[..., 2:] * intrinsics.focal_px + picture
    points_px = points[..., :2] / points[..., 2:] * intrinsics.focal_px + picture
    low, high = points_px.min(1), points_px.max(1)
    side = 1.2 * (high - low).max(-1)
    center = (low + high) / 2 - np.array([0.0, crop_up]) * side[:, None]

    seen = rotmat.copy()
    ray = np.concatenate([center - picture, np.full((len(center), 1), intrinsics.focal_px)], -1)
    if turned:
        seen[:, 0] = np.swapaxes(turn_to(ray), -1, -2) @ rotmat[:, 0]
    in_crop = place(chain, seen, np.tile(rest[0], (len(seen), 1))).joints.numpy()
    cameras = np.stack(
        [
            best_camera(*row)
            for row in zip(
                in_crop, (joints_px - center[:, None]) / side[:, None, None], strict=True
            )
        ]
    )
    predictions = RowPredictions(
        seen.astype(np.float32), cameras, np.asarray(betas, np.float32), center, side,
        np.ones(len(seen), bool),
    )  # fmt: skip
    height = float(np.ptp(body.vertices_rest(betas)[:, 1]))
    return Scene(
        detected(points_px, skeleton), predictions, rotmat, joints, joints_px,
        intrinsics.focal_px * height / float(pelvis[:, 2].mean()),
    )  # fmt: skip


def best_camera(joints_m: np.ndarray, units: np.ndarray) -> np.ndarray:
    """(3,) s, tx, ty that lay joints (22, 3) best over where they are seen (22, 2), crop units."""
    inside = (np.abs(units) < [0.375, 0.5]).all(-1)

    def misses(camera: np.ndarray) -> np.ndarray:
        place = np.array([camera[1], camera[2], 2 * 5000 / (256 * camera[0])])
        moved = joints_m + place
        miss = moved[:, :2] / moved[:, 2:] * 5000 / 256 - units
        return np.asarray((miss * inside[:, None]).ravel())

    start = np.array([np.ptp(units[:, 1]) / np.ptp(joints_m[:, 1]) * 2, 0.0, 0.0])
    return np.asarray(least_squares(misses, start, xtol=1e-14, ftol=1e-14, gtol=1e-14).x)


def place(chain: Chain, rotmat: np.ndarray, pelvis_m: np.ndarray) -> Posed:
    """Put a chain's pelvis at (T, 3) and turn its joints by (T, J, 3, 3)."""
    turns = torch.tensor(rotmat)
    return chain.place(turns[:, 0], torch.tensor(pelvis_m), turns[:, 1:22])


def detected(points_px: np.ndarray, skeleton: str) -> Track:
    """What a perfect detector says."""
    rows, count = points_px.shape[:2]
    score = np.full((rows, count, 1), 0.95)
    return Track(
        person_id=0,
        skeleton=skeleton,
        fps=30.0,
        keypoints_2d=np.concatenate([points_px, score], -1).astype(np.float32),
        hints_3d_m=np.zeros((rows, count, 4), np.float32),
        hands_2d=np.zeros((rows, 2, 21, 3), np.float32),
        seen=np.ones(rows, bool),
        entries=np.zeros(rows, np.int64),
        prominence=1.0,
    )


def joints_of(lifted: LiftedTrack, body: RestBody) -> np.ndarray:
    """(T, 22, 3) joints of a result, camera, metres."""
    rest = np.asarray(body.joints_rest(lifted.betas), float)[:22]
    chain = Chain(
        torch.tensor(rest), torch.zeros(0, dtype=torch.long), torch.zeros(0, 3, dtype=torch.float64)
    )
    rotmat = rotvec_to_rotmat(lifted.rotvec.astype(float))
    return np.asarray(place(chain, rotmat, lifted.transl_m + rest[0]).joints.numpy())


def joints_px(joints_m: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """(T, 22, 2) in the picture."""
    middle = np.array([intrinsics.width, intrinsics.height]) / 2
    return np.asarray(joints_m[..., :2] / joints_m[..., 2:] * intrinsics.focal_px + middle)
