"""Joins what the network says in overlapping windows to one prediction per row of the clip.

The sums of all windows are kept, not the windows, so memory grows with the rows alone. A row that
one window covers keeps that window's numbers to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from ....protocol.arrays import check_finite, check_shape

JOINTS = 24
"""Joints of SMPL, which the network turns."""
BETAS = 10


@dataclass(frozen=True)
class RowPredictions:
    """What the network says about one person in every row of a clip."""

    rotmat: np.ndarray
    """(T, 24, 3, 3) rotation of each SMPL joint in its parent's frame; joint 0 in the crop's camera."""
    camera: np.ndarray
    """(T, 3) scale and shift s, tx, ty of the crop's camera."""
    betas: np.ndarray
    """(10,) shape of the network's own body."""
    center_xy_px: np.ndarray
    """(T, 2) middle of the crop in the source picture, pixels."""
    side_px: np.ndarray
    """(T,) side of the square crop, source pixels."""
    seen: np.ndarray
    """(T,) bool: the row was predicted; others hold anything finite."""

    def __post_init__(self) -> None:
        axes: dict[str, int] = {}
        check_shape("rotmat", self.rotmat, ("T", JOINTS, 3, 3), axes)
        check_shape("camera", self.camera, ("T", 3), axes)
        check_shape("betas", self.betas, (BETAS,))
        check_shape("center_xy_px", self.center_xy_px, ("T", 2), axes)
        check_shape("side_px", self.side_px, ("T",), axes)
        check_shape("seen", self.seen, ("T",), axes, kind="b")
        for name in ("rotmat", "camera", "betas", "center_xy_px", "side_px"):
            check_finite(name, getattr(self, name))

    def __len__(self) -> int:
        return len(self.seen)


class Prediction(Protocol):
    """What the network says about the t rows of one window."""

    @property
    def rotmat(self) -> np.ndarray:
        """(t, J, 3, 3) rotations."""

    @property
    def camera(self) -> np.ndarray:
        """(t, 3) cameras."""

    @property
    def betas(self) -> np.ndarray:
        """(10,) shape."""


class Blended(NamedTuple):
    """One prediction per row."""

    rotmat: np.ndarray
    """(T, J, 3, 3) float32; identity in rows that no window covers."""
    camera: np.ndarray
    """(T, 3) float32; zero in rows that no window covers."""
    betas: np.ndarray
    """(10,) float32: the mean over windows, each as heavy as the rows that it saw."""
    covered: np.ndarray
    """(T,) bool: some window saw the row."""


def blend_windows(
    count_rows: int,
    windows: Iterable[tuple[np.ndarray, Prediction, np.ndarray]],
    joints: int = JOINTS,
) -> Blended:
    """Join windows.

    A window counts less towards its ends, where it knows only one side of time. Rotations are
    averaged as matrices and brought back to the nearest rotation (the chordal mean).

    Args:
        count_rows: Rows of the clip.
        windows: For each its rows (t,), what the network said, and which of them were seen (t,) bool.
            Taken one after the other, so it may be a generator.
        joints: Joints that the network turns.

    Returns:
        Predictions of all rows.

    Source: Hartley et al., "Rotation Averaging" (2013), section 5.3.
    """
    rotmat = np.zeros((count_rows, joints, 3, 3))
    camera = np.zeros((count_rows, 3))
    weight = np.zeros(count_rows)
    times = np.zeros(count_rows, np.int64)
    betas, rows_seen = np.zeros(BETAS), 0
    for rows, prediction, valid in windows:
        seen = np.flatnonzero(valid)
        held = np.asarray(rows)[seen]
        share = window_weights(len(valid))[seen]
        # A row's first window goes in as it is, later ones are weighed against it.
        fresh = times[held] == 0
        mixed = np.where(fresh, 1.0, share / (weight[held] + share))
        rotmat[held] += mixed[:, None, None, None] * (prediction.rotmat[seen] - rotmat[held])
        camera[held] += mixed[:, None] * (prediction.camera[seen] - camera[held])
        weight[held] += share
        times[held] += 1
        betas += len(seen) * np.asarray(prediction.betas, float)
        rows_seen += len(seen)
    covered = times > 0
    rotmat[~covered] = np.eye(3)
    shared = times > 1
    rotmat[shared] = nearest_rotmat(rotmat[shared])
    return Blended(
        rotmat.astype(np.float32),
        camera.astype(np.float32),
        (betas / max(rows_seen, 1)).astype(np.float32),
        covered,
    )


def window_weights(count: int) -> np.ndarray:
    """(t,) weights of a window's rows: a triangle, 1 in the middle, never zero."""
    rows = np.arange(count)
    return np.minimum(rows + 1, count - rows) / ((count + 1) // 2)


def nearest_rotmat(matrix: np.ndarray) -> np.ndarray:
    """The rotations (..., 3, 3) nearest to matrices (..., 3, 3)."""
    u, _, vt = np.linalg.svd(matrix)
    sign = np.sign(np.linalg.det(u @ vt))
    u = np.concatenate([u[..., :2], u[..., 2:] * sign[..., None, None]], -1)
    return np.asarray(u @ vt)
