"""What a clip is to this stage: numbered pictures with the times at which they come on screen."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ...protocol.errors import BadVideo

Warn = Callable[[str, str, str], None]
"""Called with a code, a message and a hint."""


@dataclass(frozen=True)
class Picture:
    """One picture of a clip, not yet converted to an array."""

    index: int
    """Number from 0, in order of presentation."""
    time_s: float
    """When it comes on screen, seconds from the clip's start."""
    duration_s: float
    """How long it stays, as far as the file says; 0 where it does not."""
    stored: Any
    """What the source converts: a decoded frame, or a path."""


class Source(Protocol):
    """A movie or an image sequence. Making one raises BadVideo when there is no picture in it."""

    path: Path
    """File, folder or pattern."""
    width: int
    """Width of the upright picture, pixels."""
    height: int
    """Its height, pixels."""
    rate: float
    """Nominal frames per second."""
    frame_count: int
    """Frames at the nominal rate: a hint."""
    duration_s: float
    """Seconds: a hint, 0 where unknown."""
    rotation_deg: int
    """Clockwise rotation already applied to every picture."""
    focal_35mm: float | None
    """Focal length as on 35 mm film, millimetres, where the metadata has it."""
    slack_s: float
    """By how much a time may be rounded in the file."""

    def pictures(self, from_s: float, warn: Warn) -> Generator[Picture, None, None]:
        """Pictures in order, from the one on screen at `from_s` or an earlier one."""
        ...

    def to_rgb(self, picture: Picture) -> np.ndarray:
        """The upright picture, (H, W, 3) uint8."""
        ...


def unreadable(path: Path, error: OSError) -> BadVideo:
    """The error for a file or folder that the system refuses to open."""
    if isinstance(error, FileNotFoundError):
        return BadVideo(f"`{path}` does not exist", "Check the path")
    return BadVideo(
        f"`{path}` cannot be read: {error.strerror or error}",
        "Check that it is a file or folder that you may read",
    )
