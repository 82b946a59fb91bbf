"""The first stage of the flow: read the clip once, find people in every frame, watch the camera move.

Works in chunks of rows. A finished chunk is kept with the state that the next one starts from, so a run
that was killed loses one chunk at the most and ends with the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..protocol.errors import BadVideo
from ..protocol.files import read_json, write_json
from ..protocol.flow import ClipInfo, Frame, FrameDetections
from .kept import Chunk, State, read_chunks, write_chunk
from .report import Listener, Stopwatch
from .video.camera_motion import CameraMotion
from .video.clip import count_rows, read_frames
from .video.sampling import Sampling

CHUNK_ROWS = 128
"""Rows per chunk."""

_CAMERA, _DETECTOR = "camera/", "detector/"


class RowWatcher(Protocol):
    """Is shown every row of the clip in order, as soon as its people are known."""

    def pass_row(self, detections: FrameDetections) -> None:
        """Take a row that an earlier run detected; its picture is not there."""

    def see_row(self, frame: Frame, detections: FrameDetections) -> None:
        """Take a row with its picture."""

    def finish(self) -> None:
        """The last row was shown."""


@dataclass(frozen=True)
class DetectedClip:
    """What was found in the whole clip."""

    detections: list[FrameDetections]
    """One per row."""
    frame_index: np.ndarray
    """(T,) int64: source picture of each row."""
    time_s: np.ndarray
    """(T,) float64: its presentation time, seconds."""
    camera: CameraMotion
    """How the camera turned."""

    def __len__(self) -> int:
        return len(self.detections)


def detect_clip(
    info: ClipInfo,
    sampling: Sampling,
    make_detector: Callable[[], Any],
    folder: Path,
    listener: Listener,
    watch: Stopwatch,
    watcher: RowWatcher | None = None,
) -> DetectedClip:
    """Find people in every row of a clip, going on from what an earlier run left in `folder`.

    Args:
        info: The clip.
        sampling: Which rows.
        make_detector: Makes the detector; not called when all rows are there already.
        folder: Where chunks are kept; its name must change with everything that matters.
        listener: Told of progress and warnings.
        watch: Gets the seconds of `decode` (time spent waiting for pictures), `detect`, and `ahead` (spent
            by the watcher).
        watcher: Is shown the rows, when any is left to detect.

    Raises:
        BadVideo: The clip cannot be decoded, or holds no frame.
        Cancelled: The user asked to stop.
        OutputNotWritable: A chunk cannot be kept.
    """
    chunks, state = read_chunks(folder)
    ended = _read_end(folder, chunks)
    if ended is None:
        state = _detect_rest(
            info, sampling, make_detector, folder, chunks, state, listener, watch, watcher
        )
    else:
        for warning in ended["warnings"]:
            listener.warn(*warning)
    if not chunks:
        raise BadVideo(f"`{info.path}` holds no frame in the range asked for")
    camera = CameraMotion(info.width, info.height)
    camera.restore(_part_of(state, _CAMERA))
    return DetectedClip(
        [detections for chunk in chunks for detections in chunk.detections],
        np.concatenate([chunk.frame_index for chunk in chunks]),
        np.concatenate([chunk.time_s for chunk in chunks]),
        camera,
    )


def _detect_rest(
    info: ClipInfo,
    sampling: Sampling,
    make_detector: Callable[[], Any],
    folder: Path,
    chunks: list[Chunk],
    state: State,
    listener: Listener,
    watch: Stopwatch,
    watcher: RowWatcher | None,
) -> State:
    """Work through the rows after the kept chunks, append a chunk for each run of rows, return the state."""
    warnings: list[tuple[str, str, str]] = []

    def warn(code: str, message: str, hint: str = "") -> None:
        warnings.append((code, message, hint))
        listener.warn(code, message, hint)

    first = sum(len(chunk.detections) for chunk in chunks)
    total = count_rows(info, sampling)
    with watch.measure("start"):
        detector = make_detector()
    camera = CameraMotion(info.width, info.height)
    if chunks:
        detector.restore(_part_of(state, _DETECTOR))
        camera.restore(_part_of(state, _CAMERA))
    for known in (detections for chunk in chunks for detections in chunk.detections):
        if watcher is not None:
            watcher.pass_row(known)
    frames = _timed(read_frames(info, sampling, first, warn), watch)
    try:
        while block := _next_chunk(
            frames, detector, camera, first, total, listener, watch, watcher
        ):
            state = _state_of(detector, camera)
            write_chunk(folder, len(chunks), block, state)
            chunks.append(block)
            first += len(block.detections)
        if watcher is not None:
            watcher.finish()
    finally:
        frames.close()
        detector.close()
    write_json(folder / "end.json", {"rows": first, "warnings": warnings})
    return state


def _next_chunk(
    frames: Iterator[Frame],
    detector: Any,
    camera: CameraMotion,
    first: int,
    total: int,
    listener: Listener,
    watch: Stopwatch,
    watcher: RowWatcher | None,
) -> Chunk | None:
    rows: list[Frame] = []

    def passed_on() -> Iterator[Frame]:
        for frame in islice(frames, CHUNK_ROWS):
            rows.append(frame)
            yield frame

    found: list[FrameDetections] = []
    apart, start = _seconds_apart(watch), time.perf_counter()
    places: list[tuple[int, float]] = []
    for detections in detector(passed_on()):
        frame = rows.pop(0)
        camera.add(frame, detections_boxes(detections))
        if watcher is not None:
            with watch.measure("ahead"):
                watcher.see_row(frame, detections)
        found.append(detections)
        places.append((frame.frame_index, frame.time_s))
        listener.progress("detect", first + len(found), total)
    watch.add("detect", time.perf_counter() - start - (_seconds_apart(watch) - apart))
    if not found:
        return None
    index, times = zip(*places, strict=True)
    return Chunk(tuple(found), np.array(index, np.int64), np.array(times, np.float64))


def _seconds_apart(watch: Stopwatch) -> float:
    """Seconds within the loop over rows that are not detection's."""
    return watch.seconds.get("decode", 0.0) + watch.seconds.get("ahead", 0.0)


def detections_boxes(detections: FrameDetections) -> np.ndarray:
    """(P, 4) boxes around the keypoints of each person, x0 y0 x1 y1 in source pixels."""
    xy = detections.keypoints_2d[..., :2]
    if not len(xy):
        return np.zeros((0, 4), np.float32)
    return np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)


def _timed(frames: Generator[Frame, None, None], watch: Stopwatch) -> Generator[Frame]:
    """The same frames; the time that the consumer waits for them goes to `decode`."""
    try:
        while True:
            start = time.perf_counter()
            frame = next(frames, None)
            watch.add("decode", time.perf_counter() - start)
            if frame is None:
                return
            yield frame
    finally:
        frames.close()


def _read_end(folder: Path, chunks: list[Chunk]) -> dict[str, Any] | None:
    """What the earlier run wrote when it had reached the clip's end, if its chunks are all there."""
    path = folder / "end.json"
    if not path.exists():
        return None
    end: dict[str, Any] = read_json(path)
    complete = end.get("rows") == sum(len(chunk.detections) for chunk in chunks)
    return end if complete else None


def _state_of(detector: Any, camera: CameraMotion) -> State:
    state = {_DETECTOR + name: value for name, value in detector.state().items()}
    return state | {_CAMERA + name: value for name, value in camera.state().items()}


def _part_of(state: State, prefix: str) -> State:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
