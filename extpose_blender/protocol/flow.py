"""What passes between the stages: one dataclass per arrow of the flow.

    ClipInfo, Frame ─▶ detect ─▶ FrameDetections ─▶ track ─▶ Track ─▶ lift ─▶ LiftedTrack ─▶ refine ─▶ Motion

A lifter that looks at pictures gives a `LiftedWindow` per few rows on the way to its `LiftedTrack`.

Arrays are checked when a dataclass is made. Rows are the frames of the motion, one per 1/fps seconds;
`frame_index` is the number of the source picture that a row shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .arrays import check_finite, check_shape
from .skeletons import DETECTOR_SKELETONS, MODEL_SKELETONS, Skeleton


@dataclass(frozen=True)
class ClipInfo:
    """What is known about a clip before it is decoded."""

    path: Path
    """The file, or the folder or pattern of an image sequence."""
    width: int
    """Width of the upright picture (rotation metadata applied), pixels."""
    height: int
    """Height of the upright picture, pixels."""
    fps: float
    """Nominal frames per second of the source, the rate at which Blender counts a movie strip."""
    frame_count: int
    """Source frames at the nominal rate, from the container: a hint, not a promise."""
    duration_s: float
    """Duration in seconds, from the container: a hint."""
    rotation_deg: int = 0
    """Clockwise rotation that the metadata asked for, already applied to every picture."""
    focal_35mm: float | None = None
    """Focal length as on 35 mm film, millimetres, where the metadata has it."""


@dataclass(frozen=True)
class Frame:
    """One row of the clip: the picture that is on screen at that time."""

    row: int
    """Row in the motion, from 0."""
    frame_index: int
    """Number of the source picture, from 0, counted in order of presentation."""
    time_s: float
    """Presentation time of the row in the source, seconds from the first picture."""
    image_rgb: np.ndarray
    """(H, W, 3) uint8. Shared between rows that show the same picture: do not write to it."""

    def __post_init__(self) -> None:
        check_shape("image_rgb", self.image_rgb, (None, None, 3), kind="u")


@dataclass(frozen=True)
class FrameDetections:
    """The people found in one frame, in no particular order."""

    row: int
    """Row of the frame."""
    keypoints_2d: np.ndarray
    """(P, K, 3) float32: x, y in source pixels, score 0 to 1. Points may lie outside the picture."""
    hints_3d_m: np.ndarray
    """(P, K, 4) float32: x, y, z in metres and a score, from the detector's own 3D estimate.

    Axes as the OpenCV camera's, origin at the middle of the hips, unknown perspective. Score 0 where
    the detector gives none.
    """
    score: np.ndarray
    """(P,) float32: how sure the detector is that this is a person."""
    hands_2d: np.ndarray
    """(P, 2, 21, 3) float32: the person's left and right hand, x, y in source pixels, score.

    Score 0 where no hand was looked for or found.
    """

    def __post_init__(self) -> None:
        axes: dict[str, int] = {}
        check_shape("keypoints_2d", self.keypoints_2d, ("P", "K", 3), axes)
        check_shape("hints_3d_m", self.hints_3d_m, ("P", "K", 4), axes)
        check_shape("score", self.score, ("P",), axes)
        check_shape("hands_2d", self.hands_2d, ("P", 2, 21, 3), axes)

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Track:
    """One person through the clip: every row of the clip has an entry, seen or not."""

    person_id: int
    """Stable number from 0, by prominence: 0 is the person that `--person auto` takes."""
    skeleton: str
    """Name of the detector's skeleton, a key of `DETECTOR_SKELETONS`."""
    fps: float
    """Rows per second of real movement."""
    keypoints_2d: np.ndarray
    """(T, K, 3) float32: x, y in source pixels, score. Filled across short gaps with a score below
    any that was seen; score 0 in long gaps."""
    hints_3d_m: np.ndarray
    """(T, K, 4) float32, as in `FrameDetections`."""
    hands_2d: np.ndarray
    """(T, 2, 21, 3) float32, as in `FrameDetections`."""
    seen: np.ndarray
    """(T,) bool: the detector found the person in this row."""
    entries: np.ndarray
    """(T,) int: which detection of the row is this person, -1 where not seen."""
    prominence: float
    """What people are ordered by: size on screen, time on screen and closeness to the middle."""

    def __post_init__(self) -> None:
        axes: dict[str, int] = {}
        check_shape("keypoints_2d", self.keypoints_2d, ("T", "K", 3), axes)
        check_shape("hints_3d_m", self.hints_3d_m, ("T", "K", 4), axes)
        check_shape("hands_2d", self.hands_2d, ("T", 2, 21, 3), axes)
        check_shape("seen", self.seen, ("T",), axes, kind="b")
        check_shape("entries", self.entries, ("T",), axes, kind="i")
        check_shape("keypoints_2d", self.keypoints_2d, ("T", len(self.points), 3))
        for name in ("keypoints_2d", "hints_3d_m", "hands_2d"):
            check_finite(name, getattr(self, name))

    def __len__(self) -> int:
        return len(self.seen)

    @property
    def points(self) -> Skeleton:
        """The detector's skeleton."""
        return DETECTOR_SKELETONS[self.skeleton]

    @property
    def active(self) -> slice:
        """Rows from the first to the last in which the person was seen."""
        rows = np.flatnonzero(self.seen)
        return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera's inner half, in source pixels."""

    focal_px: float
    """Focal length, the same in x and y, pixels."""
    width: int
    """Picture width, pixels."""
    height: int
    """Picture height, pixels."""
    source: str
    """`given`, `metadata`, `estimated` or `assumed`: only the last may be refined by a lifter."""

    @property
    def K(self) -> np.ndarray:
        """(3, 3) float64, principal point in the middle of the picture."""
        f, cx, cy = self.focal_px, self.width / 2, self.height / 2
        return np.array([[f, 0.0, cx], [0.0, f, cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class LiftedWindow:
    """What a network says of one person in a few consecutive rows, before windows are joined."""

    first_row: int
    """Row of the clip with which it begins."""
    entries: np.ndarray
    """(t,) int: which detection of each row is the person, -1 where not seen."""
    valid: np.ndarray
    """(t,) bool: rows that the network could look at; the others hold nothing of meaning."""
    rotmat: np.ndarray
    """(t, J, 3, 3) float32: rotation of each joint in its parent's frame; joint 0 as the network sees it
    in its own crop."""
    betas: np.ndarray
    """(B,) float32: one shape for the window."""
    camera: np.ndarray
    """(t, 3) float32: weak-perspective camera of each row's crop: scale, shift in x and y."""
    center_xy_px: np.ndarray
    """(t, 2) float32: middle of each row's crop, source pixels."""
    side_px: np.ndarray
    """(t,) float32: side of each row's square crop, source pixels."""

    def __post_init__(self) -> None:
        axes: dict[str, int] = {}
        check_shape("entries", self.entries, ("t",), axes, kind="i")
        check_shape("valid", self.valid, ("t",), axes, kind="b")
        check_shape("rotmat", self.rotmat, ("t", "J", 3, 3), axes)
        check_shape("betas", self.betas, ("B",), axes)
        check_shape("camera", self.camera, ("t", 3), axes)
        check_shape("center_xy_px", self.center_xy_px, ("t", 2), axes)
        check_shape("side_px", self.side_px, ("t",), axes)

    @property
    def rows(self) -> slice:
        """Its rows of the clip."""
        return slice(self.first_row, self.first_row + len(self.entries))


@dataclass(frozen=True)
class LiftedTrack:
    """A person's body in the camera's frame, before it is brought into the world."""

    person_id: int
    """As in `Track`."""
    model_type: str
    """`surface_model_type` of the body: `smplh`, `smpl`, `smplx`, `mano`."""
    body_id: str
    """Which body `betas` mean."""
    rotvec: np.ndarray
    """(T, J, 3) float32: rotation vectors; joint 0 turns the SMPL rest frame into the OpenCV camera."""
    transl_m: np.ndarray
    """(T, 3) float32: smplx's `transl` in the OpenCV camera frame, metres."""
    betas: np.ndarray
    """(B,) float32: one shape for the clip."""
    intrinsics: Intrinsics
    """The camera that was used or found."""
    confidence: np.ndarray
    """(T, J) float32, 0 to 1; 0 where nothing was seen and the pose is interpolated."""
    fps: float
    """Rows per second of real movement."""
    notes: tuple[str, ...] = field(default=())
    """What the user should know about the result, for `report.json`."""

    def __post_init__(self) -> None:
        axes = {"J": len(MODEL_SKELETONS[self.model_type])}
        check_shape("rotvec", self.rotvec, ("T", "J", 3), axes)
        check_shape("transl_m", self.transl_m, ("T", 3), axes)
        check_shape("betas", self.betas, ("B",), axes)
        check_shape("confidence", self.confidence, ("T", "J"), axes)
        for name in ("rotvec", "transl_m", "betas", "confidence"):
            check_finite(name, getattr(self, name))

    def __len__(self) -> int:
        return len(self.transl_m)
