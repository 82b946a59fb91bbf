"""Reading and writing files so that nothing is half-written and nothing is executed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .errors import ExtPoseError, InputError, OutputNotWritable

PART_SUFFIX = ".part"
"""Ending of a file that is still being written."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put the finished file in its place in one step.

    When the block fails, what was at `path` stays and the half-written file is removed.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    # The real suffix stays last: writers choose a format by it.
    aside = path.with_name(f".{path.stem}.{os.getpid()}{PART_SUFFIX}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        os.replace(aside, path)
    except OSError as error:
        raise not_writable(path, error) from error
    finally:
        _remove(aside)


def not_writable(path: Path, error: OSError) -> OutputNotWritable:
    """The error for a file that could not be written, with the reason in words."""
    if error.errno in _NO_ROOM:
        return OutputNotWritable(
            f"The disk is full while writing `{path}`",
            "Free some space and run the same command again",
        )
    return OutputNotWritable(
        f"Cannot write `{path}`: {error.strerror or error}",
        "Choose an output folder that you may write to",
    )


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays to a compressed .npz without pickle, aside and renamed.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    objects = [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]
    if objects:
        raise ValueError(f"these arrays would need pickle: {objects}")
    # Packed in memory first: a zip file that meets a full disk complains once more when it is dropped.
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    with written_aside(path) as aside:
        aside.write_bytes(packed.getbuffer())


def read_npz(path: Path, error: type[ExtPoseError] = InputError) -> dict[str, np.ndarray]:
    """Read all arrays of a .npz, refusing pickles.

    Args:
        path: The file.
        error: The error to raise, so that each caller's users read the right code.

    Raises:
        error: The file is missing, damaged, or holds pickled objects.
    """
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise error(f"`{path}` is a single array, not an .npz archive")
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise error(f"`{path}` does not exist") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, MemoryError) as reason:
        raise error(
            f"`{path}` cannot be read as .npz: {reason}", "Write the file again"
        ) from reason


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file for people, aside and renamed. Raises OutputNotWritable."""
    with written_aside(path) as aside:
        aside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, error: type[ExtPoseError] = InputError) -> Any:
    """Read a JSON file.

    Raises:
        error: The file is missing or no JSON. The message holds line and column.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as reason:
        raise error(f"`{path}` cannot be read as JSON: {reason}") from reason


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as hexadecimal text, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _remove(path: Path) -> None:
    # The disk or folder may be gone: the error that brought us here says so.
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
