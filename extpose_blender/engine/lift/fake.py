"""A lifter without a model: an upright body that waves, at the place where the keypoints are.

It drives the whole channel on any machine: instant, and the same result for the same input.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...protocol.flow import Intrinsics, LiftedTrack, Track
from ...protocol.skeletons import MODEL_SKELETONS
from .base import OnProgress, OnWindow, RestBody

_HEIGHT_M = 1.7
_WAVES_PER_SECOND = 0.5


class FakeLifter:
    """Poses a body without looking at more than the box around the keypoints.

    Args:
        body: Any body model.
        device: Taken and ignored.
    """

    def __init__(self, body: RestBody, device: str = "cpu") -> None:
        self.body = body

    @staticmethod
    def model_files() -> list[Path]:
        """Files that its results depend on: none."""
        return []

    def __call__(
        self,
        track: Track,
        intrinsics: Intrinsics,
        height_m: float | None = None,
        on_progress: OnProgress | None = None,
        on_window: OnWindow | None = None,
    ) -> LiftedTrack:
        """Make a body for every row; arguments as of `FitLifter`."""
        count, skeleton = len(track), MODEL_SKELETONS[self.body.model_type]
        betas = np.zeros(self.body.num_betas, np.float32)
        rotvec = np.zeros((count, len(skeleton), 3), np.float32)
        rotvec[:, 0, 0] = np.pi
        if "left_shoulder" in skeleton.index:
            wave = np.sin(2 * np.pi * _WAVES_PER_SECOND * np.arange(count) / track.fps)
            rotvec[:, skeleton.index["left_shoulder"], 2] = 0.4 * wave
            rotvec[:, skeleton.index["right_shoulder"], 2] = -0.4 * wave
        pelvis = self._pelvis(track, intrinsics, height_m or _HEIGHT_M)
        confidence = np.repeat(track.seen[:, None], len(skeleton), 1).astype(np.float32)
        lifted = LiftedTrack(
            track.person_id, self.body.model_type, self.body.body_id, rotvec,
            (pelvis - self.body.joints_rest(betas)[0]).astype(np.float32), betas, intrinsics,
            confidence, track.fps, ("made up by the lifter `fake`",),
        )  # fmt: skip
        if on_window is not None:
            on_window(slice(0, count), lifted)
        if on_progress is not None:
            on_progress(count, count)
        return lifted

    @staticmethod
    def _pelvis(track: Track, intrinsics: Intrinsics, height_m: float) -> np.ndarray:
        """(T, 3) the middle of the keypoints, as far away as their box is high."""
        rows = np.flatnonzero(track.seen)
        if not len(rows):
            return np.tile([0.0, 0.0, 3.0 * height_m], (len(track), 1))
        xy = track.keypoints_2d[rows, :, :2]
        low, high = xy.min(axis=1), xy.max(axis=1)
        tall = float(np.median(np.maximum(high[:, 1] - low[:, 1], 1.0)))
        depth = intrinsics.focal_px * height_m / tall
        middle = (low + high) / 2 - [intrinsics.width / 2, intrinsics.height / 2]
        places = np.concatenate(
            [middle * depth / intrinsics.focal_px, np.full((len(rows), 1), depth)], 1
        )
        return np.stack([np.interp(np.arange(len(track)), rows, column) for column in places.T], -1)
