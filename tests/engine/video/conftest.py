"""Clips made on the spot, whose pictures say which they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

LEVELS = 8
"""Grey step from picture to picture: far more than any codec's loss."""


def numbered(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture of one grey, by its number up to 30; brighter in the upper left quarter."""
    image = np.full((height, width, 3), LEVELS * (index % 30), np.uint8)
    image[: height // 2, : width // 2] += 15
    return image


def number_of(image: np.ndarray) -> int:
    """The number of a picture made by `numbered`, modulo 30."""
    return round(float(image[-8:, -8:].mean()) / LEVELS)


def write_movie(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int | Fraction = 30,
    pts_ms: Sequence[int] | None = None,
    rotation: int | None = None,
    mirrored: bool = False,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    """Write pictures, RGB or RGBA, as a movie; with `pts_ms` at these times."""
    with av.open(str(path), "w", options=muxer or {}) as container:
        container.metadata.update(tags or {})
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if pts_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation, hflip=mirrored)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, "rgba" if image.shape[2] == 4 else "rgb24")
            if pts_ms is not None:
                frame.pts, frame.time_base = pts_ms[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def movie(tmp_path: Path) -> Callable[..., Path]:
    """Writes numbered pictures: `movie(name, count, (w, h), noise, **as write_movie)`."""

    def make(
        name: str,
        count: int = 30,
        size: tuple[int, int] = (64, 48),
        noise: bool = False,
        **how: Any,
    ) -> Path:
        images = [numbered(i, *size) for i in range(count)]
        if noise:  # Makes the pictures larger than the file's header.
            rng = np.random.default_rng(0)
            images = [
                np.clip(i + rng.integers(0, 9, i.shape), 0, 255).astype(np.uint8) for i in images
            ]
        return write_movie(tmp_path / name, images, **how)

    return make


@pytest.fixture
def picture_number() -> Callable[[np.ndarray], int]:
    """Reads the number off a picture."""
    return number_of


@pytest.fixture
def write() -> Callable[..., Path]:
    """Writes pictures as a movie."""
    return write_movie
