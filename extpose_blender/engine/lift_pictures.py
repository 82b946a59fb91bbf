"""Lifting with a network that looks at the pictures.

    ahead    while the clip is read for detection: the person who leads so far is cropped and lifted
    after    once the tracks are known: what is still missing is read again and lifted

Both cut the same windows (`lift/windows.py`) and keep them under the same keys, so the result does not
depend on how much was done ahead, nor on how often the run was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..protocol.flow import ClipInfo, Frame, FrameDetections, LiftedWindow, Track
from .kept_windows import KeptWindows, Key
from .lift.base import Crop, PictureLifter
from .lift.windows import Window, WindowCutter, cut_windows
from .network_thread import NetworkThread
from .track.prominence import prominence
from .track.tracklets import Tracklet, TrackletFinder
from .video.clip import read_frames
from .video.sampling import Sampling

_READ_ON_ROWS = 64
"""Rows between two windows that are read rather than jumped over."""


def key_of(window: Window) -> Key:
    """Under what a window's result is kept."""
    return window.first_row, window.entries


@dataclass
class _Followed:
    """What is known of one tracklet while the clip is read."""

    cutter: WindowCutter
    weight: float = 0.0
    """Sum of its prominence so far."""
    crops: dict[int, Crop | None] = field(default_factory=dict)


class LiftAhead:
    """Sees every row as it is detected, and hands windows of the right people to the network.

    Args:
        lifter: Makes crops; lifts on the thread.
        thread: Gets the windows.
        kept: Windows that are lifted already.
        skeleton: Name of the detector's skeleton.
        fps: Rows per second.
        size: Width and height of the picture, pixels.
        everybody: Lift all, and not only who leads.
    """

    def __init__(
        self,
        lifter: PictureLifter,
        thread: NetworkThread,
        kept: KeptWindows,
        skeleton: str,
        fps: float,
        size: tuple[int, int],
        everybody: bool,
    ) -> None:
        self._lifter = lifter
        self._thread = thread
        self._kept = kept
        self._skeleton = skeleton
        self._size = size
        self._everybody = everybody
        self._finder = TrackletFinder(skeleton, fps)
        self._followed: dict[int, _Followed] = {}

    def pass_row(self, detections: FrameDetections) -> None:
        """Take a row that an earlier run detected: nobody is cropped, but people are followed."""
        self._take(detections, None)

    def see_row(self, frame: Frame, detections: FrameDetections) -> None:
        """Take a row with its picture."""
        self._take(detections, frame)

    def finish(self) -> None:
        """Hand over the last windows: the clip has ended."""
        for tracklet in self._finder.alive:
            self._end(tracklet)

    def _take(self, detections: FrameDetections, frame: Frame | None) -> None:
        for tracklet in self._finder.add(detections):
            self._end(tracklet)
        here = [t for t in self._finder.alive if t.rows[-1] == detections.row]
        for tracklet in here:
            followed = self._followed.setdefault(
                id(tracklet), _Followed(WindowCutter(self._lifter.frames))
            )
            points = detections.keypoints_2d[tracklet.entries[-1]][None]
            seen = np.ones(1, bool)
            followed.weight += prominence(points, seen, self._skeleton, *self._size)
        leader = max(here, key=lambda t: self._followed[id(t)].weight, default=None)
        for tracklet in here:
            wanted = frame is not None and (self._everybody or tracklet is leader)
            self._go_on(tracklet, detections, frame if wanted else None)

    def _go_on(self, tracklet: Tracklet, detections: FrameDetections, frame: Frame | None) -> None:
        followed, entry = self._followed[id(tracklet)], tracklet.entries[-1]
        if frame is not None:
            points = detections.keypoints_2d[entry]
            image = frame.image_rgb if self._lifter.wants_pictures else None
            followed.crops[detections.row] = self._lifter.crop(image, points, self._skeleton)
        self._hand_over(followed, followed.cutter.add(detections.row, entry))
        oldest = followed.cutter.oldest_row
        followed.crops = {row: crop for row, crop in followed.crops.items() if row >= oldest}

    def _end(self, tracklet: Tracklet) -> None:
        followed = self._followed.pop(id(tracklet))
        self._hand_over(followed, followed.cutter.finish())

    def _hand_over(self, followed: _Followed, windows: list[Window]) -> None:
        for window in windows:
            complete = all(row in followed.crops for row in window.seen_rows)
            if complete and key_of(window) not in self._kept:
                self._thread.put((window, _crops_of(window, followed.crops)))


