"""Hands of a person whose body landmarks are known, as MediaPipe's holistic graph finds them.

The body's wrist, index and little finger say roughly where a hand is; a small network places the
crop; while a hand is followed its own landmarks place it.
Sources: mediapipe:modules/holistic_landmark/hand_landmarks_from_pose_cpu.pbtxt,
hand_recrop_by_roi_cpu.pbtxt, hand_landmarks_to_roi.pbtxt and
modules/hand_landmark/hand_landmark_cpu.pbtxt.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .regions import crop_region, region_around, region_from_axis, to_image
from .tflite import TfliteModel

HAND_MODEL = "hand_landmark/hand_landmark_full.tflite"
HAND_PLACE_MODEL = "holistic_landmark/hand_recrop.tflite"
"""A network in MediaPipe's wheel."""

_PALM = np.array([0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18])
_WRIST, _INDEX_PIP, _MIDDLE_PIP, _RING_PIP = 0, 6, 10, 14
_SEARCH_SCALE = 2.7
_FOLLOW_SCALE = 2.0
_SHIFT_UP = 0.1
_MIN_SCORE = 0.5
_MIDDLE_KNUCKLE = 9
_FOREARM_PER_PALM = 2.6
_WRIST_REACH = 0.4
_SMALLEST_SEARCH = 0.35
_FOLLOW_REACH = 0.5
_FOLLOW_SIZES = 1.8


@dataclass(frozen=True)
class HandPose:
    """A hand in one picture."""

    points_px: np.ndarray
    """(21, 2) pixels."""
    score: float
    """How likely it is a hand, 0 to 1."""

    @property
    def next_region(self) -> np.ndarray:
        """(4,) where to look for this hand in the next picture."""
        points = self.points_px
        knuckles = 0.25 * (points[_INDEX_PIP] + points[_RING_PIP]) + 0.5 * points[_MIDDLE_PIP]
        dx, dy = knuckles - points[_WRIST]
        return region_around(points[_PALM], float(np.arctan2(dx, -dy)), _FOLLOW_SCALE, _SHIFT_UP)


class HandLandmarker:
    """The two hand networks."""

    def __init__(self, threads: int) -> None:
        """Load the models. Raises what `TfliteModel` raises."""
        self._place = TfliteModel(HAND_PLACE_MODEL, threads)
        self._net = TfliteModel(HAND_MODEL, threads)

    def find(
        self, image_rgb: np.ndarray, arm_px: np.ndarray, previous: np.ndarray
    ) -> HandPose | None:
        """Find one hand.

        Args:
            image_rgb: (H, W, 3) uint8.
            arm_px: (4, 2) the body's elbow, wrist, little finger and index of this arm, pixels.
            previous: (4,) `next_region` of this hand in the previous picture; size 0 if there was
                none.

        Returns:
            The hand, or None where none is seen.
        """
        placed = self._place_region(image_rgb, arm_px)
        regions = [previous, placed] if _agree(previous, placed) else [placed]
        for region in regions:
            hand = self._landmarks(image_rgb, region)
            if hand.score >= _MIN_SCORE and _belongs(hand, arm_px):
                return hand
        return None

    def _place_region(self, image_rgb: np.ndarray, arm_px: np.ndarray) -> np.ndarray:
        """The region (4,) for the landmark network, from the body's landmarks."""
        search = _search_region(arm_px)
        crop = crop_region(image_rgb, search, self._place.side, cv2.BORDER_REPLICATE)
        (raw,) = self._place(crop, 0.0, 1.0)
        middle, edge = to_image(search, raw.reshape(2, 2) / self._place.side)
        region = region_from_axis(middle, 2 * middle - edge, 1.0)  # the edge point lies below
        c, s = np.cos(region[3]), np.sin(region[3])
        region[:2] += _SHIFT_UP * region[2] * np.array([s, -c])
        return region

    def _landmarks(self, image_rgb: np.ndarray, region: np.ndarray) -> HandPose:
        crop = crop_region(image_rgb, region, self._net.side, cv2.BORDER_REPLICATE)
        raw, flag, _, _ = self._net(crop, 0.0, 1.0)
        points = to_image(region, raw.reshape(21, 3)[:, :2] / self._net.side)
        return HandPose(points, float(flag[0]))


def _search_region(arm_px: np.ndarray) -> np.ndarray:
    elbow, wrist, pinky, index = arm_px
    middle = (2 * index + pinky) / 3
    region = region_from_axis(middle, 2 * middle - wrist, _SEARCH_SCALE)
    # A hand that points at the camera looks short: its crop is no smaller than the forearm says.
    forearm = float(np.linalg.norm(wrist - elbow))
    region[2] = max(region[2], _SEARCH_SCALE * _SMALLEST_SEARCH * forearm, 1.0)
    return region


def _belongs(hand: HandPose, arm_px: np.ndarray) -> bool:
    """Whether a hand hangs on this arm: beside another hand the crop may show that one."""
    elbow, wrist = arm_px[:2]
    palm = float(np.linalg.norm(hand.points_px[_MIDDLE_KNUCKLE] - hand.points_px[_WRIST]))
    reach = max(float(np.linalg.norm(wrist - elbow)), _FOREARM_PER_PALM * palm)
    return bool(np.linalg.norm(hand.points_px[_WRIST] - wrist) < _WRIST_REACH * reach)


def _agree(previous: np.ndarray, placed: np.ndarray) -> bool:
    """Whether the followed region is still where the body says that the hand is."""
    if previous[2] <= 0:
        return False
    near = float(np.linalg.norm(previous[:2] - placed[:2])) < _FOLLOW_REACH * placed[2]
    return near and 1 / _FOLLOW_SIZES < previous[2] / placed[2] < _FOLLOW_SIZES
