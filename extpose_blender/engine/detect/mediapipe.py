"""The shipped detector: MediaPipe's pose and hand networks, for several people per picture.

People are found by the person detector on views of the picture (`search_plan.py`) and confirmed by
the landmark network; from then on each is followed by one crop per picture, placed by the previous
landmarks. Nothing is smoothed: that is done once, for the whole clip, after the pose is solved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ...protocol.flow import Frame, FrameDetections
from ...protocol.skeletons import MEDIAPIPE_33
from .base import DEFAULT_MAX_PEOPLE, HAND_POINTS, check_state, empty_detections
from .followed import (
    STATE_COLUMNS,
    Followed,
    is_overshadowed,
    is_same_person,
    lies_on,
    person_region,
    pose_distance,
)
from .hand_landmarks import HAND_MODEL, HAND_PLACE_MODEL, HandLandmarker
from .person_finder import FINDER_MODEL, Candidate, PersonFinder
from .pose_landmarks import POSE_MODEL, PersonPose, PoseLandmarker
from .search_plan import SearchPlan
from .tflite import find_model

_MIN_SCORE = 0.5
_SEARCH_AROUND = 3.0
_RETRY_S = 0.15
_GIVE_UP_S = 1.0
_SMALLEST_RADIUS_PX = 16.0
_MOST_LOOKS = 4
_STAYS = 0.08
_MIN_WRIST_SCORE = 0.1
_ARMS = tuple(
    MEDIAPIPE_33.indices(f"{side}_elbow", f"{side}_wrist", f"{side}_pinky", f"{side}_index")
    for side in ("left", "right")
)
_LAST_PARTS = ("keypoints_2d", "hints_3d_m", "score", "hands_2d")


class MediaPipeDetector:
    """Several people per picture, 33 landmarks each, with 3D hints and, on request, hands."""

    skeleton = MEDIAPIPE_33.name

    def __init__(
        self, max_people: int = DEFAULT_MAX_PEOPLE, hands: bool = False, threads: int = 0
    ) -> None:
        """Load the models.

        Args:
            max_people: Most people followed at once.
            hands: Look for hands too.
            threads: CPU threads, 0 for all cores.

        Raises:
            MissingPackage: mediapipe or ai-edge-litert is not installed.
            MissingModel, BadModelFile: The wheel lacks a model, or it is damaged.
        """
        self._finder = PersonFinder(threads)
        self._landmarks = PoseLandmarker(threads)
        self._hands = HandLandmarker(threads) if hands else None
        self._max_people = max_people
        self._plan = SearchPlan()
        self._people: list[Followed] = []
        self._last_index = -1
        self._last = empty_detections(0, len(MEDIAPIPE_33))

    @staticmethod
    def model_files() -> list[Path]:
        """See `Detector`."""
        names = (FINDER_MODEL, POSE_MODEL, HAND_PLACE_MODEL, HAND_MODEL)
        return [find_model(name) for name in names]

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameDetections]:
        """See `Detector`."""
        for frame in frames:
            if frame.frame_index != self._last_index:
                self._last = self._detect(frame)
                self._last_index = frame.frame_index
            yield FrameDetections(frame.row, *(getattr(self._last, part) for part in _LAST_PARTS))

    def state(self) -> dict[str, np.ndarray]:
        """See `Detector`."""
        rows = [person.as_row() for person in self._people]
        return {
            "people": np.array(rows).reshape(len(rows), STATE_COLUMNS),
            "plan": self._plan.state(),
            "last_index": np.array(self._last_index),
            **{f"last_{part}": getattr(self._last, part) for part in _LAST_PARTS},
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """See `Detector`."""
        check_state(state, self.state(), "mediapipe")
        self._people = [Followed.from_row(row) for row in state["people"]]
        self._plan.restore(state["plan"])
        self._last_index = int(state["last_index"])
        self._last = FrameDetections(0, *(state[f"last_{part}"] for part in _LAST_PARTS))

    def close(self) -> None:
        """See `Detector`."""
        self._people = []

    def _detect(self, frame: Frame) -> FrameDetections:
        poses = self._follow(frame)
        self._search_lost(frame, poses)
        self._discover(frame, poses)
        seen = [(person, poses[id(person)]) for person in self._people if id(person) in poses]
        return self._pack(frame, seen)

    def _follow(self, frame: Frame) -> dict[int, PersonPose]:
        """Landmarks of everybody who was there in the previous picture."""
        poses: dict[int, PersonPose] = {}
        for person in [p for p in self._people if not p.lost]:
            pose = self._look(frame.image_rgb, person, person)
            if is_person(pose):
                poses[id(person)] = pose
            else:
                self._lose(person, frame.time_s)
        for person in self._drifted(poses):
            del poses[id(person)]
            self._lose(person, frame.time_s)
        for person in self._people:
            if id(person) in poses:
                person.see(poses[id(person)], frame.time_s)
        return poses

    def _look(
        self,
        image_rgb: np.ndarray,
        at: Candidate | PersonPose | Followed,
        person: Followed | None = None,
    ) -> PersonPose:
        """The pose of whoever is at a place; `person` is the one who is known to be there.

        Where no person is seen with the usual margin, or with less beside somebody larger, the
        other is tried.
        """
        others = [other for other in self._people if other is not person]
        radius = float(np.linalg.norm(at.top_px - at.hips_px))
        closely = is_overshadowed(at.hips_px, radius, others)
        pose = self._landmarks(image_rgb, person_region(at.hips_px, at.top_px, closely))
        if person is None or is_person(pose):
            return pose
        return self._landmarks(image_rgb, person_region(at.hips_px, at.top_px, not closely))

    def _drifted(self, poses: dict[int, PersonPose]) -> list[Followed]:
        """People whose crop slid onto somebody else: of two with one pose, the one who jumped
        further.
        """
        order = sorted(
            (person for person in self._people if id(person) in poses),
            key=lambda person: person.jump(poses[id(person)]),
        )
        kept: list[PersonPose] = []
        drifted = []
        for person in order:
            pose = poses[id(person)]
            if any(is_same_person(pose, other) for other in kept):
                drifted.append(person)
            else:
                kept.append(pose)
        return drifted

    def _lose(self, person: Followed, time_s: float) -> None:
        person.lost_s = person.next_try_s = time_s
        person.hand_regions = np.zeros((2, 4))
        self._plan.look_closely()

    def _search_lost(self, frame: Frame, poses: dict[int, PersonPose]) -> None:
        """Look around the place where somebody was lost, for a while."""
        for person in [p for p in self._people if p.lost and p.next_try_s <= frame.time_s]:
            view = np.array([*person.hips_px, _SEARCH_AROUND * person.radius_px, 0.0])
            where: list[Candidate | Followed] = [*self._finder.find(frame.image_rgb, view)]
            where.append(person)
            found = self._confirm(frame, where, poses)
            if found:
                nearest = min(found, key=person.jump)
                person.see(nearest, frame.time_s)
                poses[id(person)] = nearest
            person.next_try_s = frame.time_s + _RETRY_S if not found else np.inf
        self._people = [
            p for p in self._people if not p.lost or frame.time_s - p.lost_s < _GIVE_UP_S
        ]

    def _discover(self, frame: Frame, poses: dict[int, PersonPose]) -> None:
        """Look for people who are not followed, where and when the plan says."""
        height, width = frame.image_rgb.shape[:2]
        for view in self._plan.due_views(width, height, frame.time_s, len(poses)):
            for pose in self._confirm(frame, self._finder.find(frame.image_rgb, view), poses):
                if len(poses) >= self._max_people:
                    return
                person = Followed.from_pose(pose, frame.time_s)
                self._people.append(person)
                poses[id(person)] = pose
                self._plan.look_closely()

    def _confirm(
        self, frame: Frame, places: Sequence[Candidate | Followed], poses: dict[int, PersonPose]
    ) -> list[PersonPose]:
        """Poses of the people at some places who are not followed yet."""
        followed = [person for person in self._people if id(person) in poses]
        confirmed: list[PersonPose] = []
        for place in places:
            if any(person.matches(place) for person in followed):
                continue
            pose = self._settle(frame.image_rgb, place)
            others = (*poses.values(), *confirmed)
            if pose and not any(is_same_person(pose, o) or lies_on(pose, o) for o in others):
                confirmed.append(pose)
        return confirmed

    def _settle(self, image_rgb: np.ndarray, place: Candidate | Followed) -> PersonPose | None:
        """The pose of whoever is at a place, looked at again where it says that the person is,
        until it stays.

        A crop that shows somebody by chance, or two people, slides to the real one or finds nobody.
        """
        pose = self._look(image_rgb, place)
        for _ in range(_MOST_LOOKS - 1):
            before, pose = pose, self._look(image_rgb, pose)
            if not is_person(pose):
                return None
            if pose_distance(before.points_px, pose.points_px, pose.radius_px) < _STAYS:
                return pose
        return None

    def _pack(self, frame: Frame, people: Sequence[tuple[Followed, PersonPose]]) -> FrameDetections:
        if not people:
            return empty_detections(frame.row, len(MEDIAPIPE_33))
        scores = np.array([landmark_scores(pose) for _, pose in people])[..., None]
        points = np.array([pose.points_px for _, pose in people])
        hints = np.array([pose.world_m for _, pose in people])
        hands = [self._find_hands(frame.image_rgb, *entry) for entry in people]
        return FrameDetections(
            row=frame.row,
            keypoints_2d=np.concatenate([points, scores], -1).astype(np.float32),
            hints_3d_m=np.concatenate([hints, scores], -1).astype(np.float32),
            score=np.array([pose.score for _, pose in people], np.float32),
            hands_2d=np.array(hands, np.float32),
        )

    def _find_hands(self, image_rgb: np.ndarray, person: Followed, pose: PersonPose) -> np.ndarray:
        """(2, 21, 3) left and right hand of a person."""
        hands = np.zeros((2, HAND_POINTS, 3))
        if self._hands is None:
            return hands
        for side, arm in enumerate(_ARMS):
            hand = None
            if pose.visibility[arm[1]] >= _MIN_WRIST_SCORE:
                hand = self._hands.find(image_rgb, pose.points_px[arm], person.hand_regions[side])
            person.hand_regions[side] = hand.next_region if hand else 0.0
            if hand:
                hands[side] = np.hstack([hand.points_px, np.full((HAND_POINTS, 1), hand.score)])
        return hands


def is_person(pose: PersonPose) -> bool:
    """Whether the landmark network saw a person, and one large enough to be of use."""
    return pose.score >= _MIN_SCORE and pose.radius_px >= _SMALLEST_RADIUS_PX


def landmark_scores(pose: PersonPose) -> np.ndarray:
    """(33,) score of each landmark."""
    return pose.visibility * pose.presence
