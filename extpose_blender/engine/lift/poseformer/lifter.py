"""The lifter `poseformer`: keypoints and 3D hints of a person through a small network over time.

track ─▶ sides put right ─▶ boxes, inputs ─▶ windows through the network, joined ─▶ body in the
camera
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ....protocol.errors import BadModelFile, BadShape, NoPerson, UsageError
from ....protocol.files import sha256_of
from ....protocol.flow import Intrinsics, LiftedTrack, Track
from ..base import OnProgress, OnWindow, RestBody
from ..extpose.place import LEAST_SCALE, MODEL_TYPES, assemble_track
from ..fit.evidence import gather_evidence
from ..fit.sides import find_swaps, swap_sides
from .predict import predict_rows
from .weights_file import PoseFormerWeights, find_weights, read_weights


class PoseFormerLifter:
    """Runs the network over a person's track.

    Args:
        body: The body to pose.
        device: Torch's word for the device.
        weights: A file of weights; the shipped ones when left out.

    Raises:
        BadShape: The body is a hand.
        MissingModel, BadModelFile: There are no such weights.
    """

    def __init__(self, body: RestBody, device: str = "cpu", weights: str | None = None) -> None:
        if body.model_type not in MODEL_TYPES:
            raise BadShape(f"`poseformer` poses {', '.join(MODEL_TYPES)}, not `{body.model_type}`")
        self._body = body
        self._device = device
        self._path = find_weights(weights)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that its results depend on beside the track."""
        return {"weights": sha256_of(self._path)}

    def model_files(self) -> list[Path]:
        """Files that its results depend on, for `report.json`."""
        return [self._path]

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
            track: The person's keypoints, with MediaPipe's 33 points.
            intrinsics: The camera; its focal length stays as it is.
            height_m: The person's height, where it is known.
            on_progress: Told how many rows of how many are done.
            on_window: Given the whole result once: the network is done in moments.

        Returns:
            The pose of every row of the track. Rows that were not seen lie between their
            neighbours, with confidence 0.

        Raises:
            UsageError: The track has the points of another detector.
            NoPerson: The person is nowhere seen well enough.
            BadModelFile: What the weights say places the person nowhere.
        """
        trained = self._weights.trained
        if track.skeleton != trained.skeleton:
            raise UsageError(
                f"`poseformer` reads the points `{trained.skeleton}`, not `{track.skeleton}`",
                "Try `--lifter fit`, or another `--detector`",
            )
        track, notes = _with_sides_put_right(track, intrinsics)
        predictions = predict_rows(
            self._weights.network, track, intrinsics, _told(on_progress, len(track))
        )
        if not predictions.seen.any():
            raise NoPerson(
                f"Person {track.person_id} is nowhere seen well enough",
                "Try `--lifter fit`, or another `--person`",
            )
        if (predictions.camera[predictions.seen, 0] < LEAST_SCALE).all():
            raise BadModelFile(
                f"`{self._path}` sees person {track.person_id} too far away to be placed in every "
                "row: its weights are untrained",
                "Choose others with `--weights`",
            )
        lifted = assemble_track(
            track, predictions, self._body, trained.body_id, intrinsics, height_m
        )
        lifted = replace(lifted, notes=notes + lifted.notes)
        if on_window is not None:
            on_window(track.active, _part(lifted, track.active))
        if on_progress is not None:
            on_progress(len(track), len(track))
        return lifted

    @cached_property
    def _weights(self) -> PoseFormerWeights:
        weights = read_weights(self._path)
        weights.network.to(self._device)
        return weights


def _with_sides_put_right(track: Track, intrinsics: Intrinsics) -> tuple[Track, tuple[str, ...]]:
    """The track with left and right put back where the detector swapped them, and what to say of it."""
    sizes = gather_evidence(track, intrinsics, "cpu").size_px.numpy()
    swaps = find_swaps(track, sizes)
    if not swaps.any():
        return track, ()
    note = f"left and right were swapped back in {int((swaps > 0).sum())} rows"
    return swap_sides(track, swaps), (note,)


def _told(on_progress: OnProgress | None, rows: int) -> Callable[[int], None] | None:
    return None if on_progress is None else lambda done: on_progress(done, rows)


def _part(lifted: LiftedTrack, rows: slice) -> LiftedTrack:
    """Some rows of a result."""
    return replace(
        lifted,
        rotvec=lifted.rotvec[rows],
        transl_m=lifted.transl_m[rows],
        confidence=lifted.confidence[rows],
    )
