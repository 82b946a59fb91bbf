"""How the camera turns: pan, tilt, roll and a shaking hand, from the background behind the people.

Corners of the background are followed from a key picture to the following ones, always against the
key picture itself, so that a camera on a tripod shows no drift however long the clip. They are
taken evenly from all parts of the picture, so that no moving thing of strong contrast outvotes the
rest. The movement of each looked-at picture is kept as a homography, which needs no focal length;
`finish` turns homographies into rotations when the focal length is known. A clip whose background
stays in place gets exact identity.

Sources: J. Shi and C. Tomasi, Good features to track, 1994; B. D. Lucas and T. Kanade, 1981, in
OpenCV's pyramid form; W. Kabsch, 1976, for the rotation between two sets of directions.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import cv2
import numpy as np

from ...protocol.arrays import check_shape
from ...protocol.errors import BadShape
from ...protocol.flow import Frame, Intrinsics
from ...protocol.geometry import continuous_quats, quat_to_rotmat, rotmat_to_quat

_LONG_SIDE = 480
"""Pictures are looked at with their longer side reduced to this, pixels ("small pixels" below)."""

_INTERVAL_S = 0.06
"""Pictures closer to each other than this are not looked at; their rotation is interpolated."""

_CELL = 60
"""Side of the cells into which a picture is divided, small pixels."""

_PER_CELL = 4
"""Corners that are followed in each cell."""

_FEWEST = 10
"""Corners below which nothing can be said."""

_KEEP_SHARE = 0.5
"""Share of a key picture's corners below which another picture becomes the key."""

_STILL_PX = 0.75
"""Small pixels by which a corner that stays in place may seem to move."""

_MOVED_PX = 1.5
"""Small pixels by which the background must move before a picture counts as moved."""

_STILL_SHARE = 0.35
"""Share of still cells that shows a still camera, whatever the others do."""

_AGREE_SHARE = 0.5
"""Share of cells that must move in the same way before it is the camera that moves."""

_MOVED_ROWS = (3, 0.02)
"""How many pictures, and which share of them, must have moved for a camera that moves."""

_BOX_MARGIN = 0.15
"""Share of a person's box by which it is widened: hair, clothes and shadows belong to it."""


@dataclass
class _Looks:
    """One entry per picture that was looked at and understood."""

    row: list[int] = field(default_factory=list)
    """Row of the picture."""
    key: list[int] = field(default_factory=list)
    """Entry whose picture was the key; an entry that is its own key begins anew."""
    homography: list[np.ndarray] = field(default_factory=list)
    """(3, 3): small pixels of the key picture to those of this one."""
    area: list[np.ndarray] = field(default_factory=list)
    """(4,) x0, y0, x1, y1: where in the key picture the corners lie, small pixels."""
    moved: list[bool] = field(default_factory=list)
    """Whether the background was seen to have moved."""

    def append(
        self, row: int, key: int, homography: np.ndarray, area: np.ndarray, moved: bool
    ) -> None:
        """Add an entry."""
        self.row.append(row)
        self.key.append(key)
        self.homography.append(homography)
        self.area.append(area)
        self.moved.append(moved)


