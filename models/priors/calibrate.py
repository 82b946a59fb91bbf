"""`python -m models.priors.calibrate VIEWS...`: where on the body a detector puts its points.

VIEWS are folders of `python -m models.priors.render_views`: single pictures with exact truth.
MediaPipe looks at each picture afresh. For every point the shift from its joint is found that
brings the true body's point nearest to the detected ones (robust least squares over all pictures,
left and right together), with some pull towards the place that anatomy gives. Writes
`models/priors/landmarks_mediapipe33.json`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from extpose_blender.engine.body.landmarks import LandmarkMap, anatomy, skeleton_size
from extpose_blender.engine.body.load import Body, load_body
from extpose_blender.engine.lift.fit.chain import BODY_JOINTS
from extpose_blender.protocol.files import write_json
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.skeletons import MEDIAPIPE_33, SMPL_24

FOLDER = Path(__file__).resolve().parent
SKELETON = "mediapipe33"
PULL = 4.0
"""Pull towards anatomy, as strong as so many pictures."""
REACH = 0.03
"""Errors beyond this share of the person's height count less and less."""
ROUNDS = 8


@dataclass(frozen=True)
class Sight:
    """One detected picture with its truth."""

    keypoints: np.ndarray
    """(33, 3) pixels and visibility."""
    joints_m: np.ndarray
    """(22, 3) true joints in the camera."""
    turns: np.ndarray
    """(22, 3, 3) rest frame to camera."""
    size_m: float
    """`skeleton_size` of the body."""
    K: np.ndarray
    """(3, 3) intrinsics."""


def main(arguments: list[str] | None = None) -> int:
    """Calibrate; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.priors.calibrate", description=__doc__)
    parser.add_argument("views", type=Path, nargs="+", help="folders of rendered pictures")
    parser.add_argument("--out", type=Path, default=FOLDER / f"landmarks_{SKELETON}.json")
    options = parser.parse_args(arguments)
    body = load_body("open")
    sights = [sight for folder in options.views for sight in read_sights(folder, body)]
    marks = calibrate(sights)
    names = MEDIAPIPE_33.joint_names
    table = {
        n: [round(float(v), 4) for v in shift] for n, shift in zip(names, marks.shifts, strict=True)
    }
    about = "Shifts from joints, shares of the skeleton's size; made by models/priors/calibrate.py"
    write_json(options.out, {"about": about, "pictures": len(sights), "shifts": table})
    before, after = (mean_error(sights, m) for m in (anatomy(SKELETON), marks))
    print(
        f"{len(sights)} pictures, error {before:.4f} -> {after:.4f} of the height", file=sys.stderr
    )
    return 0


def read_sights(folder: Path, body: Body) -> Iterator[Sight]:
    """Detect in every picture below a folder."""
    import mediapipe as mp

    with mp.solutions.pose.Pose(static_image_mode=True, model_complexity=1) as detector:
        for truth_file in sorted(folder.glob("*/truth.npz")):
            with np.load(truth_file, allow_pickle=False) as data:
                truth = dict(data)
            joints, turns = true_joints(truth)
            size = skeleton_size(body.joints_rest(truth["betas"]))
            with av.open(str(truth_file.with_name("clip.mp4"))) as clip:
                pictures = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
            for row, picture in enumerate(pictures):
                found = detector.process(picture).pose_landmarks
                if found is None:
                    continue
                height, width = picture.shape[:2]
                points = np.array(
                    [(p.x * width, p.y * height, p.visibility) for p in found.landmark]
                )
                sight = Sight(points, joints[row], turns[row], size, truth["camera_K"])
                if is_the_person(sight):
                    yield sight


def true_joints(truth: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, 22, 3) and turns (T, 22, 3, 3) in the camera."""
    poses = truth["poses"].reshape(len(truth["poses"]), -1, 3)[:, :BODY_JOINTS].astype(float)
    local = rotvec_to_rotmat(poses)
    turns = [truth["camera_T_world"][:3, :3] @ local[:, 0]]
    parents = SMPL_24.parents
    assert parents is not None
    for joint in range(1, BODY_JOINTS):
        turns.append(turns[parents[joint]] @ local[:, joint])
    return truth["joints_camera_m"][:, :BODY_JOINTS].astype(float), np.stack(turns, 1)


