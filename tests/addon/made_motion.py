"""Makes bodies and motions of known truth for the tests, with forward kinematics of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from extpose_blender.protocol.body_file import BodyGeometry, write_body_geometry
from extpose_blender.protocol.geometry import (
    Z_UP_R_Y_UP,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
)
from extpose_blender.protocol.motion import Motion, write_motion
from extpose_blender.protocol.skeletons import COCO_17, MODEL_SKELETONS

# Joints of an adult in SMPL's rest frame (Y up, facing +Z, left at +X); the right side mirrors it.
_MIDDLE = {
    "pelvis": (0, 0.95, 0), "spine1": (0, 1.06, -0.03), "spine2": (0, 1.19, -0.03),
    "spine3": (0, 1.25, 0.0), "neck": (0, 1.46, -0.03), "head": (0, 1.54, 0.02),
    "jaw": (0, 1.52, 0.05),
}  # fmt: skip
_LEFT = {
    "hip": (0.06, 0.86, -0.01), "knee": (0.11, 0.48, -0.02), "ankle": (0.09, 0.08, -0.06),
    "foot": (0.12, 0.02, 0.06), "collar": (0.08, 1.37, -0.03), "shoulder": (0.18, 1.39, -0.04),
    "elbow": (0.44, 1.38, -0.06), "wrist": (0.69, 1.39, -0.06), "hand": (0.77, 1.38, -0.06),
    "eye_smplhf": (0.03, 1.60, 0.10),
}  # fmt: skip
_FINGER_AT = {
    "index": (0.78, 1.385, -0.03), "middle": (0.785, 1.388, -0.055), "ring": (0.78, 1.385, -0.08),
    "pinky": (0.765, 1.38, -0.10), "thumb": (0.72, 1.375, -0.03),
}  # fmt: skip
_FINGER_STEP = {"thumb": (0.022, -0.008, 0.018)}


def joint_at_rest(name: str) -> np.ndarray:
    if name in _MIDDLE:
        return np.array(_MIDDLE[name], float)
    side, _, part = name.partition("_")
    bare = part.rstrip("0123456789")
    if bare in _FINGER_AT:
        step = _FINGER_STEP.get(bare, (0.028, 0.0, 0.001))
        at = np.array(_FINGER_AT[bare]) + (int(part[-1]) - 1) * np.array(step)
    else:
        at = np.array(_LEFT[part], float)
    return at * (1 if side == "left" else -1, 1, 1)


def make_body(
    model: str = "smplh", shift_m: tuple[float, float, float] = (0, 0, 0)
) -> BodyGeometry:
    """A body of boxes, one along each bone, each corner moved by two joints."""
    skeleton = MODEL_SKELETONS[model]
    parents = np.array(skeleton.parents, np.int32)
    # SMPL's own origin is not on the ground: neither is this one.
    joints = np.array([joint_at_rest(n) for n in skeleton.joint_names]) - (0, 1.2, 0) + shift_m
    corners, faces, movers, weights = [], [], [], []
    for joint, at in enumerate(joints):
        children = np.flatnonzero(parents == joint)
        end = joints[children[0]] if len(children) else at + 0.04 * _outward(joints, parents, joint)
        first = len(corners) * 8
        corners.append(_box(at, end))
        faces.append(_BOX_FACES + first)
        movers.append(np.tile([joint, max(parents[joint], 0)], (8, 1)))
        weights.append(np.tile([0.75, 0.25] if joint else [1.0, 0.0], (8, 1)))
    return BodyGeometry(
        "made",
        model,
        np.concatenate(corners).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(movers).astype(np.int16),
        np.concatenate(weights).astype(np.float32),
        joints.astype(np.float32),
        skeleton.joint_names,
        parents,
    )


def forward_kinematics(
    rotvec: np.ndarray, trans_m: np.ndarray, body: BodyGeometry
) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, J, 3) as smplx computes them, and their rotations (T, J, 3, 3), in float64."""
    turns, rest = rotvec_to_rotmat(rotvec.astype(float)), body.rest_joints_m.astype(float)
    world, at = np.zeros_like(turns), np.zeros((*turns.shape[:2], 3))
    for joint, parent in enumerate(body.parents):
        if parent < 0:
            world[:, joint], at[:, joint] = turns[:, joint], rest[joint] + trans_m
        else:
            world[:, joint] = world[:, parent] @ turns[:, joint]
            at[:, joint] = at[:, parent] + world[:, parent] @ (rest[joint] - rest[parent])
    return at, world


def skinned(rotvec: np.ndarray, trans_m: np.ndarray, body: BodyGeometry) -> np.ndarray:
    """Posed vertices (T, V, 3) as smplx computes them, in float64. For small bodies."""
    at, world = forward_kinematics(rotvec, trans_m, body)
    local = body.rest_vertices_m.astype(float)[:, None] - body.rest_joints_m  # (V, J, 3)
    moved = np.einsum("tjab,vjb->tvja", world, local) + at[:, None]
    return np.einsum("vj,tvja->tva", body.dense_weights(), moved)


