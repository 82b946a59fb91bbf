"""Runs of detections that are surely one person: association from row to row.

Sure detections are matched first, unsure ones then continue what is left, as in ByteTrack (Zhang et
al., ECCV 2022); only sure ones begin something new. Distance is by pose rather than by box: people
who cross share a box for a while, but not a pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from ...protocol.flow import FrameDetections
from .sizes import body_heights, body_middles, box_ious, boxes_xyxy, pose_distances

_SURE_SCORE = 0.6
_SAME_PERSON = 0.06
_VELOCITY_WINDOW_S = 0.3
_REACH = 0.22
_REACH_PER_S = 1.0
_LONGEST_REACH = 0.5
_ALIVE_S = 0.5
_BOX_WEIGHT = 0.1
_SIZE_WEIGHT = 0.3
_ALONE = 0.7
"""Cost of leaving two apart: finite, so that two wrong matches do not beat a right one."""


@dataclass
class Tracklet:
    """Detections of one person, in order."""

    rows: list[int] = field(default_factory=list)
    """Rows in which the person was seen."""
    entries: list[int] = field(default_factory=list)
    """Which detection of each of those rows."""
    keypoints: list[np.ndarray] = field(default_factory=list)
    """(K, 3) per row."""
    scores: list[float] = field(default_factory=list)
    """The detector's score per row."""

    def add(self, row: int, entry: int, detections: FrameDetections) -> None:
        """Go on with a detection."""
        self.rows.append(row)
        self.entries.append(entry)
        self.keypoints.append(detections.keypoints_2d[entry].astype(float))
        self.scores.append(float(detections.score[entry]))

    def join(self, later: Tracklet) -> None:
        """Append a tracklet that begins after this one ends."""
        self.rows += later.rows
        self.entries += later.entries
        self.keypoints += later.keypoints
        self.scores += later.scores

    def velocity(self, fps: float, skeleton: str, at_end: bool = True) -> np.ndarray:
        """(2,) pixels per second of the body's middle near one end, over a short window."""
        reach = _VELOCITY_WINDOW_S * fps
        rows = np.array(self.rows)
        near = rows >= rows[-1] - reach if at_end else rows <= rows[0] + reach
        if near.sum() < 2:
            return np.zeros(2)
        times = rows[near] / fps
        points = np.array([k for k, keep in zip(self.keypoints, near, strict=True) if keep])
        middles = body_middles(points, skeleton)
        times = times - times.mean()
        return np.asarray(times @ (middles - middles.mean(0)) / (times @ times))

    def height(self, skeleton: str, at_end: bool = True, count: int = 9) -> float:
        """Median standing height in pixels near one end."""
        points = self.keypoints[-count:] if at_end else self.keypoints[:count]
        return float(np.median(body_heights(np.array(points), skeleton)))


def find_tracklets(
    detections: Sequence[FrameDetections], skeleton: str, fps: float
) -> list[Tracklet]:
    """Join detections from row to row.

    Args:
        detections: In order of rows. People within a frame may come in any order.
        skeleton: Name of the detector's skeleton.
        fps: Rows per second.

    Returns:
        Tracklets, by first row. No detection belongs to two.
    """
    finished: list[Tracklet] = []
    alive: list[Tracklet] = []
    for frame in detections:
        ended = [t for t in alive if (frame.row - t.rows[-1]) / fps > max(_ALIVE_S, 1.5 / fps)]
        finished += ended
        alive = [t for t in alive if t not in ended]
        single = _without_doubles(frame, skeleton)
        sure = [i for i in single if frame.score[i] >= _SURE_SCORE]
        unsure = [i for i in single if frame.score[i] < _SURE_SCORE]
        free, new = _extend(alive, frame, sure, skeleton, fps)
        _extend(free, frame, unsure, skeleton, fps)
        for entry in new:
            tracklet = Tracklet()
            tracklet.add(frame.row, entry, frame)
            alive.append(tracklet)
    return sorted(finished + alive, key=lambda t: (t.rows[0], *t.keypoints[0][0]))


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
    predicted = tracklet.keypoints[-1].copy()
    predicted[:, :2] += tracklet.velocity(fps, skeleton) * min(elapsed_s, _ALIVE_S)
    poses = frame.keypoints_2d[entries].astype(float)
    height = tracklet.height(skeleton)
    heights = body_heights(poses, skeleton)
    ratio = np.minimum(np.abs(np.log(heights / height)), 1.0)
    distance = pose_distances(predicted, poses, np.maximum(heights, height), skeleton)
    ious = box_ious(boxes_xyxy(predicted, skeleton), boxes_xyxy(poses, skeleton))
    reach = min(_REACH + _REACH_PER_S * elapsed_s, _LONGEST_REACH)
    costs = distance + _BOX_WEIGHT * (1 - ious) + _SIZE_WEIGHT * ratio
    return np.where(distance > reach, _ALONE, np.minimum(costs, _ALONE))
