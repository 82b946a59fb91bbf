"""Cuts the rows in which a person is seen into windows that the network sees at once.

The cut depends on the person's own rows alone and is made as they come, so a window that was lifted
while the clip was still being read is the same one that the finished track asks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """Consecutive rows of one person."""

    first_row: int
    """Row of the clip."""
    entries: tuple[int, ...]
    """Which detection of each row is the person, -1 where not seen."""

    @property
    def rows(self) -> range:
        """Rows of the clip."""
        return range(self.first_row, self.first_row + len(self.entries))

    @property
    def seen_rows(self) -> list[int]:
        """Those in which the person was seen."""
        return [row for row, entry in zip(self.rows, self.entries, strict=True) if entry >= 0]


class WindowCutter:
    """Cuts one person's rows, given in order.

    Neighbouring windows share a quarter of their rows. A pause longer than half a window ends a run;
    the last window of a run is moved back to be full, and a run shorter than a window is one window.

    Args:
        frames: Rows of a full window.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._stride = frames - frames // 4
        self._longest_pause = frames // 2
        self._first = 0
        self._next = 0
        self._covered = 0
        self._entries: list[int] = []

    def add(self, row: int, entry: int) -> list[Window]:
        """Take the next row in which the person was seen.

        Returns:
            Windows that are complete now.
        """
        done: list[Window] = []
        end = self._first + len(self._entries)
        if self._entries and row - end > self._longest_pause:
            done += self.finish()
        if not self._entries:
            self._begin(row)
            end = row
        self._entries += [-1] * (row - end) + [entry]
        while self._next + self.frames <= self._first + len(self._entries):
            done.append(self._window(self._next))
            self._covered = self._next + self.frames
            self._next += self._stride
        self._forget(self.oldest_row)
        return done

    def finish(self) -> list[Window]:
        """End the run. Returns its last window, where the others left rows uncovered."""
        end = self._first + len(self._entries)
        last = []
        if end > self._covered:
            last.append(self._window(max(self._first, end - self.frames)))
        self._begin(end)
        return last

    @property
    def oldest_row(self) -> int:
        """First row that a window to come may hold."""
        end = self._first + len(self._entries)
        return max(self._first, end - self.frames)

    def _begin(self, row: int) -> None:
        self._first = self._next = self._covered = row
        self._entries = []

    def _window(self, first: int) -> Window:
        start = first - self._first
        return Window(first, tuple(self._entries[start : start + self.frames]))

    def _forget(self, before: int) -> None:
        del self._entries[: before - self._first]
        self._first = before


def cut_windows(entries: Iterable[int] | np.ndarray, frames: int) -> list[Window]:
    """Windows of a whole track.

    Args:
        entries: (T,) which detection of each row is the person, -1 where not seen.
        frames: Rows of a full window.
    """
    cutter = WindowCutter(frames)
    windows: list[Window] = []
    for row, entry in enumerate(entries):
        if entry >= 0:
            windows += cutter.add(row, int(entry))
    return windows + cutter.finish()
