"""Runs of detections that are surely one person: association from row to row.

Sure detections are matched first, unsure ones then continue what is left, as in ByteTrack (Zhang et
al., ECCV 2022); only sure ones begin something new. Distance is by pose rather than by box: people
who cross share a box for a while, but not a pose.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable

import numpy as np
from scipy.optimize import linear_sum_assignment

from ...protocol.flow import FrameDetections
from .sizes import body_heights, body_middles, box_ious, boxes_xyxy, layout, pose_distances

_SURE_SCORE = 0.6
_SAME_PERSON = 0.06
_VELOCITY_WINDOW_S = 0.3
_REACH = 0.22
_REACH_PER_S = 1.0
_LONGEST_REACH = 0.5
_ALIVE_S = 0.5
_HEIGHT_ROWS = 9
_BOX_WEIGHT = 0.1
_SIZE_WEIGHT = 0.3
_ALONE = 0.7
"""Cost of leaving two apart: finite, so that two wrong matches do not beat a right one."""


class Tracklet:
    """Detections of one person, in order.

    Keypoints are kept near both ends only, where they are compared; memory per row is a few bytes.

    Args:
        skeleton: Name of the detector's skeleton.
        fps: Rows per second.
    """

    def __init__(self, skeleton: str, fps: float) -> None:
        self.rows: array[int] = array("q")
        """Rows in which the person was seen."""
        self.entries: array[int] = array("q")
        """Which detection of each of those rows."""
        self._skeleton = skeleton
        self._fps = fps
        self._near = max(_HEIGHT_ROWS, int(_VELOCITY_WINDOW_S * fps) + 1)
        self._first: list[tuple[int, np.ndarray]] = []
        self._last: deque[tuple[int, np.ndarray]] = deque(maxlen=self._near)
        self._score_sum = 0.0

    def add(self, row: int, entry: int, detections: FrameDetections) -> None:
        """Go on with a detection."""
        self.rows.append(row)
        self.entries.append(entry)
        points = detections.keypoints_2d[entry].astype(float)
        if len(self._first) < self._near:
            self._first.append((row, points))
        self._last.append((row, points))
        self._score_sum += float(points[layout(self._skeleton).body, 2].mean())

    def join(self, later: Tracklet) -> None:
        """Append a tracklet that begins after this one ends."""
        self.rows += later.rows
        self.entries += later.entries
        self._first += later._first[: self._near - len(self._first)]
        self._last += later._last
        self._score_sum += later._score_sum

    @property
    def body_score(self) -> float:
        """Mean score of the body's joints over all rows."""
        return self._score_sum / len(self.rows)

    @property
    def first_points(self) -> np.ndarray:
        """(K, 3) keypoints in the first row."""
        return self._first[0][1]

    @property
    def last_points(self) -> np.ndarray:
        """(K, 3) keypoints in the last row."""
        return self._last[-1][1]

    def velocity(self, at_end: bool = True) -> np.ndarray:
        """(2,) pixels per second of the body's middle near one end, over a short window."""
        reach = _VELOCITY_WINDOW_S * self._fps
        if at_end:
            near = [(row, points) for row, points in self._last if row >= self.rows[-1] - reach]
        else:
            near = [(row, points) for row, points in self._first if row <= self.rows[0] + reach]
        if len(near) < 2:
            return np.zeros(2)
        times = np.array([row for row, _ in near]) / self._fps
        middles = body_middles(np.array([points for _, points in near]), self._skeleton)
        times = times - times.mean()
        return np.asarray(times @ (middles - middles.mean(0)) / (times @ times))

    def height(self, at_end: bool = True) -> float:
        """Median standing height in pixels near one end."""
        near = list(self._last)[-_HEIGHT_ROWS:] if at_end else self._first[:_HEIGHT_ROWS]
        return float(np.median(body_heights(np.array([p for _, p in near]), self._skeleton)))


