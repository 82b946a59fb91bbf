"""`extpose bench`: seconds per stage, and the whole against MediaPipe's own pose solution in the same run.

Both work on the same frames, in turn (A B A B …), after one run of each that does not count; the median
ratio is what drifts least with the machine's speed. The peer's time holds its `process` calls alone: it
gets its pictures decoded. Ours is a whole capture, from opening the clip to the motion file, without the
time to load models (`start`, `load`), which is shown beside it and happens once.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..protocol.errors import UsageError
from ..protocol.files import read_json
from ..protocol.job import Job
from ..protocol.options import CaptureOptions
from ..protocol.resources import find_resource
from .console import Console
from .detect.tflite import runtime_hushed
from .pipeline import capture
from .registry import missing_package
from .report import Listener
from .video.clip import probe_clip, read_frames
from .video.sampling import Sampling

ONCE = ("start", "load")
"""Stages that load models: they do not grow with the clip."""


@dataclass(frozen=True)
class BenchResult:
    """What was measured."""

    video: str
    """The clip."""
    size: str
    """Its picture size."""
    rows: int
    """Frames worked on."""
    machine: str
    """Processor architecture and number of cores."""
    stages: dict[str, dict[str, float]]
    """Median seconds and frames per second of each stage."""
    capture_s: float
    """Median seconds of a whole capture, model loading left out."""
    peer_s: float
    """Median seconds of MediaPipe's pose solution on the same frames."""
    ratio: float
    """Median of the ratios of neighbouring runs: capture over peer."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """A table for people."""
        lines = [
            f"{self.video}: {self.rows} frames of {self.size}, on {self.machine}",
            f"{'stage':24}{'seconds':>9}{'fps':>9}",
        ]
        for stage, row in self.stages.items():
            words = f"{stage} (once)" if stage in ONCE else stage
            lines.append(f"{words:24}{row['seconds']:9.2f}{row['fps']:9.1f}")
        lines += [
            f"{'capture, whole':24}{self.capture_s:9.2f}{self.rows / self.capture_s:9.1f}",
            f"{'MediaPipe pose alone':24}{self.peer_s:9.2f}{self.rows / self.peer_s:9.1f}",
            f"ratio of capture to MediaPipe pose alone: {self.ratio:.2f} (goal: at most 1.25)",
        ]
        return "\n".join(lines)


def run_bench(video: Path | None, runs: int, console: Console) -> BenchResult:
    """Measure capture with the shipped defaults.

    Args:
        video: The clip; the sample clip when `None`.
        runs: Runs of each side that count.
        console: Shows progress.

    Raises:
        UsageError: `runs` is below 1.
        MissingPackage: The peer, MediaPipe, is not installed.
    """
    if runs < 1:
        raise UsageError(f"`--runs` must be at least 1, not {runs}")
    video = video or find_resource("sample/clip.mp4")
    captures: list[dict[str, float]] = []
    peers: list[float] = []
    for run in range(runs + 1):
        stages, seconds = _run_capture(video, console), _run_peer(video)
        if run > 0:
            captures.append(stages)
            peers.append(seconds)
    info = probe_clip(video)
    rows = sum(1 for _ in read_frames(info, Sampling()))
    totals = [sum(s for stage, s in run.items() if stage not in ONCE) for run in captures]
    return BenchResult(
        video.name,
        f"{info.width}x{info.height}",
        rows,
        f"{platform.machine()}, {os.cpu_count()} cores",
        {stage: _row([run.get(stage, 0.0) for run in captures], rows) for stage in captures[-1]},
        statistics.median(totals),
        statistics.median(peers),
        statistics.median(a / b for a, b in zip(totals, peers, strict=True)),
    )


def _row(seconds: list[float], rows: int) -> dict[str, float]:
    median = statistics.median(seconds)
    return {"seconds": round(median, 3), "fps": round(rows / median, 1) if median > 0 else 0.0}


def _run_capture(video: Path, console: Console) -> dict[str, float]:
    """One capture with the shipped defaults. Returns the seconds of each stage."""
    with tempfile.TemporaryDirectory(prefix="extpose-bench-") as folder:
        job = Job(video, Path(folder), CaptureOptions(), resume=False)
        with console:
            done = capture(job, Listener(console.show))
        stages = read_json(Path(done.report))["stages"]
    return {stage: float(row["seconds"]) for stage, row in stages.items()}


def _run_peer(video: Path) -> float:
    """Seconds that MediaPipe's pose solution takes, decoding left out."""
    try:
        import mediapipe
    except ModuleNotFoundError as error:
        raise missing_package("mediapipe", "the bench's peer") from error
    seconds = 0.0
    with runtime_hushed(), mediapipe.solutions.pose.Pose(model_complexity=1) as pose:
        for frame in read_frames(probe_clip(video), Sampling()):
            start = time.perf_counter()
            pose.process(frame.image_rgb)
            if frame.row > 0:  # The first call loads the model.
                seconds += time.perf_counter() - start
    return seconds
