"""Clips whose truth is known: the rendered set, and the real clips with triangulated joints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from extpose_blender.protocol.skeletons import LIMB_JOINTS

from .rendered_set import read_set

SHARED_CLIPS = ("tpose_4view", "upper_body_4view")
"""Folders of the shared clips that have `calibration.json` and `gt.npz`."""

_HIPS = ("left_hip", "right_hip")
_SHOULDERS = ("left_shoulder", "right_shoulder")


@dataclass(frozen=True)
class TruthClip:
    """A clip and where its joints really are."""

    name: str
    """Sequence or folder, and camera."""
    video: Path
    """The clip."""
    fps: float
    """Frames per second of the truth; row t is source picture t."""
    joint_names: tuple[str, ...]
    """(J,) those of `LIMB_JOINTS` that the truth has."""
    joints_m: np.ndarray
    """(T, J, 3) in the OpenCV camera's frame, metres; NaN where unknown."""
    root: tuple[str, ...]
    """Their middle is the root for MPJPE: the hips, or the shoulders where there are none."""

    @property
    def root_index(self) -> list[int]:
        """Rows of `root` in the joints."""
        return [self.joint_names.index(name) for name in self.root]


def rendered_clips(folder: Path) -> Iterator[TruthClip]:
    """The clips of a rendered set: exact truth, all twelve limb joints."""
    for clip in read_set(folder):
        names = [str(name) for name in clip.truth["joint_names"]]
        joints = clip.truth["joints_camera_m"][:, [names.index(name) for name in LIMB_JOINTS]]
        fps = float(clip.truth["fps"])
        yield TruthClip(clip.name, clip.video, fps, LIMB_JOINTS, joints.astype(float), _HIPS)


def shared_clips(folder: Path) -> Iterator[TruthClip]:
    """The shared clips with triangulated joints, one per camera: good to about 2 cm.

    Args:
        folder: Holds `tpose_4view` and `upper_body_4view`.
    """
    for name in SHARED_CLIPS:
        calibration = json.loads((folder / name / "calibration.json").read_text(encoding="utf-8"))
        with np.load(folder / name / "gt.npz", allow_pickle=False) as data:
            known = {_limb_name(str(word)): i for i, word in enumerate(data["joint_names"])}
            world, fps = data["joints_m"].astype(float), float(data["fps"])
        names = tuple(joint for joint in LIMB_JOINTS if joint in known)
        world = world[:, [known[joint] for joint in names]]
        root = _HIPS if set(_HIPS) <= set(names) else _SHOULDERS
        for camera, values in sorted(calibration["cameras"].items()):
            joints = world @ np.array(values["R"]).T + np.array(values["t"]).reshape(3)
            yield TruthClip(
                f"{name}.{camera}", folder / name / values["file"], fps, names, joints, root
            )


def _limb_name(short: str) -> str:
    """`LElbow` to `left_elbow`."""
    return {"L": "left_", "R": "right_"}.get(short[0], "") + short[1:].lower()
