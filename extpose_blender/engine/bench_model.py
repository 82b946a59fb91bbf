"""`extpose bench --model`: milliseconds per frame of the network, against the plain image model in the same run.

The plain model is the HMR2.0 (or HaMeR) forward of the same weights: T = 1, image only, on as many frames
in one batch. Both run in turn (A B A B …) after one run of each that does not count; the median of the
ratios of neighbouring runs is what drifts least with the machine's speed.
"""

from __future__ import annotations

import itertools
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ..protocol.errors import UsageError
from ..protocol.options import ModelBenchOptions
from .lift.device import choose_device
from .lift.extpose.measure import (
    Timing,
    count_flops,
    device_name,
    measure_matrix_rate,
    time_against_image_model,
)
from .lift.extpose.memory import count_memory
from .lift.extpose.network import ExtPose, ExtPoseConfig
from .lift.extpose.precision import word_of
from .lift.extpose.predict import Predictor
from .lift.extpose.weights_file import load_network, named_weights

SIZES: dict[str, dict[str, int]] = {
    "vit-b": {"embed_dim": 768, "depth": 12, "num_heads": 12},
    "vit-l": {"embed_dim": 1024, "depth": 24, "num_heads": 16},
    "vit-h": {"embed_dim": 1280, "depth": 32, "num_heads": 16},
}
"""Backbones that can be measured with random weights."""

USUAL_SHARE = 0.7
"""What share of the matrix rate a network is assumed to reach, where seconds are foretold."""

GOAL = "goal on a GPU: vit-h, bf16, T = 16, two streams: at least 60 % of the matrix rate"


@dataclass(frozen=True)
class Measured:
    """What was measured with one shape of input."""

    ms_per_frame: float
    """Median."""
    plain_ms_per_frame: float
    """The same for the plain image model."""
    ratio: float
    """Median of the ratios of neighbouring runs: this over the plain image model."""
    rate_share: float
    """Operations per second that were reached, over the matrix rate."""
    peak_bytes: int | None
    """On CUDA what was allocated, weights included; on a CPU all that the process held."""


@dataclass(frozen=True)
class Case:
    """One shape of input."""

    frames: int
    """T."""
    streams: int
    """1 (image) or 2 (image and skeleton)."""
    windows: int
    """Windows at once."""
    gflop_per_frame: float
    """Operations that the network needs per frame, in 10⁹."""
    expected_s: float
    """Seconds foretold for all runs of this case."""
    skipped: str
    """Why it was not run; empty when it was."""
    measured: Measured | None
    """`None` when it was not run."""
    counted_bytes: int | None
    """On a CPU: what tensors take at the highest point, weights included, counted without running."""


