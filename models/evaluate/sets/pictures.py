"""Pictures with one person or one hand each, as 4D-Humans and HaMeR list their evaluation sets.

Arrays of such a file, N rows: `imgname` paths below the picture folder, `center` (N, 2) and `scale`
(N,) or (N, 2) of the box in pixels, and what is known of: `body_keypoints_2d` (N, 25, 3),
`extra_keypoints_2d` (N, 19, 3), the same `_3d` with four columns, or `hand_keypoints_2d` (N, 21, 3),
`hand_keypoints_3d` (N, 21, 4), `right` (N,). The last column is a confidence.

Sources: shubham-goel/4D-Humans:hmr2/datasets/image_dataset.py and geopavlakos/hamer:
hamer/datasets/image_dataset.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from extpose_blender.engine.body.model_joints import BODY_44_NAMES
from extpose_blender.protocol.arrays import check_shape
from extpose_blender.protocol.errors import BadShape, InputError
from extpose_blender.protocol.skeletons import HAND_21

from .packed import PackedArrays, open_packed

_OPENPOSE_25, _EXTRA_19 = 25, 19
_DRAWN = (
    ("OP Nose", ""), ("OP Neck", "Neck (LSP)"), ("OP RShoulder", "Right Shoulder"),
    ("OP RElbow", "Right Elbow"), ("OP RWrist", "Right Wrist"), ("OP LShoulder", "Left Shoulder"),
    ("OP LElbow", "Left Elbow"), ("OP LWrist", "Left Wrist"), ("OP RHip", "Right Hip"),
    ("OP RKnee", "Right Knee"), ("OP RAnkle", "Right Ankle"), ("OP LHip", "Left Hip"),
    ("OP LKnee", "Left Knee"), ("OP LAnkle", "Left Ankle"), ("OP REye", ""), ("OP LEye", ""),
    ("OP REar", ""), ("OP LEar", ""),
)  # fmt: skip
"""OpenPose's 18 points, and what stands in for each where a set knows the other convention alone."""


@dataclass(frozen=True)
class PictureSet:
    """N pictures with a box each, and what is known of who is in it."""

    pictures: tuple[str, ...]
    """(N,) paths below the set's picture folder."""
    center_xy_px: np.ndarray
    """(N, 2) centre of the box."""
    tight_wh_px: np.ndarray
    """(N, 2) width and height of the box, before anything is added."""
    keypoints_2d: np.ndarray
    """(N, 44, 3) or (N, 21, 3) x, y in source pixels, confidence."""
    keypoints_3d: np.ndarray
    """(N, 44, 4) or (N, 21, 4) metres, confidence."""
    right: np.ndarray
    """(N,) bool: a right hand; true throughout for bodies."""

    def __post_init__(self) -> None:
        axes = {"N": len(self.pictures)}
        check_shape("center_xy_px", self.center_xy_px, ("N", 2), axes)
        check_shape("tight_wh_px", self.tight_wh_px, ("N", 2), axes)
        check_shape("keypoints_2d", self.keypoints_2d, ("N", "K", 3), axes)
        check_shape("keypoints_3d", self.keypoints_3d, ("N", "K", 4), axes)
        check_shape("right", self.right, ("N",), axes, kind="b")
        if not (self.tight_wh_px > 0).all():
            raise BadShape("every box must have a size above 0")

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def is_hands(self) -> bool:
        """Whether they are hands."""
        return self.keypoints_2d.shape[1] == len(HAND_21)

    def take(self, count: int | None) -> PictureSet:
        """The first pictures of the set; all for `None`."""
        rows = slice(count)
        return PictureSet(
            self.pictures[rows], self.center_xy_px[rows], self.tight_wh_px[rows],
            self.keypoints_2d[rows], self.keypoints_3d[rows], self.right[rows],
        )  # fmt: skip

    def drawn_points(self) -> np.ndarray:
        """(N, 18, 3) or (N, 21, 3) true keypoints as skeleton images draw them, source pixels."""
        if self.is_hands:
            return self.keypoints_2d
        rows = {name: i for i, name in enumerate(BODY_44_NAMES)}
        points = self.keypoints_2d[:, [rows[name] for name, _ in _DRAWN]]
        for i, (_, other) in enumerate(_DRAWN):
            if other:
                unknown = points[:, i, 2] <= 0
                points[unknown, i] = self.keypoints_2d[unknown, rows[other]]
        return points


def read_picture_set(path: Path) -> PictureSet:
    """Read an evaluation file of 4D-Humans or HaMeR; which of them is seen from its arrays.

    Raises:
        InputError: It is missing, damaged, or none; the message names the array.
    """
    with open_packed(path) as data:
        pictures = tuple(data.texts("imgname"))
        count = len(pictures)
        hands = "hand_keypoints_2d" in data.names
        try:
            return PictureSet(
                pictures,
                _array(data, "center", (count, 2)),
                _sides(data, count),
                _keypoints(data, count, 3, hands),
                _keypoints(data, count, 4, hands),
                _right(data, count),
            )
        except BadShape as reason:
            raise InputError(f"`{path}` is no evaluation set: {reason}") from reason


def _keypoints(data: PackedArrays, count: int, columns: int, hands: bool) -> np.ndarray:
    """Keypoints of a row in order; zeros, confidence too, for those that the set does not know."""
    groups = (("hand", len(HAND_21)),) if hands else (("body", _OPENPOSE_25), ("extra", _EXTRA_19))
    parts = []
    for word, points in groups:
        name, shape = f"{word}_keypoints_{columns - 1}d", (count, points, columns)
        parts.append(_array(data, name, shape) if name in data.names else np.zeros(shape))
    return np.concatenate(parts, axis=1)


def _sides(data: PackedArrays, count: int) -> np.ndarray:
    """(N, 2) sides of the boxes; one number stands for both."""
    sides = data.numbers("scale").astype(float)
    if sides.size not in (count, 2 * count):
        raise BadShape(f"`scale` must be ({count},) or ({count}, 2), not {sides.shape}")
    return np.broadcast_to(sides.reshape(count, -1), (count, 2)).copy()


def _right(data: PackedArrays, count: int) -> np.ndarray:
    if "right" not in data.names:
        return np.ones(count, bool)
    return np.asarray(_array(data, "right", (count,)) > 0)


def _array(data: PackedArrays, name: str, shape: tuple[int, ...]) -> np.ndarray:
    array = data.numbers(name)
    check_shape(name, array, shape, kind="fiub")
    return array.astype(float)
