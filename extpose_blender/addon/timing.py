"""When things happen: rows of a motion, frames of a scene, pictures of a video. No Blender."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..protocol.motion import Motion

_NTSC = 1.001
_NEARLY = 1e-4
"""Relative difference below which a rate counts as the NTSC rate that it is close to."""


@dataclass(frozen=True)
class ClipTiming:
    """Where the rows of a clip lie in a scene."""

    frame_start: int
    """Scene frame of row 0."""
    frames_per_row: float
    """Scene frames from one row to the next: 1 in a file made for the clip."""
    time_s: np.ndarray
    """(T,) float64: when each row is on screen in the source, seconds from its first picture."""
    frame_index: np.ndarray
    """(T,) int64: source picture of each row."""

    def scene_frames(self, motion: Motion) -> np.ndarray:
        """(T,) float64: scene frame of each row of one person's motion."""
        first = int(np.argmin(np.abs(self.time_s - motion.time_s[0])))
        return self.frame_start + (first + np.arange(len(motion))) * self.frames_per_row

    @property
    def frame_end(self) -> int:
        """Last scene frame that shows a row."""
        return self.frame_start + int(np.floor((len(self.time_s) - 1) * self.frames_per_row + 1e-6))

    @property
    def whole_frames(self) -> np.ndarray:
        """(N,) int64: all scene frames of the clip."""
        return np.arange(self.frame_start, self.frame_end + 1)

    def rows_at(self, scene_frames: np.ndarray) -> np.ndarray:
        """(N,) int64: the row that is on screen at each scene frame."""
        rows = np.floor((scene_frames - self.frame_start) / self.frames_per_row + 1e-6)
        return np.clip(rows, 0, len(self.time_s) - 1).astype(np.int64)


def clip_timing(motions: Sequence[Motion], frame_start: int, scene_fps: float) -> ClipTiming:
    """Lay the rows of a clip out in a scene: all that any of its people was captured in.

    Args:
        motions: The people; their rows may begin and end at different times.
        frame_start: Scene frame of the first row.
        scene_fps: Frames per second of the scene.
    """
    times = np.concatenate([motion.time_s for motion in motions])
    # The same row has the same time for everybody: a microsecond tells two rows apart.
    _, first = np.unique(np.round(times * 1e6), return_index=True)
    index = np.concatenate([motion.frame_index for motion in motions])
    return ClipTiming(
        frame_start, scene_fps / motions[0].mocap_framerate, times[first], index[first]
    )


def fps_and_base(rate: float) -> tuple[int, float]:
    """A rate as Blender keeps it: a whole number over a base, such as 30 over 1.001.

    Args:
        rate: Frames per second, above 0.
    """
    whole = max(1, round(rate))
    base = whole / rate
    ntsc = max(1, round(rate * _NTSC))
    if abs(ntsc / _NTSC / rate - 1) < _NEARLY and abs(whole / rate - 1) > 1e-6:
        return ntsc, _NTSC
    return whole, base


def source_pictures(timing: ClipTiming, nominal_fps: float | None) -> np.ndarray:
    """(N,) int64 number, from 0, of the picture that belongs to each whole scene frame.

    Args:
        timing: The clip in the scene.
        nominal_fps: Rate at which Blender counts the movie's frames; it repeats pictures of a file
            with a variable rate, so that frame k shows time k / rate. `None` counts the pictures
            themselves, as an image sequence does.
    """
    rows = timing.rows_at(timing.whole_frames)
    if nominal_fps is None:
        return timing.frame_index[rows]
    # A hundredth of a frame covers the rounding of time stamps to milliseconds.
    return np.floor(timing.time_s[rows] * nominal_fps + 0.05).astype(np.int64)