@dataclass(frozen=True)
class ModelBenchResult:
    """What was measured."""

    model: str
    """As it was asked for."""
    machine: str
    """Processor, cores and device."""
    precision: str
    """In which it ran."""
    compiled: bool
    """Whether torch compiled the blocks."""
    matrix_rate: float
    """Floating-point operations per second of the best large matrix product in that precision."""
    cases: tuple[Case, ...]
    """Every combination that was asked for."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """A table for people."""
        words = f"{self.precision}{', compiled' if self.compiled else ''}"
        lines = [
            f"{self.model} in {words}, on {self.machine}",
            f"matrix rate measured in this run: {self.matrix_rate / 1e9:,.0f} GFLOP/s",
            "plain: the same weights as the image model (T = 1, one stream) on as many frames",
            f"{'T':>3}{'streams':>9}{'windows':>9}{'GFLOP/frame':>13}{'ms/frame':>11}{'plain':>11}"
            f"{'ratio':>7}{'of rate':>9}{'peak':>10}{'counted':>10}",
        ]
        return "\n".join([*lines, *map(_row, self.cases), GOAL])


def run_model_bench(
    model: str, options: ModelBenchOptions, runs: int, say: Callable[[str], None]
) -> ModelBenchResult:
    """Measure the network alone: pictures lie on the device, normalised.

    Args:
        model: A name of `SIZES` (random weights), or weights: the name of added ones, or a file.
        options: What to measure.
        runs: Runs of each side that count.
        say: Is told what comes next, one line at a time.

    Raises:
        UsageError: `runs` is below 1.
        MissingPackage: `cuda` was asked for, and there is none.
        MissingModel: No such weights.
        BadModelFile: The weights cannot be used.
    """
    if runs < 1:
        raise UsageError(f"`--runs` must be at least 1, not {runs}")
    device = choose_device(options.device)
    predictor = Predictor(_network(model), device, options.precision, options.compile)
    say(f"Measuring the matrix rate of {device_name(device)}")
    rate = measure_matrix_rate(device, predictor.dtype)
    measurement = _Measurement(predictor, runs, options.longest, rate, say)
    shapes = itertools.product(options.frame_counts, (1, 2), options.batch_sizes)
    return ModelBenchResult(
        model,
        f"{platform.machine()}, {os.cpu_count()} cores, {device_name(device)}",
        word_of(predictor.dtype),
        options.compile,
        rate,
        tuple(measurement.case_of(*shape) for shape in shapes),
    )


def _network(model: str) -> ExtPose:
    if model in SIZES:
        return ExtPose(ExtPoseConfig.from_dict(SIZES[model])).eval()
    return load_network(named_weights(model))


@dataclass(frozen=True)
class _Measurement:
    """A network and how it is measured."""

    predictor: Predictor
    runs: int
    longest: float
    rate: float
    say: Callable[[str], None]

    def case_of(self, frames: int, streams: int, windows: int) -> Case:
        """Foretell how long a shape takes; run it where that is not too long."""
        net, total = self.predictor.net, frames * windows
        flops = count_flops(net, frames, streams) * windows
        plain = count_flops(net, 1, 1) * total
        expected = (self.runs + 1) * (flops + plain) / (USUAL_SHARE * self.rate)
        words = f"T = {frames}, {streams} stream{'s' * (streams > 1)}, {windows} at once"
        timing: Timing | None = None
        if expected > self.longest:
            skipped = f"it would take about {expected:.0f} s (`--longest` is {self.longest:g})"
        else:
            self.say(f"{words}: about {expected:.0f} s")
            timing = time_against_image_model(self.predictor, frames, streams, windows, self.runs)
            skipped = "" if timing else "it does not fit into memory"
        if skipped:
            self.say(f"{words}: left out, {skipped}")
        return Case(
            frames,
            streams,
            windows,
            flops / total / 1e9,
            expected,
            skipped,
            _figures(timing, flops, total, self.rate) if timing else None,
            self._counted_bytes(frames, streams, windows),
        )

    def _counted_bytes(self, frames: int, streams: int, windows: int) -> int | None:
        if self.predictor.device.type != "cpu":
            return None
        predictor = self.predictor
        return count_memory(predictor.config, predictor.dtype, frames, streams, windows)


def _figures(timing: Timing, flops: int, total: int, rate: float) -> Measured:
    seconds = statistics.median(timing.seconds)
    plain = statistics.median(timing.plain_seconds)
    return Measured(
        1000 * seconds / total,
        1000 * plain / total,
        timing.ratio,
        flops / seconds / rate,
        timing.peak_bytes,
    )


def _row(case: Case) -> str:
    shape = f"{case.frames:3}{case.streams:9}{case.windows:9}{case.gflop_per_frame:13,.0f}"
    counted = _gigabytes(case.counted_bytes)
    if case.measured is None:
        return f"{shape}  {case.skipped:46}{counted}"
    measured = case.measured
    return (
        f"{shape}{measured.ms_per_frame:11,.2f}{measured.plain_ms_per_frame:11,.2f}"
        f"{measured.ratio:7.2f}{measured.rate_share:9.0%}{_gigabytes(measured.peak_bytes)}{counted}"
    )


def _gigabytes(size: int | None) -> str:
    return f"{size / 1e9:7.2f} GB" if size is not None else f"{'–':>10}"
