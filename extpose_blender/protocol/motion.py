"""The motion file, `person_N.npz`: a motion in the world that every reader of AMASS files can load.

World: Z up, ground at z = 0, metres. `poses` and `trans` are smplx's `global_orient`, body pose and
`transl`; `camera_T_world` maps the world to the OpenCV camera that saw it.
Source: the AMASS format as read by smplx and SOMA (keys `poses`, `trans`, `betas`, `gender`,
`surface_model_type`, `mocap_framerate`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import check_finite, check_shape
from .errors import BadMotionFile, BadShape
from .files import read_npz, write_npz
from .skeletons import FOOT_POINTS, MODEL_SKELETONS

_TEXT = {"gender", "surface_model_type", "body_id", "body_sha256", "side"}


@dataclass(frozen=True)
class Motion:
    """One person's motion in the world."""

    poses: np.ndarray
    """(T, 3 J) float32 rotation vectors in the order of `surface_model_type`."""
    trans: np.ndarray
    """(T, 3) float32: smplx's `transl`, metres, world."""
    betas: np.ndarray
    """(10,) or (16,) float32: one shape for the clip, meaningful for `body_id` alone."""
    surface_model_type: str
    """`smpl`, `smplh`, `smplx` or `mano`."""
    body_id: str
    """Which body the betas mean."""
    body_sha256: str
    """Hash of that body's file."""
    mocap_framerate: float
    """Frames per second of the rows."""
    frame_index: np.ndarray
    """(T,) int64: source picture of each row."""
    time_s: np.ndarray
    """(T,) float64: its presentation time, seconds."""
    joints: np.ndarray
    """(T, J, 3) float32: joint positions in the world, metres."""
    joint_names: tuple[str, ...]
    """Names of the joints."""
    keypoints_2d: np.ndarray
    """(T, K, 3) float32: x, y in source pixels, score."""
    keypoint_names: tuple[str, ...]
    """Names of the keypoints."""
    confidence: np.ndarray
    """(T,) or (T, J) float32; 0 where nothing was seen and the pose is interpolated."""
    camera_T_world: np.ndarray
    """(T, 4, 4) float32: world to OpenCV camera."""
    camera_K: np.ndarray
    """(3, 3) float32: intrinsics, source pixels."""
    foot_contact: np.ndarray
    """(T, 4) bool in the order of `FOOT_POINTS`."""
    gender: str = "neutral"
    """Always `neutral`."""
    side: str = ""
    """`left` or `right` for `mano`, else empty."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Source, options, model names, hashes, versions: JSON."""

    def __post_init__(self) -> None:
        if self.surface_model_type not in MODEL_SKELETONS:
            raise BadShape(
                f"`surface_model_type` must be one of {sorted(MODEL_SKELETONS)}, not {self.surface_model_type!r}"
            )
        if not (np.isfinite(self.mocap_framerate) and self.mocap_framerate > 0):
            raise BadShape(f"`mocap_framerate` must be positive, not {self.mocap_framerate}")
        skeleton = MODEL_SKELETONS[self.surface_model_type]
        axes = {"J": len(self.joint_names), "K": len(self.keypoint_names)}
        check_shape("poses", self.poses, ("T", 3 * len(skeleton)), axes)
        check_shape("trans", self.trans, ("T", 3), axes)
        check_shape("betas", self.betas, (None,))
        check_shape("frame_index", self.frame_index, ("T",), axes, kind="iu")
        check_shape("time_s", self.time_s, ("T",), axes)
        check_shape("joints", self.joints, ("T", "J", 3), axes)
        check_shape("keypoints_2d", self.keypoints_2d, ("T", "K", 3), axes)
        check_shape("camera_T_world", self.camera_T_world, ("T", 4, 4), axes)
        check_shape("camera_K", self.camera_K, (3, 3))
        check_shape("foot_contact", self.foot_contact, ("T", len(FOOT_POINTS)), axes, kind="b")
        confidence = ("T",) if self.confidence.ndim == 1 else ("T", "J")
        check_shape("confidence", self.confidence, confidence, axes)
        for name in (
            "poses",
            "trans",
            "betas",
            "joints",
            "camera_T_world",
            "camera_K",
            "confidence",
        ):
            check_finite(name, getattr(self, name))

    def __len__(self) -> int:
        return len(self.trans)

    @property
    def rotvec(self) -> np.ndarray:
        """(T, J, 3): `poses` with one row per joint of the model."""
        return self.poses.reshape(len(self), -1, 3)


def write_motion(path: Path, motion: Motion) -> None:
    """Write a motion file, aside and renamed.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    arrays = {
        f.name: np.asarray(getattr(motion, f.name)) for f in fields(motion) if f.name != "meta"
    }
    arrays["meta"] = np.asarray(json.dumps(motion.meta, ensure_ascii=False))
    if not motion.side:
        del arrays["side"]
    write_npz(path, arrays)


def read_motion(path: Path) -> Motion:
    """Read a motion file.

    Raises:
        BadMotionFile: It is missing, damaged, or breaks the contract. The message names the key.
    """
    arrays = read_npz(path, BadMotionFile)
    known = {f.name for f in fields(Motion)}
    needed = known - {"side", "gender", "meta"}
    missing = sorted(needed - arrays.keys())
    if missing:
        raise BadMotionFile(f"`{path}` lacks {', '.join(missing)}", "Capture the clip again")
    try:
        values: dict[str, Any] = {name: arrays[name] for name in known & arrays.keys()}
        for name in _TEXT & values.keys():
            values[name] = str(values[name])
        for name in ("joint_names", "keypoint_names"):
            values[name] = tuple(str(word) for word in values[name])
        values["mocap_framerate"] = float(values["mocap_framerate"])
        values["meta"] = json.loads(str(values.get("meta", "{}")))
        return Motion(**values)
    except (BadShape, TypeError, ValueError) as reason:
        raise BadMotionFile(f"`{path}`: {reason}", "Capture the clip again") from reason
