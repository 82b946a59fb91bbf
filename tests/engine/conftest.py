"""Small clips made on the spot, and the command line as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FAKE = ("--detector", "fake", "--lifter", "fake")
"""Flags that drive the whole channel without a model."""


def write_clip(
    path: Path, rows: int = 12, size: tuple[int, int] = (160, 120), fps: int = 10
) -> Path:
    """Write a small clip whose pictures differ from each other."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for row in range(rows):
            image = np.full((size[1], size[0], 3), 10 * row % 256, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of twelve frames."""
    return write_clip(tmp_path / "walk.mp4")


@pytest.fixture(scope="session")
def extpose() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `extpose` in a process of its own."""

    def run(
        *words: object, env: dict[str, str] | None = None, python: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        command = [*(python or [sys.executable]), "-m", "extpose_blender", *map(str, words)]
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
        )

    return run
