"""Measures the network: operations it needs, the rate of the device, and the seconds it takes.

What is counted follows `torch.utils.flop_counter`, against which the tests hold it: matrix products,
convolutions and attention, two operations per multiplication and addition; nothing elementwise.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .backbone import MLP_RATIO, Block
from .head import BETAS
from .memory import out_of_memory, peak_memory, restart_peak
from .network import ExtPose, ExtPoseConfig
from .predict import Predictor

CUDA_SIDES = (4096, 8192, 16384)
"""Sides of the square matrices that a GPU's rate is measured with."""

CPU_SIDES = (256, 512, 1024, 2048)
"""The same for a CPU; what does not fit into the time is left out, the larger first."""

LEAST_SECONDS = 0.05
"""A measurement repeats what is faster than this, so that the clock's steps do not count."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one shape of input, beside the plain image model's."""

    seconds: list[float]
    """Of each run."""
    plain_seconds: list[float]
    """Of the plain image model on as many pictures, run after each of `seconds`."""
    peak_bytes: int | None
    """Memory at the highest point of a run, where the system tells."""

    @property
    def ratio(self) -> float:
        """Median of the ratios of neighbouring runs."""
        pairs = zip(self.seconds, self.plain_seconds, strict=True)
        return statistics.median(a / b for a, b in pairs)


def time_against_image_model(
    predictor: Predictor, frames: int, streams: int, windows: int, runs: int
) -> Timing | None:
    """Time the network in turn with the plain image model: T = 1, one stream, as many frames at once.

    Pictures are random and lie on the device, normalised.

    Returns:
        `None` where this does not fit into memory.
    """
    config, device = predictor.config, predictor.device
    shape = (windows, frames, 3, *config.image_size)
    try:
        image, skeleton = (torch.randn(shape, device=device).to(predictor.dtype) for _ in range(2))
        singles = image.view(windows * frames, 1, *shape[2:])

        def extended() -> object:
            return predictor.forward(image, skeleton if streams > 1 else None)

        def plain() -> object:
            return predictor.forward(singles, None)

        restart_peak(device)
        seconds_of(extended, device)
        peak = peak_memory(device)
        seconds_of(plain, device)
        taken = alternate(extended, plain, runs, device)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return None
    return Timing(*taken, peak)


def count_flops(net: ExtPose, frames: int, streams: int) -> int:
    """Floating-point operations of one window through the network.

    Args:
        net: The network; its sizes and its layout matter, its weights do not.
        frames: T.
        streams: 1 or 2.
    """
    config = net.config
    patches = 2 * config.tokens * config.embed_dim * 3 * config.patch_size**2
    layers = 0
    for block in net.backbone.blocks:
        assert isinstance(block, Block)
        for step in block.steps(streams, frames):
            layers += _attention_flops(config, step, frames, streams)
    tokens = streams * frames * config.tokens
    mlp = 4 * tokens * MLP_RATIO * config.embed_dim**2
    return (
        streams * frames * patches
        + layers
        + config.depth * mlp
        + frames * _head_flops(config, streams)
    )


def _attention_flops(config: ExtPoseConfig, step: str, frames: int, streams: int) -> int:
    """One attention step of a block: queries, keys and values, scores, sums, output layer."""
    if step == "mean":
        both = (_attention_flops(config, part, frames, streams) for part in ("modal", "frame"))
        return sum(both)
    pictures = {"modal": streams, "frame": frames, "union": frames + streams - 1}
    keys = pictures[step] * config.tokens
    tokens = streams * frames * config.tokens
    return tokens * config.embed_dim * (8 * config.embed_dim + 4 * keys)


def _head_flops(config: ExtPoseConfig, streams: int) -> int:
    """The decoder for one frame: its query is one token."""
    dim, inner = config.decoder_dim, config.decoder_heads * config.decoder_dim_head
    context = config.tokens * (streams if config.context == "both" else 1)
    alone = 4 * dim * inner  # Of one token's attention to itself only values act.
    across = 4 * dim * inner + 4 * context * config.embed_dim * inner + 4 * context * inner
    layer = alone + across + 4 * dim * config.decoder_mlp_dim
    readout = 2 * dim * (6 * config.num_joints + BETAS + 3)
    return 2 * dim + config.decoder_depth * layer + readout


def measure_matrix_rate(
    device: str | torch.device, dtype: torch.dtype, seconds: float = 3.0
) -> float:
    """Floating-point operations per second of large square matrix products: the best that was seen.

    Args:
        device: Torch's word for the device.
        dtype: Number type of the matrices.
        seconds: How long to measure, about; where a single product takes longer, that product's time.
    """
    sides = CUDA_SIDES if torch.device(device).type == "cuda" else CPU_SIDES
    best = 0.0
    for side in sides:
        if best > 0 and 2 * side**3 / best > seconds / len(sides):
            break
        best = max(best, _rate_of_products(side, device, dtype, seconds / len(sides)))
    return best


def _rate_of_products(
    side: int, device: str | torch.device, dtype: torch.dtype, seconds: float
) -> float:
    """The best rate of square products of one size, within some seconds."""
    a, b, product = (torch.randn(side, side, device=device).to(dtype) for _ in range(3))

    def multiply() -> None:
        torch.mm(a, b, out=product)

    multiply()
    best, end = 0.0, time.perf_counter() + seconds
    while best == 0 or time.perf_counter() < end:
        best = max(best, 2 * side**3 / seconds_of(multiply, device))
    return best


def seconds_of(work: Callable[[], object], device: str | torch.device) -> float:
    """Seconds that a call takes, the device's work included; short calls are repeated."""
    _wait_for(device)
    start = time.perf_counter()
    calls = 0
    while True:
        # As many again as there were, so that waiting for the device stays rare.
        for _ in range(max(1, calls)):
            work()
        calls += max(1, calls)
        _wait_for(device)
        taken = time.perf_counter() - start
        if taken >= LEAST_SECONDS:
            return taken / calls


def alternate(
    first: Callable[[], object],
    second: Callable[[], object],
    runs: int,
    device: str | torch.device,
) -> tuple[list[float], list[float]]:
    """Seconds of two calls in turn, A B A B …; each should have run once before."""
    pairs = [(seconds_of(first, device), seconds_of(second, device)) for _ in range(runs)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def device_name(device: str | torch.device) -> str:
    """What a device is called in front of people."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    name = torch.cpu.get_capabilities().get("cpu_name")
    return f"{name or 'CPU'} ({torch.backends.cpu.get_cpu_capability()})"


def _wait_for(device: str | torch.device) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
