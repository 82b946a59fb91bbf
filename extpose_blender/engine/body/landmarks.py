"""Which place on a body answers to which point of a 2D detector.

Detectors mark surface points (nose, ears, heels) and their own idea of joint centres. Each point is
given as a joint and a shift from it in that joint's rest frame, in shares of the skeleton's size,
so one table fits every body that has SMPL's first 22 joints, at every shape.

`ANATOMY` is measured on a resting body. A detector with systematic habits (a hip marked too high,
say) has a table of its own in `models/priors/landmarks_<skeleton>.json`, calibrated by
`models/priors/calibrate.py`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

import numpy as np

from ...protocol.errors import BadModelFile
from ...protocol.resources import resource_root
from ...protocol.skeletons import DETECTOR_SKELETONS, SMPL_24

_LEFT_ANATOMY: dict[str, tuple[str, tuple[float, float, float]]] = {
    "nose": ("head", (0.0, 0.03, 0.10)),
    "left_eye_inner": ("head", (0.017, 0.065, 0.075)),
    "left_eye": ("head", (0.032, 0.065, 0.072)),
    "left_eye_outer": ("head", (0.045, 0.065, 0.062)),
    "left_ear": ("head", (0.073, 0.05, -0.01)),
    "mouth_left": ("head", (0.025, -0.005, 0.08)),
    "left_shoulder": ("left_shoulder", (0.0, 0.0, 0.0)),
    "left_elbow": ("left_elbow", (0.0, 0.0, 0.0)),
    "left_wrist": ("left_wrist", (0.0, 0.0, 0.0)),
    "left_pinky": ("left_wrist", (0.085, -0.01, -0.03)),
    "left_index": ("left_wrist", (0.095, -0.005, 0.025)),
    "left_thumb": ("left_wrist", (0.05, -0.02, 0.05)),
    "left_hip": ("left_hip", (0.0, 0.0, 0.0)),
    "left_knee": ("left_knee", (0.0, 0.0, 0.0)),
    "left_ankle": ("left_ankle", (0.0, 0.0, 0.0)),
    "left_heel": ("left_ankle", (0.0, -0.065, -0.045)),
    "left_foot_index": ("left_foot", (-0.01, -0.015, 0.05)),
}
"""Joint and shift of the left and middle points, metres on a body of `_REFERENCE_SIZE_M`."""

_REFERENCE_SIZE_M = 1.29


@dataclass(frozen=True)
class LandmarkMap:
    """The K points of a detector on a body."""

    joints: np.ndarray
    """(K,) int: joint, 0 to 21, that carries each point."""
    shifts: np.ndarray
    """(K, 3) float64: point from its joint, rest frame of the joint, shares of `skeleton_size`."""

    def offsets_m(self, rest_joints: np.ndarray) -> np.ndarray:
        """(K, 3) shifts in metres for rest joints (J, 3)."""
        return np.asarray(self.shifts * skeleton_size(rest_joints))


def skeleton_size(rest_joints: np.ndarray) -> float:
    """Length of a leg plus length of the trunk of rest joints (J, 3), metres: about 0.75 of the
    height.
    """
    hip, knee, ankle, pelvis, neck = (
        rest_joints[SMPL_24.index[name]]
        for name in ("left_hip", "left_knee", "left_ankle", "pelvis", "neck")
    )
    leg = np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)
    return float(leg + np.linalg.norm(neck - pelvis))


def anatomy(skeleton: str) -> LandmarkMap:
    """The points of a detector's skeleton where anatomy has them. Raises KeyError for an unknown
    name.
    """
    joints, shifts = [], []
    for name in DETECTOR_SKELETONS[skeleton].joint_names:
        mirrored = name not in _LEFT_ANATOMY
        joint, shift = _LEFT_ANATOMY[name.replace("right", "left") if mirrored else name]
        joints.append(SMPL_24.index[joint.replace("left", "right") if mirrored else joint])
        shifts.append(np.array(shift) * ([-1.0, 1.0, 1.0] if mirrored else 1.0))
    return LandmarkMap(np.array(joints), np.stack(shifts) / _REFERENCE_SIZE_M)


@cache
def landmark_map(skeleton: str) -> LandmarkMap:
    """The calibrated points of a detector's skeleton, or those of anatomy where it has no table.

    Raises:
        BadModelFile: The table is damaged.
    """
    path = resource_root() / "priors" / f"landmarks_{skeleton}.json"
    plain = anatomy(skeleton)
    if not path.exists():
        return plain
    try:
        table = json.loads(path.read_text(encoding="utf-8"))["shifts"]
        shifts = np.array([table[name] for name in DETECTOR_SKELETONS[skeleton].joint_names], float)
        return LandmarkMap(plain.joints, shifts.reshape(plain.shifts.shape))
    except (ValueError, KeyError, TypeError) as reason:
        raise BadModelFile(f"`{path}` is damaged: {reason}", "Install ExtPose again") from reason
