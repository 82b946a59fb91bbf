"""Where people may be: MediaPipe's person detector on square views of a picture.

The detector was made for one person near the camera. People who are small in the whole picture are
found in tiles of it.
Sources: mediapipe:modules/pose_detection/pose_detection_cpu.pbtxt (anchors, decoding, suppression).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .regions import crop_region
from .tflite import TfliteModel, sigmoid

FINDER_MODEL = "pose_detection/pose_detection.tflite"
"""A network in MediaPipe's wheel."""

_STRIDES = (8, 16, 32, 32, 32)
_ANCHORS_PER_STRIDE = 2
_MIN_SCORE = 0.5
_SAME_BOX_IOU = 0.3


@dataclass(frozen=True)
class Candidate:
    """Perhaps a person."""

    hips_px: np.ndarray
    """(2,) middle of the hips, pixels."""
    top_px: np.ndarray
    """(2,) a point on the circle around the hips that encloses the whole person, above the head."""
    score: float
    """How sure the detector is, 0 to 1."""


def tile_views(width: int, height: int, side: float) -> list[np.ndarray]:
    """Square views that cover a picture in reading order, neighbours overlapping by about 0.4 of
    their side.

    Args:
        width: Picture width, pixels.
        height: Picture height, pixels.
        side: Side of a view, pixels.

    Returns:
        Regions (4,), unturned.
    """
    xs, ys = (_tile_middles(length, side) for length in (width, height))
    return [np.array([x, y, side, 0.0]) for y in ys for x in xs]


def _tile_middles(length: int, side: float) -> np.ndarray:
    if side >= length:
        return np.array([length / 2])
    count = int(np.ceil((length - side) / (0.6 * side))) + 1
    return np.linspace(side / 2, length - side / 2, count)


class PersonFinder:
    """The person detector."""

    def __init__(self, threads: int) -> None:
        """Load the model. Raises what `TfliteModel` raises."""
        self._net = TfliteModel(FINDER_MODEL, threads)
        self._anchors = _anchor_middles(self._net.side)

    def find(self, image_rgb: np.ndarray, view: np.ndarray) -> list[Candidate]:
        """Candidates in one square view (4,) of a picture (H, W, 3), best first."""
        crop = crop_region(image_rgb, view, self._net.side, cv2.BORDER_CONSTANT)
        raw_boxes, raw_scores = self._net(crop, -1.0, 1.0)  # (2254, 12), (2254, 1)
        scores = sigmoid(raw_scores[:, 0])
        keep = scores >= _MIN_SCORE
        if not keep.any():
            return []
        boxes = raw_boxes[keep] / self._net.side  # x, y, width, height, then four points
        boxes[:, :2] += self._anchors[keep]
        boxes[:, 4:] += np.tile(self._anchors[keep], 4)
        return [_candidate(view, box, score) for box, score in _merge_boxes(boxes, scores[keep])]


def _candidate(view: np.ndarray, box: np.ndarray, score: float) -> Candidate:
    corner = view[:2] - view[2] / 2
    hips, top = corner + view[2] * box[4:8].reshape(2, 2)
    return Candidate(hips, top, score)


def _anchor_middles(side: int) -> np.ndarray:
    """(2254, 2) middles of the anchors, unit coordinates: anchors of equal strides share their
    cell.
    """
    middles = []
    for stride in sorted(set(_STRIDES)):
        cells = side // stride
        line = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
        middles.append(np.repeat(grid, _ANCHORS_PER_STRIDE * _STRIDES.count(stride), axis=0))
    return np.concatenate(middles).astype(np.float32)


def _merge_boxes(boxes: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Weighted suppression: each group of overlapping boxes becomes its mean, weighted by score."""
    left = list(np.argsort(-scores, kind="stable"))
    merged = []
    while left:
        best = left[0]
        same = [i for i in left if i == best or _iou(boxes[best], boxes[i]) > _SAME_BOX_IOU]
        weights = scores[same] / scores[same].sum()
        merged.append((weights @ boxes[same], float(scores[best])))
        left = [i for i in left if i not in same]
    return merged


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes given by middle, width and height."""
    low = np.maximum(a[:2] - a[2:4] / 2, b[:2] - b[2:4] / 2)
    high = np.minimum(a[:2] + a[2:4] / 2, b[:2] + b[2:4] / 2)
    both = float(np.prod(np.maximum(high - low, 0.0)))
    union = float(a[2] * a[3] + b[2] * b[3]) - both
    return both / union if union > 0 else 0.0
