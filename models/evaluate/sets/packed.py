"""The arrays of somebody else's .npz, one by one, with nothing run.

`numpy.load` with pickles off refuses a whole member where names were saved as objects, which the
published files do here and there; such lists of texts are read by our own inert unpickler.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from extpose_blender.engine.body.unpickle import RefusedPickle, read_pickle
from extpose_blender.protocol.errors import InputError

_DAMAGE = (ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error)


class PackedArrays:
    """An open .npz.

    Args:
        path: Where it lies; named in errors.
        archive: The open file.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        self.names = {name.removesuffix(".npy") for name in archive.namelist()}
        """What it holds."""

    def numbers(self, name: str) -> np.ndarray:
        """An array of numbers. Raises InputError where it is missing or holds anything else."""
        array = self._read(name)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            raise InputError(f"`{name}` of `{self.path}` must be numbers")
        return array

    def texts(self, name: str) -> list[str]:
        """A list of texts, however it was saved. Raises InputError where it is anything else."""
        found = self._read(name)
        items = found.ravel().tolist() if isinstance(found, np.ndarray) else found
        if not isinstance(items, list) or not all(isinstance(item, str | bytes) for item in items):
            raise InputError(f"`{name}` of `{self.path}` must be a list of texts")
        return [item.decode("utf-8") if isinstance(item, bytes) else item for item in items]

    def _read(self, name: str) -> Any:
        if name not in self.names:
            raise InputError(
                f"`{self.path}` has no `{name}`; it has {', '.join(sorted(self.names))}",
                "Give the file as its authors publish it",
            )
        try:
            stream = io.BytesIO(self._archive.read(f"{name}.npy"))
            npy: Any = np.lib.format
            first = npy.read_magic(stream) == (1, 0)
            header = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
            if header(stream)[2].hasobject:
                return _listed(read_pickle(stream))
            stream.seek(0)
            return npy.read_array(stream, allow_pickle=False)
        except RefusedPickle as reason:
            raise InputError(f"`{name}` of `{self.path}` cannot be read: {reason}") from reason
        except _DAMAGE as reason:
            raise InputError(f"`{name}` of `{self.path}` is damaged: {reason}") from reason


@contextmanager
def open_packed(path: Path) -> Iterator[PackedArrays]:
    """Open an .npz. Raises InputError where it is missing or none."""
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise InputError(f"`{path}` does not exist") from None
    except (OSError, zipfile.BadZipFile) as reason:
        raise InputError(f"`{path}` cannot be read as .npz: {reason}") from reason
    with archive:
        yield PackedArrays(path, archive)


def _listed(content: Any) -> Any:
    """The items of an array of objects, of which the stand-in keeps the pieces: the last is the list."""
    state = getattr(content, "state", None)
    return state[-1] if isinstance(state, tuple) and state else None
