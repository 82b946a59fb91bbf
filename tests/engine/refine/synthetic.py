"""A made-up body, real walks put on it, cameras that see them, and the errors of a single view."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from extpose_blender.engine.refine.figure import Figure, Posed, pose_figure
from extpose_blender.engine.refine.shape import figure_of
from extpose_blender.engine.refine.smoothing import whittaker
from extpose_blender.protocol.flow import Intrinsics, LiftedTrack, Track
from extpose_blender.protocol.geometry import (
    Z_UP_R_Y_UP,
    quat_to_rotmat,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
)
from extpose_blender.protocol.skeletons import COCO_17, SMPLH_52

FPS = 30.0
CAMERA = Intrinsics(1000.0, 1280, 720, "given")

_BVH_JOINTS = {
    "pelvis": "hip", "spine1": "abdomen", "spine3": "chest", "neck": "neck", "head": "head",
} | {
    f"{side}_{ours}": f"{side[0]}{theirs}"
    for side in ("left", "right")
    for ours, theirs in {
        "hip": "Thigh", "knee": "Shin", "ankle": "Foot", "foot": "Foot_end", "collar": "Collar",
        "shoulder": "Shldr", "elbow": "ForeArm", "wrist": "Hand",
    }.items()
}  # fmt: skip
_SOLE_BELOW_TOE_M = 0.01


class MadeUpBody:
    """A stick figure in boxes with CMU's proportions; beta 0 is its size, beta 1 the width of its
    hips.
    """

    model_type = "smplh"
    body_id = "made-up"
    sha256 = "0" * 64
    side = ""

    def __init__(self, rest_m: np.ndarray) -> None:
        self._rest = rest_m
        self._vertices, rides_on = _boxes(rest_m)
        self.skin_weights = np.eye(len(rest_m))[rides_on]

    def joints_rest(self, betas: np.ndarray) -> np.ndarray:
        return self._shaped(self._rest, betas)

    def vertices_rest(self, betas: np.ndarray) -> np.ndarray:
        return self._shaped(self._vertices, betas)

    @staticmethod
    def _shaped(points: np.ndarray, betas: np.ndarray) -> np.ndarray:
        return points * (1.0 + 0.03 * betas[0]) + 0.02 * betas[1] * points * [1.0, 0.0, 0.0]


@dataclass(frozen=True)
class Walk:
    """A motion in the world, ground at 0."""

    body: MadeUpBody
    rotvec: np.ndarray
    root_m: np.ndarray

    @property
    def figure(self) -> Figure:
        return figure_of(self.body, np.zeros(10))

    def posed(self) -> Posed:
        return pose_figure(
            self.figure, rotvec_to_rotmat(self.rotvec), self.root_m - self.figure.rest_m[0]
        )


def read_walk(archive: Path, key: str) -> Walk:
    """A sequence of the shared motion on a body with that sequence's own bones."""
    with zipfile.ZipFile(archive) as files:
        data = np.load(io.BytesIO(files.read(f"{key}.npz")))
    names, parents = [str(n) for n in data["joint_names"]], data["parents"]
    offsets, quats = data["offsets_m"].astype(float), data["quats_i16"] / 32767.0
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    local, rest = quat_to_rotmat(quats), np.zeros((len(names), 3))
    turned = local.copy()
    for j in range(1, len(names)):
        rest[j] = rest[parents[j]] + offsets[j]
        turned[:, j] = turned[:, parents[j]] @ local[:, j]
    ours_rest, ours_turned = _as_smplh(names, rest, turned)
    ours_turned = _with_flat_soles(ours_rest, ours_turned)
    body = MadeUpBody(ours_rest)
    turned_up = Z_UP_R_Y_UP @ ours_turned
    rotvec = rotmat_to_rotvec(_local(turned_up))
    walk = Walk(body, rotvec, data["root_pos_m"].astype(float) @ Z_UP_R_Y_UP.T)
    lowest = np.percentile(walk.posed().feet()[..., 2].min(axis=1), 10)
    return Walk(body, rotvec, walk.root_m - [0.0, 0.0, lowest])


