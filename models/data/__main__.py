"""`python -m models.data MOTION`: how many made-up frames a second one core makes."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from .clips import ClipSource
from .motion import MotionBank


def main(arguments: list[str] | None = None) -> int:
    """Make batches and count; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.data", description=__doc__)
    parser.add_argument("motion", type=Path, help="folder that `python -m models.mocap` wrote")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--clips", type=int, default=64, help="clips of a batch")
    parser.add_argument("--frames", type=int, default=32, help="frames of a clip")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    source = ClipSource(MotionBank.read(options.motion), device=options.device)
    source.batch(0, options.clips, options.frames)
    # On a shared machine the time that this process itself had counts; a GPU works beside it.
    clock = time.process_time if options.device == "cpu" else time.perf_counter
    start = clock()
    for step in range(1, options.batches + 1):
        seen = source.batch(step, options.clips, options.frames).seen
    seen.sum().item()
    frames = options.batches * options.clips * options.frames
    print(f"{frames / (clock() - start):,.0f} frames a second on {options.device}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
