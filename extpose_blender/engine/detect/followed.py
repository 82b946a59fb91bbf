"""People who are followed from picture to picture, and when two of them are one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ...protocol.skeletons import MEDIAPIPE_33
from .person_finder import Candidate
from .pose_landmarks import PersonPose
from .regions import region_from_axis

_BODY = np.array([0, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
_HEAD = np.array([0, 2, 5, 7, 8])
_BONES = np.array([(a, b) for a, b in MEDIAPIPE_33.pairs if a >= 11 and b >= 11])
_SEEN = 0.5
_ON_BONE = 0.09
_MOST = 0.8
_SAME_POSE = 0.14
_SAME_HEAD = 0.12
_SAME_HIPS = 0.35
_SAME_RADIUS = 1.6
_REGION_SCALE = 1.25
_CLOSE_SCALE = 1.1
_NEAR = 0.8
_REST_HZ = 0.01
_HZ_PER_SPEED = 10.0
_SPEED_HZ = 1.0
STATE_COLUMNS = 2 * 33 + 2 + 2 + 4 + 4 + 3 + 2 * 4


@dataclass
class Followed:
    """One person, seen in the last picture or lost a moment ago."""

    points_px: np.ndarray
    """(33, 2) landmarks where last seen, pixels."""
    hips_px: np.ndarray
    """(2,) middle of the hips, steadied, pixels."""
    top_px: np.ndarray
    """(2,) top of the enclosing circle, steadied, pixels."""
    seen_s: float
    """Time at which the person was last seen."""
    raw_px: np.ndarray
    """(4,) hips and top as the network last gave them, pixels."""
    speed: np.ndarray = field(default_factory=lambda: np.zeros(4))
    """(4,) speed of hips and top, steadied, diameters of the circle per second."""
    lost_s: float = np.inf
    """Time at which the person was lost; infinite while followed."""
    next_try_s: float = np.inf
    """When to search for a lost person again."""
    hand_regions: np.ndarray = field(default_factory=lambda: np.zeros((2, 4)))
    """(2, 4) where the left and right hand are in the next picture; size 0 where unknown."""

    @classmethod
    def from_pose(cls, pose: PersonPose, time_s: float) -> Followed:
        """Begin to follow somebody."""
        raw = np.concatenate([pose.hips_px, pose.top_px])
        return cls(pose.points_px, pose.hips_px, pose.top_px, time_s, raw)

    @property
    def lost(self) -> bool:
        """Whether the person is being looked for."""
        return bool(np.isfinite(self.lost_s))

    @property
    def radius_px(self) -> float:
        """Radius of the circle around the hips that encloses the person, pixels."""
        return float(np.linalg.norm(self.top_px - self.hips_px))

    def see(self, pose: PersonPose, time_s: float) -> None:
        """Take over where the person is now.

        The crop is steadied, not the landmarks: a crop that trembles makes them tremble more. It
        is a one euro filter (Casiez et al., CHI 2012) with the settings of
        mediapipe:modules/pose_landmark/pose_landmark_filtering.pbtxt for the same two points.
        """
        raw = np.concatenate([pose.hips_px, pose.top_px])
        if self.lost or time_s <= self.seen_s:
            fresh = Followed.from_pose(pose, time_s)
            self.hips_px, self.top_px, self.speed = fresh.hips_px, fresh.top_px, fresh.speed
        else:
            elapsed_s = time_s - self.seen_s
            speed = (raw - self.raw_px) / max(2 * pose.radius_px, 1e-6) / elapsed_s
            self.speed = self.speed + _follow_share(_SPEED_HZ, elapsed_s) * (speed - self.speed)
            share = _follow_share(_REST_HZ + _HZ_PER_SPEED * np.abs(self.speed), elapsed_s)
            before = np.concatenate([self.hips_px, self.top_px])
            self.hips_px, self.top_px = np.split(before + share * (raw - before), 2)
        self.points_px, self.raw_px, self.seen_s = pose.points_px, raw, time_s
        self.lost_s = self.next_try_s = np.inf

    def jump(self, pose: PersonPose) -> float:
        """How far a pose is from where the person was, in radii."""
        return pose_distance(self.points_px, pose.points_px, self.radius_px)

    def matches(self, other: Candidate | Followed) -> bool:
        """Whether a candidate is this person, judged by hips and size."""
        radius = float(np.linalg.norm(other.top_px - other.hips_px))
        mean = 0.5 * (radius + self.radius_px)
        near = float(np.linalg.norm(other.hips_px - self.hips_px)) < _SAME_HIPS * mean
        return near and max(radius, self.radius_px) < _SAME_RADIUS * min(radius, self.radius_px)

    def as_row(self) -> np.ndarray:
        """(STATE_COLUMNS,) float64 for `from_row`."""
        times = [self.seen_s, self.lost_s, self.next_try_s]
        parts = (self.points_px, self.hips_px, self.top_px, self.raw_px, self.speed, times)
        return np.concatenate([np.ravel(part) for part in (*parts, self.hand_regions)])

    @classmethod
    def from_row(cls, row: np.ndarray) -> Followed:
        """The person that `as_row` wrote."""
        points, hips, top, raw, speed, times, hands = np.split(row, [66, 68, 70, 74, 78, 81])
        seen_s, lost_s, next_try_s = (float(value) for value in times)
        return cls(
            points.reshape(33, 2), hips, top, seen_s, raw, speed, lost_s, next_try_s,
            hands.reshape(2, 4),
        )  # fmt: skip


def _follow_share(cutoff_hz: np.ndarray | float, elapsed_s: float) -> np.ndarray:
    """How much of a new value a low-pass filter takes over."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff_hz * elapsed_s)))


