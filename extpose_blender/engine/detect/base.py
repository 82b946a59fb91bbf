"""What every 2D detector is, so that a new one is one file beside this one.

A detector is a class that the catalog names. It is made once per clip and fed the frames in order:

    detector = SomeDetector(max_people=10, hands=False, threads=0)
    for detections in detector(frames):
        ...

It may remember what it saw. A run that was killed goes on from the end of a finished chunk of
frames: the caller stores `state()` with each chunk and gives it to `restore()` of a fresh detector,
which then delivers the same numbers, bit for bit, as the undisturbed run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from ...protocol.errors import BadModelFile
from ...protocol.flow import Frame, FrameDetections

DEFAULT_MAX_PEOPLE = 10
"""People followed at once when the caller does not say."""

HAND_POINTS = 21
"""Points per hand in `FrameDetections.hands_2d`."""


class Detector(Protocol):
    """Finds people and their keypoints, frame by frame.

    Made with keyword arguments `max_people` (most people per frame), `hands` (look for hands too)
    and `threads` (CPU threads, 0 for all cores).
    """

    skeleton: str
    """Name of the keypoints' skeleton, a key of `DETECTOR_SKELETONS`."""

    @staticmethod
    def model_files() -> list[Path]:
        """Files that its results depend on, for `report.json`."""
        ...

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameDetections]:
        """Detect in frames that come in order; one result per frame, made when it is asked for.

        Rows that show the same source picture (equal `frame_index`) get equal people.
        """
        ...

    def state(self) -> dict[str, np.ndarray]:
        """What is remembered between frames, as arrays for an .npz."""
        ...

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state of a detector made with the same arguments.

        Raises:
            BadModelFile: The state is not one of this detector's.
        """
        ...

    def close(self) -> None:
        """Free models and threads. May be called twice."""
        ...


def check_state(state: dict[str, np.ndarray], wanted: Iterable[str], detector: str) -> None:
    """Refuse a stored state that lacks an array.

    Raises:
        BadModelFile: It was written by another detector or another version.
    """
    missing = sorted(set(wanted) - state.keys())
    if missing:
        raise BadModelFile(
            f"The stored state of detector `{detector}` lacks {', '.join(missing)}",
            "Run again with `--no-resume`",
        )


def empty_detections(row: int, points: int) -> FrameDetections:
    """The result for a frame without people; `points` is the length of the skeleton."""
    return FrameDetections(
        row=row,
        keypoints_2d=np.zeros((0, points, 3), np.float32),
        hints_3d_m=np.zeros((0, points, 4), np.float32),
        score=np.zeros(0, np.float32),
        hands_2d=np.zeros((0, 2, HAND_POINTS, 3), np.float32),
    )
