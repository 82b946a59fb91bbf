"""Windows that a network has lifted, kept on disk as they come, so that none is lifted twice."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np

from ..protocol.errors import BadShape, InputError
from ..protocol.files import read_npz, write_npz
from ..protocol.flow import LiftedWindow

PART_WINDOWS = 16
"""Windows per file."""

Key = tuple[int, tuple[int, ...]]
"""First row, and which detection of each row."""

_STACKED = [f.name for f in fields(LiftedWindow) if f.name not in ("first_row", "betas")]


class KeptWindows:
    """Lifted windows by their key, in memory and in a folder.

    Args:
        folder: Where they are kept; its name must change with everything that matters.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._windows: dict[Key, LiftedWindow] = {}
        self._fresh: list[LiftedWindow] = []
        self._parts = 0
        while (part := _read_part_or_none(self._path(self._parts))) is not None:
            self._windows |= {_key_of(window): window for window in part}
            self._parts += 1

    def __contains__(self, key: Key) -> bool:
        return key in self._windows

    def __getitem__(self, key: Key) -> LiftedWindow:
        return self._windows[key]

    def __len__(self) -> int:
        return len(self._windows)

    def add(self, window: LiftedWindow) -> None:
        """Keep a window. Raises OutputNotWritable when a full part cannot be written."""
        self._windows[_key_of(window)] = window
        self._fresh.append(window)
        if len(self._fresh) == PART_WINDOWS:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet. Raises OutputNotWritable."""
        if self._fresh:
            write_npz(self._path(self._parts), _as_arrays(self._fresh))
            self._parts += 1
            self._fresh = []

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:05}.npz"


def _key_of(window: LiftedWindow) -> Key:
    return window.first_row, tuple(window.entries.tolist())


def _as_arrays(windows: list[LiftedWindow]) -> dict[str, np.ndarray]:
    arrays = {name: np.concatenate([getattr(w, name) for w in windows]) for name in _STACKED}
    arrays["first_row"] = np.array([window.first_row for window in windows])
    arrays["count"] = np.array([len(window.entries) for window in windows])
    arrays["betas"] = np.stack([window.betas for window in windows])
    return arrays


def _read_part_or_none(path: Path) -> list[LiftedWindow] | None:
    """The windows of one file, or `None` when it is not there or damaged."""
    if not path.exists():
        return None
    try:
        arrays = read_npz(path)
        ends = np.cumsum(arrays["count"])
        spans = zip(ends - arrays["count"], ends, strict=True)
        return [
            LiftedWindow(
                first_row=int(first_row),
                betas=betas,
                **{name: arrays[name][start:end] for name in _STACKED},
            )
            for first_row, betas, (start, end) in zip(
                arrays["first_row"], arrays["betas"], spans, strict=True
            )
        ]
    except (InputError, BadShape, KeyError, ValueError):
        return None
