"""What every lifter is, so that a new one is one folder beside `fit/`.

A lifter is a class that the catalogue names. It is made once per body and called once per person:

    lifter = SomeLifter(body, device="cpu")
    lifted = lifter(track, intrinsics, height_m=None, on_progress=None, on_window=None)

One that looks at the pictures, a `PictureLifter`, is marked `sees_pictures` in the catalogue. It works
in windows of rows while the clip is read, and joins them when the person's track is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...protocol.flow import Intrinsics, LiftedTrack, LiftedWindow, Track
from .windows import Window

OnProgress = Callable[[int, int], None]
"""Called with how many rows of how many are done; may raise to stop the work."""

OnWindow = Callable[[slice, LiftedTrack], None]
"""Called with the rows of a finished window and the part of the result that is theirs."""


class RestBody(Protocol):
    """What a lifter needs of a body model."""

    @property
    def model_type(self) -> str:
        """`surface_model_type` of the body."""

    @property
    def body_id(self) -> str:
        """Which body the betas mean."""

    @property
    def num_betas(self) -> int:
        """How many shape numbers it has."""

    def joints_rest(self, betas: np.ndarray) -> np.ndarray:
        """(J, 3) rest joints at a shape (B,), metres."""

    def vertices_rest(self, betas: np.ndarray) -> np.ndarray:
        """(V, 3) rest vertices at a shape (B,), metres."""


class Lifter(Protocol):
    """Finds a body's motion in the camera's frame from a person's keypoints."""

    @staticmethod
    def model_files() -> list[Path]:
        """Files that its results depend on, for `report.json`."""

    def __call__(
        self,
        track: Track,
        intrinsics: Intrinsics,
        height_m: float | None = None,
        on_progress: OnProgress | None = None,
        on_window: OnWindow | None = None,
    ) -> LiftedTrack:
        """Lift a person.

        Args:
            track: The person's keypoints.
            intrinsics: The camera; its focal length may be refined when its source is `assumed`.
            height_m: The person's height, where it is known.
            on_progress: Told how far the work has come.
            on_window: Given each finished window.
        """


@dataclass(frozen=True)
class Crop:
    """What a picture lifter keeps of one person in one row."""

    center_xy_px: tuple[float, float]
    """Middle of the square crop, source pixels."""
    side_px: float
    """Its side, source pixels."""
    points: np.ndarray
    """(K, 3) float32: points to draw, x and y in pixels of the crop, score."""
    picture: np.ndarray | None
    """(H, W, 3) uint8 RGB; `None` when the lifter wants no pictures."""


class PictureLifter(Protocol):
    """Finds a body's motion from pictures of the person, window by window."""

    frames: int
    """Rows of a full window."""
    wants_pictures: bool
    """Whether it looks at the pictures themselves, or at the keypoints drawn alone."""

    @property
    def identity(self) -> dict[str, Any]:
        """All that its windows depend on beside the clip: weights and choices, ready for JSON."""

    @property
    def model_hashes(self) -> dict[str, str]:
        """Hash of each file that its results depend on, by name, for `report.json`."""

    def crop(
        self, image_rgb: np.ndarray | None, keypoints: np.ndarray, skeleton: str
    ) -> Crop | None:
        """What the network will see of a person, or `None` when too little of them is seen.

        Args:
            image_rgb: (H, W, 3) uint8; `None` when pictures are not wanted.
            keypoints: (K, 3) x, y in source pixels, score.
            skeleton: Name of their skeleton.
        """

    def most_windows(self) -> int:
        """How many windows go through the network at once."""

    def lift_windows(
        self, windows: Sequence[tuple[Window, Mapping[int, Crop | None]]]
    ) -> list[LiftedWindow]:
        """Run the network.

        Args:
            windows: Each with the crops of its rows, by row.
        """

    def stop(self) -> None:
        """End a running `lift_windows` soon; it then raises Cancelled. May be called from any thread."""

    def join_windows(
        self,
        track: Track,
        windows: Sequence[LiftedWindow],
        intrinsics: Intrinsics,
        height_m: float | None = None,
    ) -> LiftedTrack:
        """Make a track's motion of its windows.

        Args:
            track: The person.
            windows: All windows of the track, in order.
            intrinsics: The camera.
            height_m: The person's height, where it is known.
        """
