"""What a capture tells about itself: who listens while it works, and `report.json` at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..protocol.errors import Cancelled
from ..protocol.geometry import project_points
from ..protocol.messages import Message, Progress, Warned
from ..protocol.motion import Motion
from ..protocol.skeletons import LIMB_JOINTS

SEEN_SCORE = 0.5
"""A keypoint counts as seen above this score."""


@dataclass
class Listener:
    """Takes the messages of a capture, and knows whether it should stop."""

    send: Callable[[Message], None] = lambda message: None
    """Called with every message."""
    cancelled: Callable[[], bool] = lambda: False
    """Asked between pieces of work."""
    warnings: list[Warned] = field(default_factory=list)
    """All warnings so far."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say how far a stage has come.

        Raises:
            Cancelled: The user asked to stop.
        """
        if self.cancelled():
            raise Cancelled("Stopped as asked")
        self.send(Progress(stage, done, max(done, total)))

    def warn(self, code: str, message: str, hint: str = "") -> None:
        """Pass a warning on, once."""
        warning = Warned(code, message, hint)
        if warning not in self.warnings:
            self.warnings.append(warning)
            self.send(warning)


@dataclass
class Stopwatch:
    """Seconds per stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Seconds by stage, in the order of the first use."""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Add seconds to a stage."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def table(self, rows: int) -> dict[str, dict[str, float]]:
        """Seconds and rows per second of each stage."""
        return {
            stage: {"seconds": round(s, 3), "fps": round(rows / s, 1) if s > 0 else 0.0}
            for stage, s in self.seconds.items()
        }


def reprojection_errors(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """How far the body's limb joints lie from the keypoints of the same names, where they were seen.

    Only points with a score above `SEEN_SCORE` count. The person's height in pixels is what the body at
    rest would have, standing at the depth of the root.

    Returns:
        Distances (N,) in source pixels, and the same as shares of the person's height.
    """
    names = [n for n in LIMB_JOINTS if n in motion.keypoint_names and n in motion.joint_names]
    joint = [motion.joint_names.index(name) for name in names]
    keypoint = [motion.keypoint_names.index(name) for name in names]
    projected = project_points(motion.joints, motion.camera_T_world, motion.camera_K)
    points = motion.keypoints_2d[:, keypoint]
    distance = np.linalg.norm(projected[:, joint] - points[..., :2], axis=-1)
    share = distance / _height_px(motion)[:, None]
    counted = (points[..., 2] > SEEN_SCORE) & np.isfinite(share)
    return distance[counted], share[counted]


def _height_px(motion: Motion) -> np.ndarray:
    """(T,) height in pixels that the person would have standing upright at the depth of the root."""
    rotation, shift = motion.camera_T_world[:, :3, :3], motion.camera_T_world[:, :3, 3]
    depth = np.einsum("tj,tj->t", rotation[:, 2], motion.joints[:, 0]) + shift[:, 2]
    stature_m = float(motion.meta["stature_m"])
    return np.asarray(motion.camera_K[0, 0] * stature_m / np.where(depth > 1e-6, depth, np.nan))


def person_report(motion: Motion, person_id: int) -> dict[str, Any]:
    """What `report.json` says of one person."""
    confidence = motion.confidence if motion.confidence.ndim == 1 else motion.confidence.max(axis=1)
    distance, share = reprojection_errors(motion)
    return {
        "person": person_id,
        "rows_seen": int((confidence > 0).sum()),
        "rows_without": int((confidence <= 0).sum()),
        "mean_reprojection_error_px": round(float(distance.mean()), 3) if len(distance) else None,
        "mean_reprojection_error_of_height": round(float(share.mean()), 5) if len(share) else None,
        "foot_contact_share": [round(float(c), 3) for c in motion.foot_contact.mean(axis=0)],
        "notes": motion.meta["notes"],
    }


def mean_of(rows: list[dict[str, Any]], name: str) -> float | None:
    """Mean of a number that some rows may lack; `None` when all do."""
    numbers = [row[name] for row in rows if row[name] is not None]
    return round(sum(numbers) / len(numbers), 3) if numbers else None