def _as_smplh(
    names: list[str], rest: np.ndarray, turned: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    parents = SMPLH_52.parents
    assert parents is not None
    ours_rest = np.zeros((52, 3))
    ours_turned = np.zeros((len(turned), 52, 3, 3))
    for j, name in enumerate(SMPLH_52.joint_names):
        parent = parents[j]
        if name in _BVH_JOINTS:
            source = names.index(_BVH_JOINTS[name])
            ours_rest[j], ours_turned[:, j] = rest[source], turned[:, source]
        else:  # fingers, and the middle spine joint, ride along
            side = np.sign(ours_rest[parent, 0])
            step = [0.0, 0.06, 0.0] if name == "spine2" else [side * 0.03, 0.0, 0.0]
            ours_rest[j], ours_turned[:, j] = ours_rest[parent] + step, ours_turned[:, parent]
    return ours_rest, ours_turned


def _with_flat_soles(rest: np.ndarray, turned: np.ndarray) -> np.ndarray:
    """Turn each foot by one angle for the whole sequence: level in the frames in which it is slow.

    CMU's feet are retargeted with raised heels; the made-up soles are to lie on the ground.
    """
    turned = turned.copy()
    for side in ("left", "right"):
        ankle, toe = SMPLH_52.indices(f"{side}_ankle", f"{side}_foot")
        forward = turned[:, ankle] @ np.array([0.0, 0.0, 1.0])
        spin = np.linalg.norm(np.gradient(forward, axis=0), axis=1) if len(forward) > 1 else [0.0]
        slow = spin <= np.percentile(spin, 30)
        pitch = np.arcsin(np.median(forward[slow, 1]))
        level = rotvec_to_rotmat(np.array([pitch, 0.0, 0.0]))
        for joint in (ankle, toe):
            turned[:, joint] = turned[:, joint] @ level
    return turned


def _local(turned: np.ndarray) -> np.ndarray:
    local = turned.copy()
    for j, parent in enumerate(SMPLH_52.parents or ()):
        if parent >= 0:
            local[:, j] = np.swapaxes(turned[:, parent], -1, -2) @ turned[:, j]
    return local


def _boxes(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corner points around every joint, and boxes with flat soles around the feet."""
    points, rides_on = [], []
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    for j, name in enumerate(SMPLH_52.joint_names):
        if name.endswith(("_ankle", "_foot")):
            continue
        half = 0.10 if name in ("pelvis", "spine1", "spine2", "spine3", "head") else 0.02
        points.append(rest[j] + half * corners)
        rides_on += [j] * 8
    for side in ("left", "right"):
        ankle, toe = SMPLH_52.indices(f"{side}_ankle", f"{side}_foot")
        sole = rest[toe, 1] - _SOLE_BELOW_TOE_M
        for joint, z in ((ankle, rest[ankle, 2] - 0.06), (toe, rest[toe, 2] + 0.04)):
            x = rest[joint, 0]
            ends = [[x + dx, y, z] for dx in (-0.03, 0.03) for y in (sole, sole + 0.03)]
            points.append(np.array(ends))
            rides_on += [joint] * 4
    return np.concatenate(points), np.array(rides_on)


def look_at(
    walk_root_m: np.ndarray,
    distance_m: float,
    height_m: float,
    pitch_deg: float,
    roll_deg: float,
    heading_deg: float,
) -> np.ndarray:
    """(4, 4) world to OpenCV camera for a camera that looks towards the middle of a path."""
    heading, pitch, roll = np.radians([heading_deg, pitch_deg, roll_deg])
    forward = np.array([np.sin(heading), np.cos(heading), 0.0])
    right = np.cross(forward, [0.0, 0.0, 1.0])
    level = np.stack([right, [0.0, 0.0, -1.0], forward])
    tilt = rotvec_to_rotmat(np.array([pitch, 0.0, 0.0]))
    spin = rotvec_to_rotmat(np.array([0.0, 0.0, roll]))
    turn = spin @ tilt @ level
    eye = walk_root_m.mean(axis=0) - distance_m * forward
    eye[2] = height_m
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, -turn @ eye
    return matrix


def seen_by(
    walk: Walk, camera_T_world: np.ndarray, seed: int | None = None, person_id: int = 0
) -> tuple[LiftedTrack, Track]:
    """What a lifter would make of a walk; with a seed, with the errors of one view.

    Errors: joints wobble by 2 degrees within half a second and tremble by 1 degree, depth wanders
        by 5 cm within seconds and trembles by 1 cm, the
    whole body leans by 2 degrees too much.
    """
    turn, count = camera_T_world[:3, :3], len(walk.root_m)
    rotvec = walk.rotvec.copy()
    rotvec[:, 0] = rotmat_to_rotvec(turn @ rotvec_to_rotmat(rotvec[:, 0]))
    root = walk.root_m @ turn.T + camera_T_world[:3, 3]
    if seed is not None:
        rng = np.random.default_rng(seed)
        wobble = whittaker(
            rng.normal(size=(count, 66)), np.ones(count), np.array(2.0), FPS
        ).reshape(count, 22, 3)
        noise = np.radians(2.0) * wobble / max(wobble.std(), 1e-9)
        noise += np.radians(1.0) * rng.normal(size=noise.shape)
        rotvec[:, :22] = rotmat_to_rotvec(
            rotvec_to_rotmat(rotvec[:, :22]) @ rotvec_to_rotmat(noise)
        )
        lean = rotvec_to_rotmat(np.radians(2.0) * np.array([1.0, 0.0, 0.5]))
        rotvec[:, 0] = rotmat_to_rotvec(lean @ rotvec_to_rotmat(rotvec[:, 0]))
        time = np.arange(count) / FPS
        wander = sum(
            np.sin(2 * np.pi * (hz * time + rng.uniform())) for hz in (0.15, 0.4)
        ) * 0.035 + 0.01 * rng.normal(size=count)
        root = root * (1.0 + wander / np.linalg.norm(root, axis=1))[:, None]
        root[:, :2] += 0.004 * rng.normal(size=(count, 2))
    lifted = LiftedTrack(
        person_id, "smplh", walk.body.body_id, rotvec.astype(np.float32),
        (root - walk.figure.rest_m[0]).astype(np.float32), np.zeros(10, np.float32), CAMERA,
        np.ones((count, 52), np.float32), FPS,
    )  # fmt: skip
    return lifted, empty_track(count, person_id)


def empty_track(count: int, person_id: int = 0, fps: float = FPS) -> Track:
    points = len(COCO_17)
    return Track(
        person_id, "coco17", fps, np.zeros((count, points, 3), np.float32),
        np.zeros((count, points, 4), np.float32), np.zeros((count, 2, 21, 3), np.float32),
        np.ones(count, bool), np.zeros(count, np.int32), 1.0,
    )  # fmt: skip