class TrackletFinder:
    """Joins detections from row to row as they come; what it has joined never changes later.

    Args:
        skeleton: Name of the detector's skeleton.
        fps: Rows per second.
    """

    def __init__(self, skeleton: str, fps: float) -> None:
        self._skeleton = skeleton
        self._fps = fps
        self._finished: list[Tracklet] = []
        self.alive: list[Tracklet] = []
        """Tracklets that may still go on."""

    def add(self, frame: FrameDetections) -> list[Tracklet]:
        """Take the detections of the next row; people within a row may come in any order.

        Returns:
            The tracklets that have ended for good.
        """
        longest_s = max(_ALIVE_S, 1.5 / self._fps)
        ended = [t for t in self.alive if (frame.row - t.rows[-1]) / self._fps > longest_s]
        self._finished += ended
        self.alive = [t for t in self.alive if t not in ended]
        single = _without_doubles(frame, self._skeleton)
        sure = [i for i in single if frame.score[i] >= _SURE_SCORE]
        unsure = [i for i in single if frame.score[i] < _SURE_SCORE]
        free, new = _extend(self.alive, frame, sure, self._skeleton, self._fps)
        _extend(free, frame, unsure, self._skeleton, self._fps)
        for entry in new:
            tracklet = Tracklet(self._skeleton, self._fps)
            tracklet.add(frame.row, entry, frame)
            self.alive.append(tracklet)
        return ended

    def all(self) -> list[Tracklet]:
        """Every tracklet so far, by first row. No detection belongs to two."""
        return sorted(
            self._finished + self.alive, key=lambda t: (t.rows[0], *t.first_points[0].tolist())
        )


def find_tracklets(
    detections: Iterable[FrameDetections], skeleton: str, fps: float
) -> list[Tracklet]:
    """Join the detections of a whole clip, given in order of rows.

    Args:
        detections: In order of rows. People within a frame may come in any order.
        skeleton: Name of the detector's skeleton.
        fps: Rows per second.
    """
    finder = TrackletFinder(skeleton, fps)
    for frame in detections:
        finder.add(frame)
    return finder.all()


def _without_doubles(frame: FrameDetections, skeleton: str) -> list[int]:
    """Detections without the weaker of two equal poses, in an order set by the people alone."""
    first = frame.keypoints_2d[:, 0]
    order = np.lexsort((first[:, 1], first[:, 0], -frame.score))
    heights = body_heights(frame.keypoints_2d, skeleton)
    kept: list[int] = []
    for i in order:
        poses = frame.keypoints_2d[[i]], frame.keypoints_2d[kept]
        if np.all(pose_distances(*poses, heights[kept], skeleton) > _SAME_PERSON):
            kept.append(int(i))
    return kept


def _extend(
    tracklets: list[Tracklet], frame: FrameDetections, entries: list[int], skeleton: str, fps: float
) -> tuple[list[Tracklet], list[int]]:
    """Match tracklets with some detections of a row; returns what stayed without a partner."""
    if not tracklets or not entries:
        return list(tracklets), list(entries)
    costs = np.array([_costs(t, frame, entries, skeleton, fps) for t in tracklets])
    matches = [
        (i, j) for i, j in zip(*linear_sum_assignment(costs), strict=True) if costs[i, j] < _ALONE
    ]
    for i, j in matches:
        tracklets[i].add(frame.row, entries[j], frame)
    taken = {i for i, _ in matches}, {j for _, j in matches}
    return (
        [t for i, t in enumerate(tracklets) if i not in taken[0]],
        [e for j, e in enumerate(entries) if j not in taken[1]],
    )


def _costs(
    tracklet: Tracklet, frame: FrameDetections, entries: list[int], skeleton: str, fps: float
) -> np.ndarray:
    """(entries,) what it costs to go on with each detection, `_ALONE` beyond reach."""
    elapsed_s = (frame.row - tracklet.rows[-1]) / fps
    predicted = tracklet.last_points.copy()
    predicted[:, :2] += tracklet.velocity() * min(elapsed_s, _ALIVE_S)
    poses = frame.keypoints_2d[entries].astype(float)
    height = tracklet.height()
    heights = body_heights(poses, skeleton)
    ratio = np.minimum(np.abs(np.log(heights / height)), 1.0)
    distance = pose_distances(predicted, poses, np.maximum(heights, height), skeleton)
    ious = box_ious(boxes_xyxy(predicted, skeleton), boxes_xyxy(poses, skeleton))
    reach = min(_REACH + _REACH_PER_S * elapsed_s, _LONGEST_REACH)
    costs = distance + _BOX_WEIGHT * (1 - ious) + _SIZE_WEIGHT * ratio
    return np.where(distance > reach, _ALONE, np.minimum(costs, _ALONE))
