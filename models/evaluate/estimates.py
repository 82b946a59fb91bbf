"""What is compared: a capture of ours, and MediaPipe's own world landmarks, both in camera axes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from extpose_blender.protocol.errors import BadMotionFile, NoPerson
from extpose_blender.protocol.files import read_npz, write_npz
from extpose_blender.protocol.motion import Motion, read_motion
from extpose_blender.protocol.skeletons import MEDIAPIPE_33

from .truth import TruthClip


@dataclass(frozen=True)
class Estimate:
    """Joints of one person in one clip; row t is source picture t."""

    joints_m: np.ndarray
    """(T, J, 3) in camera axes, metres; the origin does not matter."""
    seen: np.ndarray
    """(T,) bool: there is an estimate of this picture that rests on it."""


def mediapipe_world(clip: TruthClip, cache: Path | None = None) -> Estimate:
    """`pose_world_landmarks` of MediaPipe's own pose solution on every picture of a clip.

    Defaults of the solution: video mode, `model_complexity=1`, landmarks smoothed.

    Args:
        clip: The clip; picks the landmarks that bear the names of its joints.
        cache: File that keeps all 33 landmarks for the next run.
    """
    if cache is not None and cache.exists():
        landmarks = read_npz(cache, BadMotionFile)["world_landmarks_m"]
    else:
        landmarks = _run_mediapipe(clip.video)
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_npz(cache, {"world_landmarks_m": landmarks})
    joints = landmarks[:, MEDIAPIPE_33.indices(*clip.joint_names)].astype(float)
    return Estimate(joints, np.isfinite(joints).all(axis=(1, 2)))


def _run_mediapipe(video: Path) -> np.ndarray:
    """(T, 33, 3) float32 world landmarks, NaN where nobody is found."""
    import av
    import mediapipe

    rows = []
    with (
        mediapipe.solutions.pose.Pose(model_complexity=1) as pose,
        av.open(str(video)) as container,
    ):
        for frame in container.decode(video=0):
            result = pose.process(frame.to_ndarray(format="rgb24"))
            found = result.pose_world_landmarks
            rows.append(
                np.full((len(MEDIAPIPE_33), 3), np.nan)
                if found is None
                else np.array([(point.x, point.y, point.z) for point in found.landmark])
            )
    return np.asarray(rows, np.float32)


def ours(clip: TruthClip, motion: Motion) -> Estimate:
    """A capture's joints in its camera, one row per source picture of the truth."""
    camera = motion.camera_T_world.astype(float)
    picked = motion.joints[:, [motion.joint_names.index(name) for name in clip.joint_names]]
    in_camera = np.einsum("tij,tnj->tni", camera[:, :3, :3], picked) + camera[:, None, :3, 3]
    confidence = motion.confidence if motion.confidence.ndim == 1 else motion.confidence.max(axis=1)
    joints = np.full((len(clip.joints_m), len(clip.joint_names), 3), np.nan)
    seen = np.zeros(len(joints), bool)
    rows = motion.frame_index
    inside = rows < len(joints)
    joints[rows[inside]] = in_camera[inside]
    seen[rows[inside]] = confidence[inside] > 0
    return Estimate(joints, seen)


def capture_clip(clip: TruthClip, out: Path, arguments: list[str]) -> Motion | None:
    """Run `extpose capture` on a clip, or read what is there; `None` where nobody is found.

    Args:
        clip: The clip.
        out: Folder of this clip's capture.
        arguments: More flags for `extpose capture`.

    Raises:
        RuntimeError: The capture failed for another reason; the message is its last line.
    """
    found = sorted(out.glob("*/person_0.npz"))
    if not found:
        command = [
            sys.executable, "-m", "extpose_blender", "capture", str(clip.video), "--out", str(out),
            *arguments,
        ]  # fmt: skip
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0:
            lines = run.stderr.strip().splitlines()
            if any(f"error[{NoPerson.code}]" in line for line in lines):
                return None
            raise RuntimeError(f"{clip.name}: {lines[-1] if lines else run.returncode}")
        found = sorted(out.glob("*/person_0.npz"))
    return read_motion(found[0])
