"""Which moments of a clip become rows of the motion: arithmetic only."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...protocol.errors import BadVideo, UsageError

_ROUNDING = 1e-6
"""Share of a row by which times may differ and still count as the same."""


@dataclass(frozen=True)
class Sampling:
    """A part of a clip, the wanted rows per second and the speed of the movement in it."""

    start: int | None = None
    """First source frame, from 0 at the clip's nominal rate; the clip's first when left out."""
    end: int | None = None
    """Last source frame, included; the clip's last when left out."""
    fps: float | None = None
    """Rows per second of the motion; the nominal rate when left out."""
    speed: float = 1.0
    """The motion plays so many times as fast as the clip: row k shows `start + k * speed / fps`."""

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise UsageError(f"`{name}` must be a frame number from 0, not {value}")
        for name in ("fps", "speed"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"`{name}` must be above 0, not {value}")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise BadVideo(
                f"Start frame {self.start} comes after end frame {self.end}",
                "Choose a start that is not later than the end",
            )


@dataclass(frozen=True)
class RowTimes:
    """The moments of the rows, in seconds from the clip's first picture."""

    first_s: float
    """Time of row 0."""
    step_s: float
    """Time in the clip from one row to the next."""
    until_s: float
    """Rows lie before this time; infinite when only the clip's own end counts."""

    @classmethod
    def of(cls, sampling: Sampling, rate: float) -> RowTimes:
        """Rows of a sampling.

        Args:
            sampling: What the user chose.
            rate: The clip's nominal frames per second.
        """
        until = math.inf if sampling.end is None else (sampling.end + 1) / rate
        step = sampling.speed / (sampling.fps or rate)
        return cls((sampling.start or 0) / rate, step, until)

    def time_s(self, row: int) -> float:
        """Time of a row in the clip, seconds from its first picture."""
        return self.first_s + row * self.step_s

    def is_past(self, row: int) -> bool:
        """Whether a row lies behind the chosen end."""
        return math.isfinite(self.until_s) and row >= self.rows_before(self.until_s)

    def rows_before(self, time_s: float) -> int:
        """How many rows lie before a time, and before the chosen end."""
        limit = min(time_s, self.until_s)
        return max(0, math.ceil((limit - self.first_s) / self.step_s - _ROUNDING))
