"""One rendered take: a dressed body moves through a room before its cameras. Numpy only."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from extpose_blender.protocol.files import write_npz
from extpose_blender.protocol.skeletons import SMPLH_52
from models.mocap.retarget import retarget
from models.mocap.sequence import Sequence

from .cameras import Camera, place_cameras
from .dressing import dress
from .posed_body import BodyModel, pose_joints, skin
from .room import Room, joined, make_room, stool

SHAPE_SPREAD = 0.8
"""Standard deviation of the random shape components."""

FIRST_FINGER = 22
"""Joints from this one on are fingers."""

FLOOR_PERCENTILE = 30.0
"""About this share of the pictures has a lowest point a little below the floor, the rest above."""

RELAXED_CURL = 0.35
"""Bend of each joint of a resting finger, radians."""


@dataclass(frozen=True)
class TakePlan:
    """Which rows of which sequence, and how they are filmed."""

    key: str
    """`group/name` of the sequence."""
    start: int = 0
    """First row."""
    frames: int = 80
    """Rows, at most as many as there are."""
    cameras: int = 3
    """How many cameras."""
    size: tuple[int, int] = (640, 360)
    """Width and height, pixels."""
    antialiasing: str = "FXAA"
    """Workbench's `render_aa`: `FXAA` is quick, `8` fine."""
    seat: bool = False
    """Put a stool under the lowest place of the pelvis."""
    seed: int = 0
    """Together with the key: body, colours, room, cameras."""
    first_yaw_deg: float | None = None
    """Direction of the first camera from the person's front at the start; by chance when `None`."""


@dataclass(frozen=True)
class Take:
    """Everything that is rendered, and its truth."""

    plan: TakePlan
    """What was asked for."""
    fps: float
    """Frames per second."""
    vertices_m: np.ndarray
    """(T, V, 3) float32 body, world."""
    faces: np.ndarray
    """(F, 3) triangles of the body."""
    colours: np.ndarray
    """(V, 3) float32 linear RGB of the body."""
    room: Room
    """What does not move."""
    cameras: list[Camera]
    """Who looks."""
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    """`joints_world_m` (T, 52, 3), `poses` (T, 156), `trans`, `betas`, `joint_names`, `fps`…"""


def make_take(sequence: Sequence, model: BodyModel, plan: TakePlan) -> Take:
    """Bring a sequence onto a random open body and build a room and cameras around it."""
    rng = np.random.default_rng([plan.seed, zlib.crc32(plan.key.encode())])
    betas = rng.normal(0, SHAPE_SPREAD, model.shape_dirs.shape[-1])
    rest_vertices, rest_joints = model.shaped(betas)
    motion = retarget(sequence, rest_joints, float(rest_vertices[:, 1].min()))
    rows = slice(plan.start, plan.start + plan.frames)
    rotvec, transl = motion.rotvec[rows].astype(float), motion.transl_m[rows].astype(float)
    _relax_fingers(rotvec)
    dressed = dress(model, rest_vertices, rest_joints, rng)
    turned, joints = pose_joints(rest_joints, model.parents, rotvec, transl)
    vertices = skin(dressed.vertices_m, rest_joints, model.weights, turned, joints)
    drop = _floor_height(vertices, sequence.fps)
    vertices[..., 2] -= drop[:, None]
    joints[..., 2] -= drop[:, None]
    transl[:, 2] -= drop
    yaw = None
    if plan.first_yaw_deg is not None:
        front = turned[0, 0] @ (0.0, 0.0, 1.0)
        yaw = float(np.arctan2(front[1], front[0]) + np.deg2rad(plan.first_yaw_deg))
    cameras = place_cameras(vertices[:, ::40], plan.cameras, plan.size, rng, yaw)
    truth = {
        "joints_world_m": joints.astype(np.float32),
        "poses": rotvec.reshape(len(rotvec), -1).astype(np.float32),
        "trans": transl.astype(np.float32),
        "betas": betas.astype(np.float32),
        "joint_names": np.array(SMPLH_52.joint_names),
        "fps": np.asarray(sequence.fps),
        "source": np.asarray(plan.key),
        "source_rows": np.arange(plan.start, plan.start + len(rotvec)),
    }
    room = _furnished(joints, cameras, plan, rng)
    return Take(plan, sequence.fps, vertices, model.faces, dressed.colours, room, cameras, truth)


def camera_truth(take: Take, camera: Camera) -> dict[str, np.ndarray]:
    """The truth of one camera's clip, for its `truth.npz`."""
    joints = take.truth["joints_world_m"].astype(float)
    return take.truth | {
        "joints_camera_m": camera.see(joints).astype(np.float32),
        "camera_T_world": camera.camera_T_world.astype(np.float32),
        "camera_K": camera.K.astype(np.float32),
        "image_size": np.array([camera.width, camera.height]),
    }


def write_scene(path: Path, take: Take) -> None:
    """Write what `render_in_blender.py` reads."""
    write_npz(
        path,
        {
            "vertices_m": take.vertices_m,
            "faces": take.faces,
            "colours": take.colours,
            "room_corners_m": take.room.faces.corners_m.astype(np.float32),
            "room_colours": take.room.faces.colours.astype(np.float32),
            "shadow_colour": take.room.shadow_colour,
            "antialiasing": np.asarray(take.plan.antialiasing),
            "camera_K": np.stack([camera.K for camera in take.cameras]),
            "camera_T_world": np.stack([camera.camera_T_world for camera in take.cameras]),
            "image_size": np.array(take.plan.size),
        },
    )


def _relax_fingers(rotvec: np.ndarray) -> None:
    """Curl fingers that were not captured a little, in place: flat hands look like a puppet's."""
    for joint, name in enumerate(SMPLH_52.joint_names):
        if joint >= FIRST_FINGER and "thumb" not in name and not rotvec[:, joint].any():
            rotvec[:, joint, 2] = -RELAXED_CURL if name.startswith("left") else RELAXED_CURL


def _floor_height(vertices: np.ndarray, fps: float) -> np.ndarray:
    """(T,) slowly changing height of the floor under a body whose proportions are not the actor's.

    What the lowest point often comes down to within half a second, smoothed: a jump stays a jump.
    """
    lowest = vertices[..., 2].min(axis=1)
    half = round(0.5 * fps)
    size = 2 * half + 1
    padded = np.pad(lowest, half, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, size)
    floor = np.percentile(around, FLOOR_PERCENTILE, axis=1)
    padded = np.pad(floor, half, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, size).mean(axis=1))


def _furnished(
    joints: np.ndarray, cameras: list[Camera], plan: TakePlan, rng: np.random.Generator
) -> Room:
    path = joints[:, 0, :2]
    middle = 0.5 * (path.min(axis=0) + path.max(axis=0))
    room = make_room(path, np.array([camera.place_m[:2] for camera in cameras]), middle, rng)
    if not plan.seat:
        return room
    lowest = joints[:, 0, 2].argmin()
    seat = stool(path[lowest], max(0.1, joints[lowest, 0, 2] - 0.13))
    return Room(joined([room.faces, seat]), room.shadow_colour)