def _crops_of(window: Window, crops: dict[int, Crop | None]) -> dict[int, Crop | None]:
    return {row: crops[row] for row in window.seen_rows}


def lift_missing(
    tracks: Sequence[Track],
    detections: Sequence[FrameDetections],
    lifter: PictureLifter,
    thread: NetworkThread,
    kept: KeptWindows,
    info: ClipInfo,
    sampling: Sampling,
    on_total: Callable[[int], None],
) -> None:
    """Read the rows of windows that are not lifted yet again, and lift them.

    Args:
        tracks: The people wanted.
        detections: One per row of the clip.
        lifter: Makes crops.
        thread: Gets the windows.
        kept: Windows that are lifted already.
        info: The clip.
        sampling: Which rows of it.
        on_total: Told first how many windows there are in all, lifted ones included.
    """
    skeleton = tracks[0].skeleton
    windows = [w for track in tracks for w in cut_windows(track.entries, lifter.frames)]
    missing = [window for window in windows if key_of(window) not in kept]
    on_total(len(kept) + len(missing))
    for run in _runs(sorted(missing, key=lambda window: window.first_row)):
        for row, image in _pictures(run, lifter.wants_pictures, info, sampling):
            _take_row(row, image, run, detections[row], skeleton, lifter, thread)


@dataclass
class _Pending:
    """A window that waits for its rows."""

    window: Window
    crops: dict[int, Crop | None] = field(default_factory=dict)


def _take_row(
    row: int,
    image: np.ndarray | None,
    run: list[_Pending],
    detections: FrameDetections,
    skeleton: str,
    lifter: PictureLifter,
    thread: NetworkThread,
) -> None:
    """Crop the people of a row for every window of the run, and hand over those that are complete."""
    made: dict[int, Crop | None] = {}
    for pending in [p for p in run if row in p.window.rows]:
        entry = pending.window.entries[row - pending.window.first_row]
        if entry >= 0:
            if entry not in made:
                made[entry] = lifter.crop(image, detections.keypoints_2d[entry], skeleton)
            pending.crops[row] = made[entry]
        if row + 1 == pending.window.rows.stop:
            thread.put((pending.window, pending.crops))
            run.remove(pending)


def _runs(windows: Iterable[Window]) -> Iterator[list[_Pending]]:
    """Windows in groups that are read in one go."""
    run: list[_Pending] = []
    end = 0
    for window in windows:
        if run and window.first_row > end + _READ_ON_ROWS:
            yield run
            run = []
        run.append(_Pending(window))
        end = max(end, window.rows.stop) if len(run) > 1 else window.rows.stop
    if run:
        yield run


def _pictures(
    run: list[_Pending], wanted: bool, info: ClipInfo, sampling: Sampling
) -> Iterator[tuple[int, np.ndarray | None]]:
    """The rows of a run, with their pictures where those are wanted."""
    first = min(pending.window.first_row for pending in run)
    end = max(pending.window.rows.stop for pending in run)
    if not wanted:
        yield from ((row, None) for row in range(first, end))
        return
    frames = read_frames(info, sampling, first)
    try:
        for frame in frames:
            yield frame.row, frame.image_rgb
            if frame.row + 1 == end:
                return
    finally:
        frames.close()


def windows_of(track: Track, frames: int, kept: KeptWindows) -> list[LiftedWindow]:
    """A track's windows, all lifted, in order."""
    return [kept[key_of(window)] for window in cut_windows(track.entries, frames)]
