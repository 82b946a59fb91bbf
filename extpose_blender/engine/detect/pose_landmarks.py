"""A person's 33 landmarks in one region: MediaPipe's full pose landmark network.

Sources: mediapipe:modules/pose_landmark/pose_landmark_by_roi_cpu.pbtxt,
tensors_to_pose_landmarks_and_segmentation.pbtxt and
calculators/util/refine_landmarks_from_heatmap_calculator.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .regions import crop_region, to_image
from .tflite import TfliteModel, sigmoid

POSE_MODEL = "pose_landmark/pose_landmark_full.tflite"
"""A network in MediaPipe's wheel."""

LANDMARKS = 33
_ALL_LANDMARKS = 39
_HIPS, _TOP = 33, 34
_WINDOW_REACH = 3
_MIN_REFINE_SCORE = 0.5


@dataclass(frozen=True)
class PersonPose:
    """What the network says about one region."""

    points_px: np.ndarray
    """(33, 2) landmarks, pixels of the picture."""
    visibility: np.ndarray
    """(33,) how likely a landmark is inside the picture and not hidden."""
    presence: np.ndarray
    """(33,) how likely a landmark is inside the region."""
    world_m: np.ndarray
    """(33, 3) metres, OpenCV camera axes, origin at the middle of the hips."""
    hips_px: np.ndarray
    """(2,) middle of the hips, pixels."""
    top_px: np.ndarray
    """(2,) a point on the circle around the hips that encloses the person, above the head."""
    score: float
    """How likely the region holds a person, 0 to 1."""

    @property
    def radius_px(self) -> float:
        """Radius of the circle around the hips that encloses the person, pixels."""
        return float(np.linalg.norm(self.top_px - self.hips_px))


class PoseLandmarker:
    """The landmark network."""

    def __init__(self, threads: int) -> None:
        """Load the model. Raises what `TfliteModel` raises."""
        self._net = TfliteModel(POSE_MODEL, threads)

    def __call__(self, image_rgb: np.ndarray, region: np.ndarray) -> PersonPose:
        """Find the landmarks of the person in a region (4,) of a picture (H, W, 3)."""
        crop = crop_region(image_rgb, region, self._net.side, cv2.BORDER_REPLICATE)
        raw, flag, _, heatmap, world = self._net(crop, 0.0, 1.0)
        landmarks = raw.reshape(_ALL_LANDMARKS, 5)
        unit = landmarks[:, :2] / self._net.side
        points = to_image(region, refine_points(unit, heatmap))
        turn = np.eye(3)
        c, s = np.cos(region[3]), np.sin(region[3])
        turn[:2, :2] = [[c, -s], [s, c]]
        return PersonPose(
            points_px=points[:LANDMARKS],
            visibility=sigmoid(landmarks[:LANDMARKS, 3]),
            presence=sigmoid(landmarks[:LANDMARKS, 4]),
            world_m=world.reshape(_ALL_LANDMARKS, 3)[:LANDMARKS] @ turn.T,
            hips_px=points[_HIPS],
            top_px=points[_TOP],
            score=float(flag[0]),
        )


def refine_points(points: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    """Move each point to the middle of the heat around it.

    Args:
        points: (K, 2) unit coordinates.
        heatmap: (h, w, K) logits.

    Returns:
        (K, 2) unit coordinates. Points without a hot cell in their 7×7 window, or outside, stay.
    """
    height, width, count = heatmap.shape
    # As in the source: cells are addressed by truncation and their index is taken as their place.
    cell = np.trunc(points * (width, height)).astype(int)
    reach = np.arange(-_WINDOW_REACH, _WINDOW_REACH + 1)
    columns = cell[:, 0, None] + reach  # (K, 7)
    rows = cell[:, 1, None] + reach
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    heat = sigmoid(
        heatmap[
            rows.clip(0, height - 1)[:, :, None],
            columns.clip(0, width - 1)[:, None, :],
            np.arange(count)[:, None, None],
        ]
    )
    heat = np.where(inside, heat, 0.0)  # (K, 7 rows, 7 columns)
    total = heat.sum((1, 2))
    x = (heat.sum(1) * columns).sum(1)
    y = (heat.sum(2) * rows).sum(1)
    middle = np.stack([x / width, y / height], -1) / np.maximum(total, 1e-9)[:, None]
    hot = heat.max((1, 2)) >= _MIN_REFINE_SCORE
    hot &= ((cell >= 0) & (cell < (width, height))).all(1)
    return np.where(hot[:, None], middle, points)
