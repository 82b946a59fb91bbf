"""Measures how many frames a second are made, step by step.

    python -m models.data.speed MOTION --device cuda --clips 64 --frames 16

MOTION is the folder that `python -m models.mocap` writes. Prints the best of a few batches.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from .clips import Clips, ClipSource
from .motion import MotionBank
from .pictures import PictureConfig, PictureMaker

_BATCHES = 3


def frames_per_second(make: Callable[[int], object], frames: int, device: torch.device) -> float:
    """Frames over the seconds of the fastest of a few calls, after one that warms up."""
    make(0)
    best = float("inf")
    for step in range(1, 1 + _BATCHES):
        _wait(device)
        start = time.perf_counter()
        make(step)
        _wait(device)
        best = min(best, time.perf_counter() - start)
    return frames / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("motion", type=Path, help="folder of retargeted motion")
    parser.add_argument("--device", default="cpu", help="torch's word for it")
    parser.add_argument("--clips", type=int, default=8, help="clips of a batch")
    parser.add_argument("--frames", type=int, default=4, help="frames of a clip")
    parser.add_argument("--at-once", type=int, default=64, help="pictures rendered together")
    options = parser.parse_args()
    device, B, T = torch.device(options.device), options.clips, options.frames
    source = ClipSource(MotionBank.read(options.motion), device=device)
    clips = source.batch(0, B, T)

    def report(name: str, make: Callable[[int], object]) -> None:
        print(f"{name}: {frames_per_second(make, B * T, device):.1f} frames/s", flush=True)

    report("clips", lambda step: source.batch(step, B, T))
    for size_hw in ((128, 96), (256, 192)):
        config = PictureConfig(size_hw=size_hw, frames_at_once=options.at_once)
        maker = PictureMaker(config, device=device)
        size = f"{size_hw[0]}×{size_hw[1]}"
        report(f"skeleton images {size}", partial(_draw_skeletons, maker, clips))
        report(f"pictures {size}", partial(maker.make, clips))


def _draw_skeletons(maker: PictureMaker, clips: Clips, step: int) -> None:
    """They do not depend on the step."""
    maker.skeletons(clips)


if __name__ == "__main__":
    main()