def person_region(hips_px: np.ndarray, top_px: np.ndarray, closely: bool = False) -> np.ndarray:
    """Where the landmark network should look for somebody.

    Args:
        hips_px: (2,) middle of the person's hips, pixels.
        top_px: (2,) top of the circle around the hips that encloses the person, pixels.
        closely: Leave less margin, which keeps the network from sliding to a neighbour, but may cut
            off a limb.

    Returns:
        (4,) region.
    """
    return region_from_axis(hips_px, top_px, _CLOSE_SCALE if closely else _REGION_SCALE)


def is_overshadowed(hips_px: np.ndarray, radius_px: float, others: Iterable[Followed]) -> bool:
    """Whether somebody larger stands so near that the landmark network may take the one for the
    other.
    """
    return any(
        other.radius_px > radius_px
        and np.linalg.norm(other.hips_px - hips_px) < _NEAR * (radius_px + other.radius_px)
        for other in others
    )


def pose_distance(a_px: np.ndarray, b_px: np.ndarray, radius_px: float) -> float:
    """Mean distance of the body landmarks of two poses (33, 2), in radii."""
    return float(np.linalg.norm(a_px[_BODY] - b_px[_BODY], axis=1).mean()) / max(radius_px, 1e-6)


def is_same_person(a: PersonPose, b: PersonPose) -> bool:
    """Whether two poses of one picture are of one person: the same pose, or the same head."""
    radius = max(0.5 * (a.radius_px + b.radius_px), 1e-6)
    weights = np.sqrt(a.visibility * b.visibility)
    gaps = np.linalg.norm(a.points_px - b.points_px, axis=1) / radius
    pose = float(weights[_BODY] @ gaps[_BODY] / max(weights[_BODY].sum(), 1e-6))
    heads = [pose.points_px[_HEAD].mean(0) for pose in (a, b)]
    head = float(np.linalg.norm(heads[0] - heads[1])) / radius
    return pose < _SAME_POSE or head < _SAME_HEAD


def lies_on(pose: PersonPose, other: PersonPose) -> bool:
    """Whether a pose is made of somebody else's limbs: nearly all it shows lies along the other's
    bones.
    """
    seen = pose.points_px[_BODY][pose.visibility[_BODY] > _SEEN]
    if not len(seen):
        return True
    start, end = other.points_px[_BONES[:, 0]], other.points_px[_BONES[:, 1]]
    along = end - start
    share = ((seen[:, None] - start) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-6)
    nearest = start + np.clip(share, 0, 1)[..., None] * along  # (points, bones, 2)
    gaps = np.linalg.norm(seen[:, None] - nearest, axis=-1).min(1)
    return bool((gaps < _ON_BONE * other.radius_px).mean() >= _MOST)
