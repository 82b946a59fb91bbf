"""How far each joint angle of `q` may go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from .chain import Pose, pose_names

_LEFT_DEGREES: dict[str, tuple[tuple[float, float], ...]] = {
    "spine": ((-45, 100), (-60, 60), (-50, 50)),
    "head": ((-65, 65), (-85, 85), (-50, 50)),
    "left_hip": ((-150, 50), (-60, 60), (-40, 90)),
    "left_knee": ((-5, 155), (-15, 15), (-15, 15)),
    "left_ankle": ((-45, 60), (-40, 40), (-35, 35)),
    "left_collar": ((0, 0), (-35, 30), (-20, 45)),
    "left_shoulder": ((-110, 110), (-140, 80), (-110, 110)),
    "left_elbow": ((-90, 90), (-155, 5), (-30, 30)),
    "left_wrist": ((-60, 60), (-45, 45), (-80, 80)),
}


def angle_limits() -> np.ndarray:
    """(Q, 2) lowest and highest angle of every number of `q`, radians."""
    rows = []
    for name in pose_names():
        joint, axis = name.split(":")
        low, high = _LEFT_DEGREES[joint.replace("right", "left")][int(axis)]
        if joint.startswith("right") and axis != "0":
            low, high = -high, -low
        rows.append((low, high))
    return np.radians(rows)


def held(pose: Pose, limits: torch.Tensor) -> Pose:
    """The pose with every angle brought back to its limits (Q, 2)."""
    return replace(pose, q=pose.q.clamp(limits[:, 0], limits[:, 1]))
