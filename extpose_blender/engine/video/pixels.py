"""From a decoded picture to the upright RGB array that the stages see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import av
import cv2
import numpy as np
from av.buffer import Buffer


@dataclass(frozen=True)
class Turn:
    """How a stored picture is brought upright: transposed first, then mirrored."""

    transpose: bool = False
    """Rows become columns."""
    mirror_x: bool = False
    """Left becomes right."""
    mirror_y: bool = False
    """Top becomes bottom."""

    @property
    def clockwise_deg(self) -> int:
        """Clockwise rotation, degrees; a mirror image counts as the rotation that is left of it."""
        if self.transpose:
            return 90 if self.mirror_x else 270
        return 180 if self.mirror_y else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return (height, width) if self.transpose else (width, height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The upright picture (H, W, 3) of a stored one."""
        if self.transpose:
            image = cv2.transpose(image)
        if self.mirror_x or self.mirror_y:
            code = -1 if self.mirror_x and self.mirror_y else int(self.mirror_x)
            image = cv2.flip(image, code)
        return image


_QUARTER_TURNS = (
    Turn(),
    Turn(transpose=True, mirror_x=True),
    Turn(mirror_x=True, mirror_y=True),
    Turn(transpose=True, mirror_y=True),
)
"""Turns by 0, 90, 180 and 270 degrees clockwise."""


def read_turn(frame: av.VideoFrame) -> Turn:
    """How the metadata of a decoded picture asks for it to be turned.

    Angles between the quarter turns go to the nearest one.
    Source: the display matrix of ISO/IEC 14496-12, 8.3.2: (x, y, 1) times the matrix.
    """
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # data of a kind that this PyAV has no name for, such as an image's EXIF
        return _QUARTER_TURNS[round(-frame.rotation / 90) % 4]
    if data is None:
        return Turn()
    a, b, _, c, d = np.frombuffer(memoryview(cast(Buffer, data)), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(transpose=True, mirror_x=c < 0, mirror_y=b < 0)
    return Turn(mirror_x=a < 0, mirror_y=d < 0)


def to_rgb(frame: av.VideoFrame, turn: Turn, width: int, height: int) -> np.ndarray:
    """Convert a decoded picture.

    Args:
        frame: The picture, in any pixel format.
        turn: How it is brought upright.
        width: Width of the stored picture that the clip promised; others are scaled to it.
        height: Its height.

    Returns:
        (H, W, 3) uint8, upright; what is transparent lies over black.
    """
    if _has_alpha(frame):
        rgba = _packed(frame, "rgba", width, height)
        alpha = rgba[..., 3:].astype(np.uint16)
        image = ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)
    else:
        image = _packed(frame, "rgb24", width, height)
    return np.ascontiguousarray(turn.apply(image))


def _has_alpha(frame: av.VideoFrame) -> bool:
    name = frame.format.name
    # A palette may hold transparent colours, and libav does not count it as a plane of alpha.
    return name == "pal8" or any(part.is_alpha for part in frame.format.components)


def _packed(frame: av.VideoFrame, pixel_format: str, width: int, height: int) -> np.ndarray:
    # One thread: swscale's own threads cost more than they bring at video sizes.
    picture = frame.reformat(width=width, height=height, format=pixel_format, threads=1)
    plane = picture.planes[0]
    channels = len(pixel_format.removesuffix("24"))
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height]
    return rows[:, : width * channels].reshape(height, width, channels)
