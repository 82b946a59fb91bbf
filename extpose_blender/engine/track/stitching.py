"""Joining tracklets across gaps, once the whole clip is known.

A person who was hidden comes back where the movement led, or where it stopped. All pairs of an end
and a later beginning are weighed at once, so that each end finds the beginning that fits best for
everybody.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from .sizes import body_middles, pose_distances
from .tracklets import Tracklet

LONGEST_GAP_S = 4.0
_REACH = 0.35
_REACH_PER_S = 0.45
_LONGEST_REACH = 0.8
_SIZE_RATIO = 1.45
_COAST_S = 0.6
_SECONDS_WEIGHT = 0.05
_ALONE = 0.9
"""Cost of leaving both apart: finite, so that two doubtful joins do not beat one good one."""


def stitch_tracklets(tracklets: list[Tracklet], skeleton: str, fps: float) -> list[Tracklet]:
    """Join tracklets that are one person seen before and after a gap.

    Args:
        tracklets: As `find_tracklets` gives them.
        skeleton: Name of the detector's skeleton.
        fps: Rows per second.

    Returns:
        Fewer or as many tracklets; those given are used up.
    """
    costs = np.full((len(tracklets), len(tracklets)), _ALONE)
    for i, before in enumerate(tracklets):
        for j, after in enumerate(tracklets):
            if 0 < after.rows[0] - before.rows[-1] <= LONGEST_GAP_S * fps + 1:
                costs[i, j] = _gap_cost(before, after, skeleton, fps)
    followers = {
        i: j for i, j in zip(*linear_sum_assignment(costs), strict=True) if costs[i, j] < _ALONE
    }
    heads = [i for i in range(len(tracklets)) if i not in followers.values()]
    for head in heads:
        at = head
        while at in followers:  # ends before beginnings: no circles
            at = followers[at]
            tracklets[head].join(tracklets[at])
    return [tracklets[head] for head in heads]


def _gap_cost(before: Tracklet, after: Tracklet, skeleton: str, fps: float) -> float:
    """Distance in standing heights between where one ends and another begins; forbidden beyond
    reach.
    """
    gap_s = (after.rows[0] - before.rows[-1]) / fps
    heights = before.height(), after.height(at_end=False)
    if max(heights) > _SIZE_RATIO * min(heights):
        return _ALONE
    height = np.array(sum(heights) / 2)
    end, start = before.last_points, after.first_points
    half = min(gap_s, 2 * _COAST_S) / 2
    led = end.copy(), start.copy()
    led[0][:, :2] += before.velocity() * half
    led[1][:, :2] -= after.velocity(at_end=False) * half
    moved = float(pose_distances(led[0], led[1], height, skeleton))
    step = body_middles(end, skeleton) - body_middles(start, skeleton)
    stood = float(np.linalg.norm(step) / height)
    distance = min(moved, stood + 0.1)
    if distance > min(_REACH + _REACH_PER_S * gap_s, _LONGEST_REACH):
        return _ALONE
    return min(distance + _SECONDS_WEIGHT * gap_s, _ALONE)