def make_motion(
    body: BodyGeometry,
    frames: int = 40,
    seed: int = 0,
    *,
    fps: float = 30.0,
    model: str | None = None,
    K: np.ndarray | None = None,
    moving_camera: bool = False,
    wild: float = 1.0,
    source: str = "",
    source_step: float = 1.0,
) -> Motion:
    """Smooth random movement of every joint that runs, turns about itself and rolls over."""
    rng = np.random.default_rng(seed)
    model = model or body.surface_model_type
    names = MODEL_SKELETONS[model].joint_names
    t = np.arange(frames) / max(fps, 1)
    speed, phase = rng.uniform(0.5, 3, (2, len(names), 3))
    rotvec = (
        wild * 0.9 * np.sin(speed * t[:, None, None] * 2 + phase) * rng.uniform(-1, 1, phase.shape)
    )
    heading = rotvec_to_rotmat(np.stack([np.sin(t), 0.5 * np.cos(2 * t), 4 * t], -1) * wild)
    rotvec[:, 0] = rotmat_to_rotvec(heading @ Z_UP_R_Y_UP)
    trans = np.stack([2 * np.sin(t), -1 + 0.8 * t, 1.2 + 0.3 * np.sin(5 * t)], -1)
    full = np.zeros((frames, len(body.joint_names), 3))
    for i, name in enumerate(names):
        if name in body.joint_names:
            full[:, body.joint_names.index(name)] = rotvec[:, i]
    full, trans = full.astype(np.float32), trans.astype(np.float32)
    joints, _ = forward_kinematics(full, trans, body)
    camera = np.tile(_look_at((1.0, -6.0, 1.7), (0, 0, 1.0)), (frames, 1, 1))
    if moving_camera:
        camera = np.stack([_look_at((1 + 0.5 * np.sin(s), -6 + s, 1.7), (0, 0, 1)) for s in t])
    return Motion(
        poses=rotvec.reshape(frames, -1).astype(np.float32),
        trans=trans,
        betas=np.linspace(-1, 1, 10).astype(np.float32),
        surface_model_type=model,
        body_id=body.body_id,
        body_sha256="0" * 64,
        mocap_framerate=fps,
        frame_index=np.round(np.arange(frames) * source_step).astype(np.int64),
        time_s=np.arange(frames) * source_step / fps,
        joints=joints.astype(np.float32),
        joint_names=body.joint_names,
        keypoints_2d=np.zeros((frames, 17, 3), np.float32),
        keypoint_names=COCO_17.joint_names,
        confidence=np.linspace(0, 1, frames, dtype=np.float32),
        camera_T_world=camera.astype(np.float32),
        camera_K=make_K(1280, 720) if K is None else K.astype(np.float32),
        foot_contact=np.zeros((frames, 4), bool),
        meta={"source": source},
    )


def make_K(
    width: int, height: int, off: tuple[float, float] = (0, 0), tall: float = 1.0
) -> np.ndarray:
    """Intrinsics with a principal point `off` pixels from the middle and fx / fy = `tall`."""
    focal = 1.1 * max(width, height)
    return np.array(
        [[focal, 0, width / 2 + off[0]], [0, focal / tall, height / 2 + off[1]], [0, 0, 1]],
        np.float32,
    )


def write_person(folder: Path, number: int, motion: Motion, body: BodyGeometry) -> dict[str, str]:
    """Write a person's two files. Returns the entry of a request."""
    files = {"motion": folder / f"person_{number}.npz", "body": folder / f"body_{number}.npz"}
    write_motion(files["motion"], motion)
    write_body_geometry(files["body"], body)
    return {name: str(path) for name, path in files.items()}


def _look_at(eye: tuple[float, float, float], at: tuple[float, float, float]) -> np.ndarray:
    forward = np.subtract(at, eye) / np.linalg.norm(np.subtract(at, eye))
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, -turn @ eye
    return matrix


def _outward(joints: np.ndarray, parents: np.ndarray, joint: int) -> np.ndarray:
    span = joints[joint] - joints[parents[joint]]
    return span / np.linalg.norm(span)


def _box(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    along = end - start
    side = np.cross(along, (0.3, 0.5, 0.8))
    side *= 0.15 * np.linalg.norm(along) / np.linalg.norm(side)
    other = np.cross(along, side) / np.linalg.norm(along)
    ring = [side + other, other - side, -side - other, side - other]
    return np.array([point + corner for point in (start, end) for corner in ring])


_BOX_FACES = np.array(
    [(0, 1, 2), (0, 2, 3), (4, 6, 5), (4, 7, 6)]
    + [
        f
        for i in range(4)
        for f in ((i, i + 4, (i + 1) % 4 + 4), (i, (i + 1) % 4 + 4, (i + 1) % 4))
    ]
)
