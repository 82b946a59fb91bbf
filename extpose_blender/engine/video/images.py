"""Image sequences: a folder of images, or a pattern such as `shot_####.png` or `shot_%04d.png`."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import av
import numpy as np

from ...protocol.errors import BadVideo
from .container import focal_35mm, open_container, video_stream
from .pixels import read_turn, to_rgb
from .source import Picture, Warn, unreadable

SEQUENCE_RATE = 24.0
"""Frames per second of a sequence where the user says nothing: Blender's rate for a new scene."""

_SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".exr", ".dpx", ".sgi", ".ppm",
    ".pgm", ".pam", ".hdr", ".jxl", ".jp2", ".j2k", ".psd", ".qoi",
}  # fmt: skip

_NUMBER = re.compile(r"(#+)|%(0?)(\d*)d")


def is_sequence(path: Path) -> bool:
    """Whether a path is a folder, or names numbered images rather than a file."""
    return path.is_dir() or (_NUMBER.search(path.name) is not None and not path.exists())


class ImageSource:
    """Images in the natural order of their names, one per frame; gaps in the numbers are closed."""

    def __init__(self, path: Path, rate: float = SEQUENCE_RATE) -> None:
        """List the images and decode the first.

        Args:
            path: Folder or pattern.
            rate: Frames per second; images have none of their own.

        Raises:
            BadVideo: The folder cannot be read, holds no image, or the first one cannot be decoded.
        """
        self.path, self.rate, self.slack_s = path, rate, 0.0
        self._files = _list_images(path)
        first, tags = _decode(self._files[0])
        turn = read_turn(first)
        self.width, self.height = turn.size(first.width, first.height)
        self.rotation_deg = turn.clockwise_deg
        self.focal_35mm = focal_35mm(tags, first.metadata)
        self.frame_count = len(self._files)
        self.duration_s = self.frame_count / rate

    def pictures(self, from_s: float, warn: Warn) -> Generator[Picture, None, None]:
        """Pictures in order, from the one on screen at `from_s`.

        In place of an unreadable image the one before it stays; a warning says so at the end.
        """
        lost = 0
        wanted = min(max(0, int(from_s * self.rate + 1e-6)), self.frame_count)
        try:
            for index in self._from_readable(wanted):
                try:
                    frame, _ = _decode(self._files[index])
                except BadVideo:
                    lost += 1
                    continue
                yield Picture(index, index / self.rate, 1 / self.rate, frame)
        finally:
            if lost:
                warn(
                    "damaged-images",
                    f"`{self.path.name}`: {lost} images could not be read, others replace them",
                    "Render or copy them again",
                )

    def to_rgb(self, picture: Picture) -> np.ndarray:
        """The upright picture, (H, W, 3) uint8, at the size of the first."""
        turn = read_turn(picture.stored)
        return to_rgb(picture.stored, turn, *turn.size(self.width, self.height))

    def _from_readable(self, wanted: int) -> range:
        """Numbers from the last readable image at or before the wanted one."""
        for index in range(min(wanted, self.frame_count - 1), -1, -1):
            try:
                _decode(self._files[index])
            except BadVideo:
                continue
            return range(index, self.frame_count)
        return range(0)


def _decode(path: Path) -> tuple[av.VideoFrame, dict[str, str]]:
    """The picture of an image file, and the file's tags. Raises BadVideo."""
    with open_container(path) as container:
        stream = video_stream(container, path)
        stream.thread_type = "SLICE"  # One picture: no threads that work on several.
        try:
            frame = next(container.decode(stream), None)
        except av.FFmpegError:
            frame = None
        if frame is None:
            raise BadVideo(f"`{path}` cannot be decoded", "Render or copy the image again")
        return frame, dict(container.metadata)


def _list_images(path: Path) -> list[Path]:
    folder = path if path.is_dir() else path.parent
    wanted = None if path.is_dir() else _pattern(path.name)
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    except OSError as error:
        raise unreadable(folder, error) from error
    if wanted is not None:
        names = [name for name in names if wanted.fullmatch(name)]
    else:
        names = [n for n in names if Path(n).suffix.lower() in _SUFFIXES and not n.startswith(".")]
    if not names:
        what = "images" if wanted is None else f"images named like `{path.name}`"
        raise BadVideo(f"`{folder}` holds no {what}", "Choose a folder of numbered images")
    return [folder / name for name in sorted(names, key=_natural_key)]


def _pattern(name: str) -> re.Pattern[str]:
    """What the names of a numbered sequence look like; numbers may outgrow their padding."""
    match = _NUMBER.search(name)
    assert match is not None
    hashes, padded, width = match[1], match[2], int(match[3] or 1)
    digits = len(hashes) if hashes else (width if padded else 1)
    number = rf"\d{{{digits},}}"
    return re.compile(re.escape(name[: match.start()]) + number + re.escape(name[match.end() :]))


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorts `shot_9` before `shot_10`."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(p), p) if p.isdigit() else (1, 0, p) for p in parts]