class CameraMotion:
    """Follows the background through a clip, one frame after the other.

    Args:
        width: Picture width, pixels.
        height: Picture height, pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._scale = min(1.0, _LONG_SIDE / max(width, height))
        self._size = (max(1, round(width * self._scale)), max(1, round(height * self._scale)))
        self._rows = 0
        self._last_s = -np.inf
        self._looks = _Looks()
        self._key_grey = np.zeros((0, 0), np.uint8)
        self._key_entry = 0
        self._key_xy = np.zeros((0, 2), np.float32)
        self._guess = np.eye(3)

    def add(self, frame: Frame, bboxes_xyxy: np.ndarray) -> None:
        """Look at the next row.

        Args:
            frame: The row.
            bboxes_xyxy: (P, 4) boxes of the people in it, pixels; what lies in them is left out.

        Raises:
            BadShape: The boxes are not (P, 4).
        """
        check_shape("bboxes_xyxy", bboxes_xyxy, (None, 4), kind="fiu")
        self._rows = frame.row + 1
        if frame.time_s - self._last_s < _INTERVAL_S:
            return
        self._last_s = frame.time_s
        reduced = cv2.resize(frame.image_rgb, self._size, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(reduced, cv2.COLOR_RGB2GRAY)
        boxes = self._widened(bboxes_xyxy)
        if not len(self._key_xy):
            self._begin(frame.row, grey, boxes)
            return
        self._follow(frame.row, grey, boxes)

    def finish(self, intrinsics: Intrinsics) -> np.ndarray:
        """Rotations of the camera.

        Args:
            intrinsics: Focal length and size of the picture.

        Returns:
            `camera0_R_camera`, (T, 3, 3) float64 for the T rows added: coordinates in the camera of
            a row to those in the camera of row 0. Exactly identity where the camera stands still.
        """
        moved = sum(self._looks.moved)
        if moved < max(_MOVED_ROWS[0], _MOVED_ROWS[1] * len(self._looks.row)):
            return np.tile(np.eye(3), (self._rows, 1, 1))
        focal = intrinsics.focal_px * self._scale
        turns: list[np.ndarray] = []
        for entry, key in enumerate(self._looks.key):
            if key == entry:
                turns.append(turns[-1] if turns else np.eye(3))
                continue
            homography, area = self._looks.homography[entry], self._looks.area[entry]
            turns.append(turns[key] @ _rotation(homography, area, focal, self._size))
        return _interpolated(np.array(self._looks.row), np.array(turns), self._rows)

    def state(self) -> dict[str, np.ndarray]:
        """Everything that is needed to go on later, as plain arrays."""
        looks = {f"look_{f.name}": np.array(getattr(self._looks, f.name)) for f in fields(_Looks)}
        return looks | {
            "rows": np.array(self._rows),
            "last_s": np.array(self._last_s),
            "key_grey": self._key_grey,
            "key_entry": np.array(self._key_entry),
            "key_xy": self._key_xy,
            "guess": self._guess,
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a `state`.

        Raises:
            BadShape: It lacks an array.
        """
        try:
            self._rows, self._last_s = int(state["rows"]), float(state["last_s"])
            self._key_entry, self._key_grey = int(state["key_entry"]), state["key_grey"]
            self._key_xy, self._guess = state["key_xy"], state["guess"]
            self._looks = _Looks(
                state["look_row"].astype(int).tolist(),
                state["look_key"].astype(int).tolist(),
                list(state["look_homography"]),
                list(state["look_area"]),
                state["look_moved"].astype(bool).tolist(),
            )
        except KeyError as missing:
            raise BadShape(f"the camera's state lacks {missing}") from missing

    def _widened(self, bboxes_xyxy: np.ndarray) -> np.ndarray:
        """Boxes in small pixels, with their margin."""
        boxes = np.asarray(bboxes_xyxy, np.float64)
        margin = _BOX_MARGIN * (boxes[:, 2:] - boxes[:, :2])
        return np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], 1) * self._scale

    def _begin(self, row: int, grey: np.ndarray, boxes: np.ndarray) -> None:
        """Make this the key picture, with nothing known of how it lies to those before."""
        entry = len(self._looks.row)
        self._set_key(entry, grey, boxes)
        if len(self._key_xy):
            self._looks.append(row, entry, np.eye(3), np.zeros(4), False)

    def _set_key(self, entry: int, grey: np.ndarray, boxes: np.ndarray) -> None:
        mask = np.full(grey.shape, 255, np.uint8)
        for x0, y0, x1, y1 in np.clip(np.round(boxes), 0, _LONG_SIDE).astype(int).tolist():
            mask[y0:y1, x0:x1] = 0
        found = cv2.goodFeaturesToTrack(grey, 600, 0.003, 6, mask=mask)
        xy = np.zeros((0, 2), np.float32) if found is None else _evenly(found[:, 0])
        self._key_xy = xy if len(xy) >= _FEWEST else xy[:0]
        self._key_grey, self._key_entry, self._guess = grey, entry, np.eye(3)

    def _follow(self, row: int, grey: np.ndarray, boxes: np.ndarray) -> None:
        """Find the key picture's corners in this one, and keep how they moved."""
        expected = _mapped(self._guess, self._key_xy)
        xy, found, _ = cv2.calcOpticalFlowPyrLK(
            self._key_grey,
            grey,
            self._key_xy[:, None],
            expected.astype(np.float32)[:, None].copy(),
            winSize=(15, 15),
            maxLevel=3,
            criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        xy = xy[:, 0]
        usable = (found[:, 0] > 0) & ~_in_boxes(xy, boxes) & self._in_picture(xy)
        before, after = self._key_xy[usable], xy[usable]
        fit = _homography_or_none(before, after)
        if fit is None:
            self._begin(row, grey, boxes)
            return
        homography, agree = fit
        moved = _has_moved(before, after, agree)
        area = np.concatenate([before[agree].min(axis=0), before[agree].max(axis=0)])
        entry = len(self._looks.row)
        self._looks.append(row, self._key_entry, homography, area, moved)
        self._guess = homography
        if agree.sum() < max(_FEWEST, _KEEP_SHARE * len(self._key_xy)):
            self._set_key(entry, grey, boxes)

    def _in_picture(self, xy: np.ndarray) -> np.ndarray:
        return np.asarray(((xy > 1) & (xy < np.array(self._size) - 2)).all(axis=1))


def _mapped(homography: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Points (N, 2) through a homography."""
    out = np.concatenate([xy, np.ones_like(xy[:, :1])], axis=1) @ homography.T
    return np.asarray(out[:, :2] / out[:, 2:])


def _in_boxes(xy: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: points inside any of the boxes (P, 4)."""
    x, y = xy[:, :1], xy[:, 1:]
    inside = (x > boxes[:, 0]) & (x < boxes[:, 2]) & (y > boxes[:, 1]) & (y < boxes[:, 3])
    return np.asarray(inside.any(axis=1))


def _homography_or_none(
    before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """The homography that most corners agree on, and which do; `None` where too few do."""
    if len(before) < _FEWEST:
        return None
    homography, agree = cv2.findHomography(before, after, cv2.RANSAC, 1.0, maxIters=500)
    if homography is None or agree.sum() < max(_FEWEST, 0.3 * len(before)):
        return None
    return homography, agree[:, 0] > 0


def _cells(xy: np.ndarray) -> np.ndarray:
    """(N,) number of the cell in which each point lies."""
    column, row = np.floor(xy / _CELL).astype(int).T
    return np.asarray(row * _LONG_SIDE + column)


def _evenly(xy: np.ndarray) -> np.ndarray:
    """The first few points of each cell."""
    order = np.argsort(_cells(xy), kind="stable")
    cells = _cells(xy)[order]
    nth = np.arange(len(xy)) - np.searchsorted(cells, cells)
    return np.asarray(xy[np.sort(order[nth < _PER_CELL])], np.float32)


def _has_moved(before: np.ndarray, after: np.ndarray, agree: np.ndarray) -> bool:
    """Whether corners all over the picture moved in one way, and hardly any stayed."""
    distance = np.linalg.norm(after - before, axis=1)
    cells = _cells(before)
    total = len(np.unique(cells))
    still = len(np.unique(cells[distance < _STILL_PX])) / total
    together = len(np.unique(cells[agree & (distance > _STILL_PX)])) / total
    far = float(np.median(distance[agree])) > _MOVED_PX
    return far and still < _STILL_SHARE and together > _AGREE_SHARE


def _rotation(
    homography: np.ndarray, area: np.ndarray, focal: float, size: tuple[int, int]
) -> np.ndarray:
    """`key_R_camera` (3, 3): the rotation nearest to a homography where its corners lie."""
    x, y = np.meshgrid(np.linspace(area[0], area[2], 7), np.linspace(area[1], area[3], 7))
    key_xy = np.stack([x.ravel(), y.ravel()], axis=1)
    key, camera = (_directions(xy, focal, size) for xy in (key_xy, _mapped(homography, key_xy)))
    u, _, vt = np.linalg.svd(key.T @ camera)
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt)


def _directions(xy: np.ndarray, focal: float, size: tuple[int, int]) -> np.ndarray:
    """Unit vectors (N, 3) in the camera, of small pixels counted from the first pixel's centre."""
    rays = np.concatenate([(xy + 0.5 - np.array(size) / 2) / focal, np.ones_like(xy[:, :1])], 1)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def _interpolated(rows: np.ndarray, turns: np.ndarray, count: int) -> np.ndarray:
    """Rotations (count, 3, 3) of all rows from those of some; at the ends the turning goes on.

    Neighbours are a few degrees apart, so the straight line between quaternions will do.
    """
    quats = continuous_quats(rotmat_to_quat(turns))
    row = np.arange(count)
    after = np.clip(np.searchsorted(rows, row), 1, max(1, len(rows) - 1))
    before = np.minimum(after, len(rows)) - 1
    after = np.minimum(after, len(rows) - 1)
    # Not far beyond the ends: where nothing was understood for long, the camera is taken to rest.
    share = np.clip((row - rows[before]) / np.maximum(rows[after] - rows[before], 1), -1.0, 2.0)
    every = quats[before] + share[:, None] * (quats[after] - quats[before])
    result = quat_to_rotmat(every / np.linalg.norm(every, axis=1, keepdims=True))
    return np.asarray(np.swapaxes(result[:1], -1, -2) @ result)
