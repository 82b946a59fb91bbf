"""A detector without models: made-up people who walk through the picture.

It drives the whole channel on a machine without MediaPipe, for tests and for trying the add-on.
What it says depends on a frame's time and size alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ...protocol.flow import Frame, FrameDetections
from ...protocol.skeletons import MEDIAPIPE_33
from .base import DEFAULT_MAX_PEOPLE, HAND_POINTS

_PEOPLE = 2
_HEIGHT_SHARE = 0.6
_HEIGHT_M = 1.7
_STEPS_PER_S = 0.9
_SWING_RAD = 0.5

_STANDING_M = {
    "nose": (0.0, -0.70, -0.10), "eye_inner": (0.015, -0.74, -0.09), "eye": (0.03, -0.74, -0.08),
    "eye_outer": (0.045, -0.74, -0.07), "ear": (0.075, -0.72, 0.0), "mouth": (0.02, -0.65, -0.09),
    "shoulder": (0.18, -0.49, 0.0), "elbow": (0.22, -0.20, 0.0), "wrist": (0.23, 0.05, 0.0),
    "pinky": (0.23, 0.13, 0.02), "index": (0.23, 0.14, -0.02), "thumb": (0.21, 0.10, -0.03),
    "hip": (0.09, 0.0, 0.0), "knee": (0.10, 0.42, 0.0), "ankle": (0.10, 0.84, 0.0),
    "heel": (0.10, 0.88, 0.04), "foot_index": (0.11, 0.90, -0.16),
}  # fmt: skip
"""The left half of somebody who stands and faces the camera: OpenCV axes, metres, from the hips."""

_ARM = ("elbow", "wrist", "pinky", "index", "thumb")
_LEG = ("knee", "ankle", "heel", "foot_index")


class FakeDetector:
    """Two walking people: one in the middle, a smaller one who passes behind."""

    skeleton = MEDIAPIPE_33.name

    def __init__(
        self, max_people: int = DEFAULT_MAX_PEOPLE, hands: bool = False, threads: int = 0
    ) -> None:
        """Arguments as for every detector; `threads` is taken and not needed."""
        self._count = min(max_people, _PEOPLE)
        self._hands = hands

    @staticmethod
    def model_files() -> list[Path]:
        """See `Detector`: none."""
        return []

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameDetections]:
        """See `Detector`."""
        for frame in frames:
            yield self._detect(frame)

    def state(self) -> dict[str, np.ndarray]:
        """See `Detector`: nothing is remembered."""
        return {}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """See `Detector`."""

    def close(self) -> None:
        """See `Detector`."""

    def _detect(self, frame: Frame) -> FrameDetections:
        height, width = frame.image_rgb.shape[:2]
        points = np.zeros((self._count, len(MEDIAPIPE_33), 3), np.float32)
        hints = np.zeros((self._count, len(MEDIAPIPE_33), 4), np.float32)
        hands = np.zeros((self._count, 2, HAND_POINTS, 3), np.float32)
        for i in range(self._count):
            walker_m = walking_person(frame.time_s + 0.3 * i)
            px_per_m = _HEIGHT_SHARE * height / _HEIGHT_M / (1 + i)
            swing = np.sin(2 * np.pi * frame.time_s / (8.0 + 3.0 * i))
            hips = np.array([width * (0.5 + 0.1 * (1 + 2 * i) * swing), height * 0.55])
            points[i, :, :2] = hips + px_per_m * walker_m[:, :2]
            points[i, :, 2] = 0.95
            hints[i] = np.hstack([walker_m, np.full((len(walker_m), 1), 0.95)])
            if self._hands:
                hands[i] = [_open_hand(points[i], side, px_per_m) for side in ("left", "right")]
        return FrameDetections(
            frame.row, points, hints, np.full(self._count, 0.99, np.float32), hands
        )


def walking_person(time_s: float) -> np.ndarray:
    """(33, 3) landmarks of somebody who walks on the spot: OpenCV axes, metres, from the hips."""
    phase = 2 * np.pi * _STEPS_PER_S * time_s
    points = np.zeros((len(MEDIAPIPE_33), 3))
    for i, name in enumerate(MEDIAPIPE_33.joint_names):
        side = -1.0 if "right" in name else 1.0
        part = "_".join(word for word in name.split("_") if word not in ("left", "right"))
        point = np.array(_STANDING_M[part]) * (side, 1.0, 1.0)
        if part in _ARM:
            point = _turned(point, np.array(_STANDING_M["shoulder"]), -side * np.sin(phase))
        if part in _LEG:
            point = _turned(point, np.zeros(3), side * np.sin(phase))
        points[i] = point
    return points


def _turned(point: np.ndarray, pivot: np.ndarray, share: float) -> np.ndarray:
    """A point swung forwards about a joint, around the axis to the side."""
    angle = _SWING_RAD * share
    c, s = np.cos(angle), np.sin(angle)
    y, z = point[1] - pivot[1], point[2] - pivot[2]
    return np.array([point[0], pivot[1] + c * y + s * z, pivot[2] - s * y + c * z])


def _open_hand(points: np.ndarray, side: str, px_per_m: float) -> np.ndarray:
    """(21, 3) a flat hand that hangs from the wrist."""
    wrist = points[MEDIAPIPE_33.index[f"{side}_wrist"], :2]
    hand = np.full((HAND_POINTS, 3), 0.9)
    hand[0, :2] = wrist
    for finger in range(5):
        for joint in range(4):
            away_m = np.array([(finger - 2) * 0.02, 0.09 + 0.03 * joint])
            hand[1 + 4 * finger + joint, :2] = wrist + px_per_m * away_m
    return hand
