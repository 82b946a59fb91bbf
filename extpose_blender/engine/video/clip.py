"""A clip for the stages: what is known of it, and its rows one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from ...protocol.errors import BadVideo
from ...protocol.flow import ClipInfo, Frame
from .images import SEQUENCE_RATE, ImageSource, is_sequence
from .movie import MovieSource
from .prefetch import prefetch
from .sampling import RowTimes, Sampling
from .source import Picture, Source, Warn

__all__ = ["Sampling", "count_rows", "probe_clip", "read_frames"]

_FRAMES_AHEAD = 4
"""Frames that wait decoded; they bound the memory."""


def probe_clip(path: Path) -> ClipInfo:
    """Look at a movie, an image, a folder of images, or a pattern of their names.

    Patterns are `shot_####.png` and `shot_%04d.png`. The first picture is decoded, so size and
    rotation are those of the pictures that will come.

    Raises:
        BadVideo: There is no picture in it that can be decoded. The message says why.
    """
    source = _open_source(path, None)
    return ClipInfo(
        path=path,
        width=source.width,
        height=source.height,
        fps=source.rate,
        frame_count=source.frame_count,
        duration_s=source.duration_s,
        rotation_deg=source.rotation_deg,
        focal_35mm=source.focal_35mm,
    )


def count_rows(info: ClipInfo, sampling: Sampling) -> int:
    """How many rows `read_frames` will give: a hint, as good as the file's own numbers."""
    rate = _clip_rate(info, sampling)
    return RowTimes.of(sampling, rate).rows_before(info.frame_count / rate)


def read_frames(
    info: ClipInfo, sampling: Sampling, first_row: int = 0, warn: Warn | None = None
) -> Generator[Frame, None, None]:
    """Decode a clip row by row; each row shows the picture on screen at its time.

    Rows with the same picture share its array, which is read-only. Decoding runs ahead on a thread
    of its own, which ends with this iterator; memory does not grow with the clip. A folder or
    pattern of images has no rate of its own: the wanted `fps` is taken for it, so that each image
    is one row.

    Args:
        info: The clip, from `probe_clip`.
        sampling: Which part of it, and how many rows per second.
        first_row: Row to begin with; the rows from there on are those of an undisturbed read.
        warn: Called with code, message and hint for what is wrong but can be lived with, on the
            caller's thread.

    Raises:
        BadVideo: Nothing can be decoded, or the clip ends before the start frame.
    """
    for item in prefetch(_rows_and_warnings(info, sampling, first_row), _FRAMES_AHEAD):
        if isinstance(item, Frame):
            yield item
        elif warn is not None:
            warn(*item)


def _open_source(path: Path, sequence_rate: float | None) -> Source:
    if is_sequence(path):
        return ImageSource(path, sequence_rate or SEQUENCE_RATE)
    return MovieSource(path)


def _clip_rate(info: ClipInfo, sampling: Sampling) -> float:
    return (sampling.fps or info.fps) if is_sequence(info.path) else info.fps


def _rows_and_warnings(
    info: ClipInfo, sampling: Sampling, first_row: int
) -> Iterator[Frame | tuple[str, str, str]]:
    """The rows, and at the end the warnings, in one stream that a thread can carry."""
    source = _open_source(info.path, sampling.fps)
    times = RowTimes.of(sampling, source.rate)
    warnings: list[tuple[str, str, str]] = []
    pictures = source.pictures(
        times.time_s(first_row), lambda code, message, hint: warnings.append((code, message, hint))
    )
    row, end_s = first_row, 0.0
    for picture, end_s in _with_ends(pictures, source):
        last = times.rows_before(end_s - source.slack_s)
        if row < last:
            image = source.to_rgb(picture)
            image.flags.writeable = False
            for shown in range(row, last):
                yield Frame(shown, picture.index, times.time_s(shown), image)
            row = last
        if times.is_past(row):
            break
    pictures.close()
    if row == 0:
        raise _no_rows(info, source, sampling, end_s)
    if sampling.end is not None and end_s < times.until_s - 1.5 / source.rate:
        warnings.append(_end_beyond_clip(info, source, sampling, end_s))
    yield from warnings


def _with_ends(pictures: Iterator[Picture], source: Source) -> Iterator[tuple[Picture, float]]:
    """Each picture with the time at which the next one replaces it, or the clip ends."""
    held: Picture | None = None
    for picture in pictures:
        if held is not None:
            yield held, picture.time_s
        held = picture
    if held is not None:
        longest_s = max(1 / source.rate, source.duration_s)
        known = 0 < held.duration_s <= longest_s
        yield held, held.time_s + (held.duration_s if known else 1 / source.rate)


def _no_rows(info: ClipInfo, source: Source, sampling: Sampling, end_s: float) -> BadVideo:
    frames = round(end_s * source.rate)
    return BadVideo(
        f"`{info.path}` has {frames} frames, and the start is frame {sampling.start or 0}",
        f"Choose a start from 0 to {max(0, frames - 1)}",
    )


def _end_beyond_clip(
    info: ClipInfo, source: Source, sampling: Sampling, end_s: float
) -> tuple[str, str, str]:
    frames = round(end_s * source.rate)
    return (
        "end-beyond-clip",
        f"`{info.path.name}` ends with frame {frames - 1}, before the chosen end {sampling.end}",
        "All frames up to its end are used",
    )