def is_the_person(sight: Sight) -> bool:
    """Whether the detector found the person, and no furniture."""
    error = errors(sight, anatomy(SKELETON))
    return bool(np.median(np.linalg.norm(error, axis=-1)) < 0.1)


def errors(sight: Sight, marks: LandmarkMap) -> np.ndarray:
    """(33, 2) projected minus detected, shares of the person's height."""
    points = place(sight, marks)
    flat = points[:, :2] / points[:, 2:] * sight.K[0, 0] + sight.K[:2, 2]
    return np.asarray((flat - sight.keypoints[:, :2]) / height_px(sight))


def place(sight: Sight, marks: LandmarkMap) -> np.ndarray:
    """(33, 3) the points in the camera."""
    shifts = marks.shifts * sight.size_m
    return np.asarray(
        sight.joints_m[marks.joints] + np.einsum("kij,kj->ki", sight.turns[marks.joints], shifts)
    )


def height_px(sight: Sight) -> float:
    """Standing height in pixels."""
    return float(sight.K[0, 0] * sight.size_m / 0.75 / sight.joints_m[0, 2])


def calibrate(sights: list[Sight]) -> LandmarkMap:
    """The shifts that explain the pictures best."""
    start = anatomy(SKELETON)
    shifts = start.shifts.copy()
    flip = np.array([-1.0, 1.0, 1.0])
    for _ in range(ROUNDS):
        normal = np.zeros((len(shifts), 3, 3))
        right = np.zeros((len(shifts), 3))
        for sight in sights:
            rows, wanted, weight = linearised(sight, LandmarkMap(start.joints, shifts))
            normal += np.einsum("k,kij,kil->kjl", weight, rows, rows)
            right += np.einsum("k,kij,ki->kj", weight, rows, wanted)
        # Left and right share one shift, mirrored; the pull is in units of a picture's usual
        # weight.
        mirror = list(MEDIAPIPE_33.mirror)
        normal = normal + normal[mirror] * np.outer(flip, flip)
        right = right + right[mirror] * flip
        pull = PULL * np.eye(3)
        solved = np.linalg.solve(normal + pull, (right + start.shifts @ pull)[..., None])[..., 0]
        middle = np.array([i for i, other in enumerate(mirror) if i == other])
        solved[middle, 0] = 0.0
        shifts = solved
    return LandmarkMap(start.joints, shifts)


def linearised(sight: Sight, marks: LandmarkMap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (33, 2, 3), right-hand sides (33, 2) and weights (33,) for the shifts in shares of
    size.
    """
    points = place(sight, marks)
    error = errors(sight, marks)
    depth = points[:, 2]
    project = np.zeros((len(points), 2, 3))
    project[:, 0, 0] = project[:, 1, 1] = 1 / depth
    project[:, 0, 2], project[:, 1, 2] = (-points[:, i] / depth**2 for i in (0, 1))
    rows = project @ sight.turns[marks.joints] * sight.size_m * sight.K[0, 0] / height_px(sight)
    wanted = np.einsum("kij,kj->ki", rows, marks.shifts) - error
    weight = sight.keypoints[:, 2] ** 2 / (1 + (error**2).sum(-1) / REACH**2) ** 2
    return rows, wanted, weight


def mean_error(sights: list[Sight], marks: LandmarkMap) -> float:
    """Mean error of well seen points, shares of the height."""
    sizes = np.stack([np.linalg.norm(errors(s, marks), axis=-1) for s in sights])
    seen = np.stack([s.keypoints[:, 2] > 0.5 for s in sights])
    return float(sizes[seen].mean())


if __name__ == "__main__":
    sys.exit(main())
