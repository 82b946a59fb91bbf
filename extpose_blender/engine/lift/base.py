"""What every lifter is, so that a new one is one folder beside `fit/`.

A lifter is a class that the catalogue names. It is made once per body and called once per person:

    lifter = SomeLifter(body, device="cpu")
    lifted = lifter(track, intrinsics, height_m=None, on_progress=None, on_window=None)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from ...protocol.flow import Intrinsics, LiftedTrack, Track

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
