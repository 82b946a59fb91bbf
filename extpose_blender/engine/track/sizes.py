"""How large a person is on screen, and how far two poses are apart, for any detector's skeleton.

The unit of every distance in tracking is the person's standing height in pixels, so that thresholds
mean the same for somebody near and somebody far.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ...protocol.skeletons import DETECTOR_SKELETONS, LIMB_JOINTS

_BONE_SHARES = {
    ("shoulder", "hip"): 0.288,
    ("shoulder", "elbow"): 0.172,
    ("elbow", "wrist"): 0.157,
    ("hip", "knee"): 0.245,
    ("knee", "ankle"): 0.246,
}
"""Length over standing height, from the mean segment lengths of Drillis and Contini (1966)."""

_SHOULDERS_SHARE = 0.21
_SEEN = 0.3


@dataclass(frozen=True)
class _Layout:
    """What tracking needs to know about a skeleton."""

    body: np.ndarray
    """Indices of the joints that are compared: limbs and nose."""
    bones: np.ndarray
    """(B, 2) indices of the bones that tell the size."""
    shares: np.ndarray
    """(B,) their length over standing height."""
    trunk: np.ndarray
    """Indices of shoulders and hips."""


@cache
def layout(skeleton: str) -> _Layout:
    """Joints and bones of a detector's skeleton that tracking looks at."""
    points = DETECTOR_SKELETONS[skeleton]
    bones, shares = [], []
    for (start, end), share in _BONE_SHARES.items():
        for side in ("left", "right"):
            bones.append(points.indices(f"{side}_{start}", f"{side}_{end}"))
            shares.append(share)
    bones.append(points.indices("left_shoulder", "right_shoulder"))
    shares.append(_SHOULDERS_SHARE)
    trunk = points.indices("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    return _Layout(
        np.array(points.indices("nose", *LIMB_JOINTS)),
        np.array(bones),
        np.array(shares),
        np.array(trunk),
    )


def body_heights(keypoints_2d: np.ndarray, skeleton: str) -> np.ndarray:
    """Standing height of each person in pixels, whatever the pose.

    A bone looks shorter than it is when it points at the camera, never longer: so the third longest
    of the estimates is taken, which forgives two misplaced points.

    Args:
        keypoints_2d: (..., K, 3) x, y, score.
        skeleton: Name of the detector's skeleton.

    Returns:
        (...) pixels, at least 1.
    """
    shape = layout(skeleton)
    start, end = keypoints_2d[..., shape.bones[:, 0], :], keypoints_2d[..., shape.bones[:, 1], :]
    heights = np.linalg.norm(start[..., :2] - end[..., :2], axis=-1) / shape.shares
    unsure = np.minimum(start[..., 2], end[..., 2]) < _SEEN
    ranked = np.sort(np.where(unsure, 0.5 * heights, heights), axis=-1)
    return np.maximum(ranked[..., -3], 1.0)


def body_middles(keypoints_2d: np.ndarray, skeleton: str) -> np.ndarray:
    """(..., 2) middle of shoulders and hips, pixels, from keypoints (..., K, 3)."""
    trunk = keypoints_2d[..., layout(skeleton).trunk, :]
    weights = trunk[..., 2:] + 1e-3
    return np.asarray((trunk[..., :2] * weights).sum(-2) / weights.sum(-2))


def pose_distances(
    a: np.ndarray, b: np.ndarray, height_px: np.ndarray, skeleton: str
) -> np.ndarray:
    """Mean distance of the body joints, in standing heights; surely seen joints count more.

    Args:
        a: (..., K, 3) x, y, score.
        b: (..., K, 3), broadcast against `a`.
        height_px: (...) standing height.
        skeleton: Name of the detector's skeleton.
    """
    body = layout(skeleton).body
    a, b = a[..., body, :], b[..., body, :]
    gaps = np.linalg.norm(a[..., :2] - b[..., :2], axis=-1) / np.asarray(height_px)[..., None]
    weights = np.sqrt(np.maximum(a[..., 2] * b[..., 2], 0.0)) + 0.05
    return np.asarray((weights * gaps).sum(-1) / weights.sum(-1))


def boxes_xyxy(keypoints_2d: np.ndarray, skeleton: str) -> np.ndarray:
    """(..., 4) boxes around the body joints of keypoints (..., K, 3), pixels."""
    xy = keypoints_2d[..., layout(skeleton).body, :2]
    return np.concatenate([xy.min(-2), xy.max(-2)], axis=-1)


def box_ious(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4), broadcast."""
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., 2:], b[..., 2:])
    both = np.prod(np.maximum(high - low, 0.0), axis=-1)
    areas = [np.prod(np.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (a, b)]
    return np.asarray(both / np.maximum(areas[0] + areas[1] - both, 1e-6))
