"""The stage `lift` of one capture: with a lifter that sees keypoints, or pictures, and `fit` over it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..protocol.catalog import load_catalog
from ..protocol.files import sha256_of
from ..protocol.flow import ClipInfo, FrameDetections, Intrinsics, LiftedTrack, Track
from ..protocol.options import CaptureOptions
from .body.load import Body
from .job_folder import JobFolder, hash_key
from .kept import read_lifted_or_none, write_lifted
from .kept_windows import KeptWindows
from .lift_pictures import LiftAhead, lift_missing, windows_of
from .network_thread import NetworkThread
from .refine.intrinsics import choose_intrinsics
from .registry import load_class
from .report import Listener, Stopwatch
from .video.clip import count_rows
from .video.sampling import Sampling

_REFINER = "fit"
"""The lifter that `--refine` names."""


class LiftStage:
    """Lifts people, some of it while the clip is still being read.

    Args:
        lifter: The lifter that was chosen.
        options: The choices.
        body: The body to pose.
        device: Torch's word for the device.
        info: The clip.
        sampling: Which rows of it.
        folder: Where results are kept.
        detect_key: What the detections depend on, hashed.
        listener: Told of progress.
    """

    def __init__(
        self,
        lifter: Any,
        options: CaptureOptions,
        body: Body,
        device: str,
        info: ClipInfo,
        sampling: Sampling,
        folder: JobFolder,
        detect_key: str,
        listener: Listener,
    ) -> None:
        self._options = options
        self._body = body
        self._device = device
        self._info = info
        self._sampling = sampling
        self._folder = folder
        self._detect_key = detect_key
        self._listener = listener
        self._lifter = lifter
        entry = load_catalog().find("lifter", options.lifter)
        self._sees_pictures = entry.sees_pictures
        self._identity = self._lifter.identity if entry.takes_weights else {}
        self._window_key = hash_key(detect=detect_key, device=device, **self._identity)
        self._windows = KeptWindows(folder.stage_path("windows", self._window_key))
        self._total = 0

    @property
    def models(self) -> dict[str, Any]:
        """What the result depends on, for `report.json`: the lifter, its files' hashes, its choices."""
        if self._sees_pictures:
            hashes: dict[str, str] = dict(self._lifter.model_hashes)
        else:
            hashes = _hashes(self._lifter.model_files())
        if self._refines:
            hashes |= _hashes(load_class("lifter", _REFINER).model_files())
        chosen = {name: value for name, value in self._identity.items() if name != "weights"}
        return {"name": self._options.lifter, "sha256": hashes, **chosen}

    @contextlib.contextmanager
    def ahead(self, skeleton: str, watch: Stopwatch) -> Iterator[LiftAhead | None]:
        """While this context is open, a network works on what detection has found so far.

        Args:
            skeleton: Name of the detector's skeleton.
            watch: Gets the seconds of `ahead`, in which everything else waited for the network.

        Yields:
            What must be shown every row; `None` when there is nothing to do ahead.
        """
        person = self._options.person
        if not self._sees_pictures or person not in ("auto", "all", "0"):
            yield None
            return
        rows = count_rows(self._info, self._sampling)
        self._total = math.ceil(rows / max(1, self._lifter.frames - self._lifter.frames // 4))
        fps = self._options.fps or self._info.fps
        size = self._info.width, self._info.height
        with contextlib.ExitStack() as stack:
            thread = stack.enter_context(self._network())
            yield LiftAhead(
                self._lifter, thread, self._windows, skeleton, fps, size, person == "all"
            )
            stack.enter_context(watch.measure("ahead"))

    def lift_people(
        self, tracks: Sequence[Track], detections: Sequence[FrameDetections]
    ) -> tuple[list[str], list[LiftedTrack]]:
        """Lift each track, the most prominent person first: all share the camera found with that one.

        Returns:
            Names under which the results are kept, and the results.
        """
        intrinsics = choose_intrinsics(self._info, self._options.camera_fov)
        names = [f"windows-{self._window_key}"]
        results: list[LiftedTrack] = []
        rows = sum(len(track) for track in tracks)
        for track in tracks:
            path = self._kept_path(track, intrinsics)
            lifted = read_lifted_or_none(path)
            if lifted is None:
                if self._sees_pictures:
                    self._lift_missing(tracks, detections)
                done = sum(len(result) for result in results)
                lifted = self._lift(track, intrinsics, partial(self._report, done, rows))
                write_lifted(path, lifted)
            intrinsics = lifted.intrinsics
            if intrinsics.source == "assumed":
                intrinsics = replace(intrinsics, source="estimated")
            names.append(path.stem)
            results.append(lifted)
        self._listener.progress("lift", rows, rows)
        return names, results

    @property
    def _refines(self) -> bool:
        return self._options.refine == _REFINER and self._options.lifter != _REFINER

    def _lift(self, track: Track, intrinsics: Intrinsics, on_progress: Any) -> LiftedTrack:
        height = self._options.height
        if not self._sees_pictures:
            lifted: LiftedTrack = self._lifter(
                track, intrinsics, height_m=height, on_progress=on_progress
            )
        else:
            windows = windows_of(track, self._lifter.frames, self._windows)
            lifted = self._lifter.join_windows(track, windows, intrinsics, height)
        if not self._refines:
            return lifted
        refiner = load_class("lifter", _REFINER)(self._body, device=self._device)
        refined: LiftedTrack = refiner(
            track, intrinsics, height_m=height, on_progress=on_progress, start=lifted
        )
        return refined

    def _lift_missing(self, tracks: Sequence[Track], detections: Sequence[FrameDetections]) -> None:
        """Lift the windows of all tracks that were not lifted ahead."""
        with self._network() as thread:
            lift_missing(
                tracks,
                detections,
                self._lifter,
                thread,
                self._windows,
                self._info,
                self._sampling,
                self._set_total,
            )

    def _set_total(self, windows: int) -> None:
        self._total = windows

    def _network(self) -> NetworkThread:
        return NetworkThread(self._lifter, self._windows, self._poll)

    def _poll(self) -> None:
        """Say how many windows are lifted. Raises Cancelled."""
        self._listener.progress("network", len(self._windows), self._total)

    def _report(self, before: int, rows: int, done: int, of: int) -> None:
        """Progress of one person's lift, whose own total is `of`, within everybody's rows."""
        self._listener.progress("lift", before + done, rows)

    def _kept_path(self, track: Track, intrinsics: Intrinsics) -> Path:
        options = self._options
        key = hash_key(
            detect=self._detect_key, person=track.person_id, lifter=options.lifter,
            identity=self._identity, refine=options.refine, body=self._body.sha256,
            height=options.height, camera=vars(intrinsics), device=self._device,
        )  # fmt: skip
        return self._folder.stage_path("lift", key).with_suffix(".npz")


def make_lifter(options: CaptureOptions, body: Body, device: str) -> Any:
    """The lifter that was chosen.

    Raises:
        MissingModel, BadModelFile, UsageError: Its weights are missing or unusable.
    """
    choices: dict[str, Any] = {"device": device}
    entry = load_catalog().find("lifter", options.lifter)
    if entry.takes_weights:
        choices["weights"] = options.weights
    if entry.sees_pictures:
        choices |= {
            "streams": options.streams,
            "window": options.window,
            "precision": options.precision,
            "compiled": options.compile,
        }
    return load_class("lifter", options.lifter)(body, **choices)


def _hashes(files: Sequence[Path]) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in files}
