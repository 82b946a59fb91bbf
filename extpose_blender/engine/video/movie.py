"""Movie files and still images: pictures in order of presentation, through libav (PyAV).

Times are seconds from the stream's start, as Blender counts a movie strip: its reader adds the
stream's `start_time` to what it searches.
Source: blender/blender:source/blender/imbuf/movie/intern/movie_read.cc.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from ...protocol.errors import BadVideo
from .container import (
    alpha_decoder_or_none,
    duration_s,
    focal_35mm,
    is_still,
    nominal_rate,
    open_container,
    video_stream,
)
from .pixels import Turn, read_turn, to_rgb
from .source import Picture, Warn

_SEARCH_BACK_S = (0.0, 2.0, 10.0, 60.0)
"""How far before the wanted time a search begins; the next one when it came out too late."""


class MovieSource:
    """A movie file or still image, opened anew for each pass over it."""

    def __init__(self, path: Path) -> None:
        """Look at the file and decode its first picture.

        Raises:
            BadVideo: It holds no picture that can be decoded. The message says why.
        """
        self.path = path
        with open_container(path) as container:
            stream = video_stream(container, path)
            first = next(_decode(stream, container, _Tally()), None)
            if first is None:
                raise BadVideo(
                    f"`{path}` holds no picture that can be decoded",
                    "Check that it plays elsewhere, or convert it to H.264 in .mp4",
                )
            self.is_still = is_still(container)
            self._turn: Turn = read_turn(first)
            self._stored_size = (first.width, first.height)
            self.width, self.height = self._turn.size(*self._stored_size)
            self.rotation_deg = self._turn.clockwise_deg
            self.rate = nominal_rate(stream, path)
            self.duration_s = duration_s(stream, container)
            self.frame_count = round(self.duration_s * self.rate) or stream.frames
            self.focal_35mm = focal_35mm(container.metadata, stream.metadata, first.metadata)
            # A tick is the rounding of times, unless there is only about one per frame.
            self.slack_s = min(float(stream.time_base or 0), 0.25 / self.rate)
        if self.is_still:
            self.frame_count, self.duration_s = 1, 1 / self.rate

    def pictures(self, from_s: float, warn: Warn) -> Generator[Picture, None, None]:
        """Pictures in order, from the one on screen at `from_s` or an earlier one.

        Where the file can be searched, decoding begins at a key picture near `from_s`. What is
        damaged is left out, and a warning says so at the end.
        """
        tally = _Tally()
        last: Picture | None = None
        try:
            for picture in self._from_time(from_s, tally):
                if self.duration_s and picture.time_s > 2 * self.duration_s + 10:
                    tally.lost += 1  # Its time stamp is damaged: it lies far beyond the end.
                    break
                last = picture
                yield picture
            if last is not None and not tally.lost and not self.is_still:
                self._warn_if_short(last, warn)
        finally:
            if tally.lost:
                warn(
                    "damaged-clip",
                    f"`{self.path.name}`: {tally.lost} damaged parts were left out",
                    "Copy or download the clip again if that is too much",
                )

    def to_rgb(self, picture: Picture) -> np.ndarray:
        """The upright picture, (H, W, 3) uint8."""
        return to_rgb(picture.stored, self._turn, *self._stored_size)

    def _from_time(self, from_s: float, tally: _Tally) -> Iterator[Picture]:
        for back_s in _SEARCH_BACK_S:
            if from_s - back_s < 1.0:
                break
            with open_container(self.path) as container:
                found = self._search(container, from_s - back_s, tally)
                first = next(found, None)
                if first is not None and first.time_s <= from_s:
                    yield first
                    yield from found
                    return
            tally.lost = 0
        with open_container(self.path) as container:
            yield from self._timed(container, tally)

    def _search(self, container: InputContainer, at_s: float, tally: _Tally) -> Iterator[Picture]:
        """Pictures from the key picture before a time; none where the file cannot be searched."""
        stream = video_stream(container, self.path)
        if _has_loose_times(container) or stream.start_time is None or not stream.time_base:
            return
        ticks = stream.start_time + int(at_s / float(stream.time_base))
        try:
            container.seek(ticks, stream=stream)
            key = next((p for p in container.demux(stream) if p.is_keyframe), None)
            if key is None or key.pts is None or key.pts > ticks:
                return
            container.seek(ticks, stream=stream)
        except av.FFmpegError:
            return
        tally.first_pts = key.pts
        tally.rank = self._count_before(key.pts)
        yield from self._timed(container, tally)

    def _count_before(self, pts: int) -> int:
        """Number of pictures that come on screen before a time stamp, counted without decoding."""
        count = 0
        with open_container(self.path) as container:
            for packet in container.demux(video_stream(container, self.path)):
                if packet.dts is not None and packet.dts > pts:
                    break  # Nothing is shown before it is decoded, so no later packet counts.
                if packet.pts is not None and not packet.is_discard:
                    count += packet.pts < pts
        return count

    def _timed(self, container: InputContainer, tally: _Tally) -> Iterator[Picture]:
        """Decode, and give each picture its number and time; what comes out of order is dropped."""
        stream = video_stream(container, self.path)
        tick = float(stream.time_base or 0)
        loose = _has_loose_times(container)
        origin = None if loose else stream.start_time
        last_s, count = -math.inf, 0
        for frame in _decode(stream, container, tally):
            pts = tally.take_smallest() if loose else frame.pts
            if pts is None:
                time_s, index = count / self.rate, count
            elif tally.first_pts is not None and pts < tally.first_pts:
                continue
            else:
                origin = pts if origin is None else origin
                time_s = (pts - origin) * tick
                index = count if loose else tally.rank_of(pts)
            if time_s > last_s:
                yield Picture(index, time_s, (frame.duration or 0) * tick, frame)
                last_s, count = time_s, count + 1

    def _warn_if_short(self, last: Picture, warn: Warn) -> None:
        end_s = last.time_s + last.duration_s
        if self.duration_s - end_s > max(0.25, 3 / self.rate):
            warn(
                "clip-ends-early",
                f"`{self.path.name}` ends at {end_s:.2f} s of {self.duration_s:.2f} s",
                "Copy or download the clip again if the end is missing",
            )


@dataclass
class _Tally:
    """Bookkeeping of one pass: what was lost, and how pictures are numbered.

    A picture's number is the rank of its time stamp among those of all packets. It depends on time
    stamps alone, so it is the same after a search as in a pass from the start.
    """

    lost: int = 0
    """Parts that could not be decoded."""
    rank: int = 0
    """Packets whose time stamp lies before all of `waiting`."""
    first_pts: int | None = None
    """After a search: time stamp of the key picture where decoding begins."""
    waiting: list[int] = field(default_factory=list)
    """Heap of the time stamps of packets that went into the decoder."""

    def sent(self, pts: int) -> None:
        """A packet goes into the decoder."""
        if self.first_pts is None or pts >= self.first_pts:
            heapq.heappush(self.waiting, pts)

    def rank_of(self, pts: int) -> int:
        """Number of the picture with this time stamp."""
        while self.waiting and self.waiting[0] < pts:
            heapq.heappop(self.waiting)
            self.rank += 1
        return self.rank

    def take_smallest(self) -> int | None:
        """The smallest time stamp that no picture has taken yet."""
        return heapq.heappop(self.waiting) if self.waiting else None


def _has_loose_times(container: InputContainer) -> bool:
    """Whether packets carry the order of storing and not of showing, as AVI's do.

    Pictures leave the decoder in order of presentation, so they take the time stamps by size.
    """
    return container.format.name == "avi"


def _decode(
    stream: av.VideoStream, container: InputContainer, tally: _Tally
) -> Iterator[av.VideoFrame]:
    """Decode packet by packet, so that a damaged packet costs no other one."""
    decoder = alpha_decoder_or_none(stream) or stream.codec_context
    packets = container.demux(stream)
    at_end = False
    while not at_end:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # The file breaks off: take what the decoder still holds.
            tally.lost += 1
            packet = None
        at_end = packet is None or packet.size == 0
        if packet is not None and packet.pts is not None and not packet.is_discard:
            tally.sent(packet.pts)
        try:
            yield from decoder.decode(None if at_end else packet)
        except av.EOFError:
            return
        except av.FFmpegError:
            tally.lost += 1
