"""Opening files with libav (PyAV): which formats, which stream, and what the metadata says."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Discard, Disposition

from ...protocol.errors import BadVideo
from .source import unreadable

STILL_SUFFIX = "_pipe"
"""End of the names of libav's readers of single images."""

_MOVIES = (
    "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,gif,apng,mxf,gxf,dv,nut,wtv,rm,ivf,yuv4mpegpipe",
    "mp3,wav,flac,aac",
)
"""Containers that are read; sound files are among them so that they are named for what they are.

Others are left out on purpose: playlists open other files, and raw streams are guessed from noise.
"""

_STILLS = tuple(
    name + STILL_SUFFIX
    for name in (
        "png", "jpeg", "webp", "bmp", "tiff", "exr", "dpx", "sgi", "ppm", "pgm", "pam", "hdr",
        "jpegxl", "j2k", "psd", "qoi", "gif",
    )
)  # fmt: skip

_RAW_STREAMS = {
    ".h264": "h264", ".264": "h264", ".h265": "hevc", ".hevc": "hevc", ".265": "hevc",
    ".m2v": "mpegvideo", ".m4v": "m4v", ".mjpeg": "mjpeg", ".mjpg": "mjpeg",
}  # fmt: skip
"""Streams without a container, read only when the name says so."""

_HIGHEST_RATE = 120.0
"""Frames per second above which a nominal rate must be borne out by the average."""

_JPEG = b"\xff\xd8\xff"
"""How every JPEG begins."""

_DEFAULT_RATE = 25.0
"""What libav assumes where a file does not say."""

_FOCAL_TAG = re.compile(r"focal_?length.*35")
"""QuickTime's `…camera.focal_length.35mm_equivalent` and EXIF's `FocalLengthIn35mmFilm`."""


def open_container(path: Path) -> InputContainer:
    """Open a file for reading: nothing is written to stderr, no other file or address is followed.

    Raises:
        BadVideo: It is missing, empty, unreadable, or in no format that is known here.
    """
    av.logging.set_level(None)
    head = _first_bytes(path)
    # By its name a .jpg goes to libav's reader of numbered images, which could follow other files.
    name = "jpeg_pipe" if head == _JPEG else None
    formats = (*_MOVIES, *_STILLS, _RAW_STREAMS.get(path.suffix.lower(), "mov"))
    options = {"format_whitelist": ",".join(formats), "protocol_whitelist": "file"}
    try:
        return av.open(f"file:{path}", "r", name, options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadVideo(
            f"`{path}` cannot be read as a video: {reason}",
            "Check that it plays elsewhere, or convert it to H.264 in .mp4",
        ) from error


def _first_bytes(path: Path) -> bytes:
    """The first bytes of a file that can be read and is not empty; raises BadVideo."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(len(_JPEG))
    except OSError as error:
        raise unreadable(path, error) from error
    if not head:
        raise BadVideo(f"`{path}` is empty", "Copy or download the clip again")
    return head


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The stream of pictures, ready to be decoded on several threads; the others are skipped.

    Raises:
        BadVideo: There is none.
    """
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        found = "sound only" if container.streams.audio else "no pictures"
        raise BadVideo(f"`{path}` holds {found}", "Choose a file with a video stream")
    stream = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    stream.thread_type = "AUTO"
    return stream


def is_still(container: InputContainer) -> bool:
    """Whether the file is a single image."""
    return container.format.name.endswith(STILL_SUFFIX)


def nominal_rate(stream: av.VideoStream, path: Path) -> float:
    """Frames per second at which Blender counts a movie strip of the file.

    That is libav's `r_frame_rate`. Where it is only the finest clock that all time stamps fit
    (1000 or 90000 in some files of variable rate), the average takes its place.
    """
    rates = [float(r) if r else 0.0 for r in (stream.base_rate, stream.average_rate)]
    base, average = (r if math.isfinite(r) else 0.0 for r in rates)
    if 0 < base <= _HIGHEST_RATE:
        return base
    average = average or _counted_rate(path)
    if base > 0 and base <= 2 * average:
        return base
    return average or _DEFAULT_RATE


def _counted_rate(path: Path, packets: int = 1000) -> float:
    """Average rate of the first packets; 0 where they have no times."""
    with open_container(path) as container:
        stream = video_stream(container, path)
        stamps = sorted(
            p.pts for p in islice(container.demux(stream), packets) if p.pts is not None
        )
        ticks = stamps[-1] - stamps[0] if stamps else 0
        return (len(stamps) - 1) / float(ticks * (stream.time_base or 1)) if ticks else 0.0


def duration_s(stream: av.VideoStream, container: InputContainer) -> float:
    """Seconds that the stream lasts, or the whole file; 0 where neither says."""
    if stream.duration and stream.time_base:
        return max(0.0, float(stream.duration * stream.time_base))
    length = (container.duration or 0) / av.time_base
    if container.format.name.startswith(
        "matroska"
    ):  # It says when the file ends, not how long it is.
        length -= max(0, container.start_time or 0) / av.time_base
    return max(0.0, length)


def focal_35mm(*metadata: Mapping[str, str]) -> float | None:
    """Focal length as on 35 mm film from the tags of a file, a stream or a picture, millimetres."""
    for tags in metadata:
        for key, value in tags.items():
            number = re.match(r"\s*(\d+(?:\.\d*)?)", str(value))
            if number and _FOCAL_TAG.search(key.lower()) and float(number[1]) > 0:
                return float(number[1])
    return None


def alpha_decoder_or_none(stream: av.VideoStream) -> av.VideoCodecContext | None:
    """A decoder that also reads the alpha of WebM files, which libav's own ones pass over."""
    decoder = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.codec.canonical_name)
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if decoder is None or tags.get("alpha_mode") != "1" or decoder not in av.codecs_available:
        return None
    context = av.CodecContext.create(decoder, "r")
    assert isinstance(context, av.VideoCodecContext)
    return context
