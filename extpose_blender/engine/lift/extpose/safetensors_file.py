"""Maps the tensors of a .safetensors file, and says which one is wrong in a damaged file.

The package safetensors reads and writes; its own words for a damaged file name no key, so the
header is looked through first.

Source: huggingface/safetensors:README.md for the format.
"""

from __future__ import annotations

import errno
import json
import re
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor

from ....protocol.errors import BadModelFile

LARGEST_HEADER = 1 << 24
"""A header beyond this many bytes is refused unread; that of HMR2.0 takes 60 thousand."""

_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
    "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip
_HINT = "Give a whole .safetensors file; download it again where it is incomplete"


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as a .safetensors file does: a length, then JSON."""
    with open(path, "rb") as stream:
        first = stream.read(9)
    return len(first) == 9 and first[8:] == b"{" and not any(first[5:8])


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Map a file's tensors.

    Returns:
        Tensors by key, whose pages are private and read when they are used, and the metadata.

    Raises:
        BadModelFile: It is damaged. For an incomplete file the message names the first tensor
            that is not whole, with its shape.
    """
    from safetensors import SafetensorError, safe_open

    _check_header(path)
    try:
        with safe_open(path, "pt") as archive:
            keys: list[str] = archive.offset_keys()
            return {key: archive.get_tensor(key) for key in keys}, archive.metadata() or {}
    except (SafetensorError, RuntimeError, ValueError, OSError) as reason:
        raise _wrong(path, f"is damaged: {reason}") from reason


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors, from where they lie: mapped ones are not copied into memory as a whole.

    Raises:
        OSError: The file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    places: set[int] = set()
    apart = {}
    for key, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        # Two keys may share numbers in a checkpoint; here each has its own.
        apart[key] = tensor.clone() if place in places else tensor.contiguous()
        places.add(place)
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(apart, path, metadata)
        path.chmod(
            mode
        )  # It would be readable by its owner alone, unlike every other file of ours.
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        raise OSError(int(code[1]) if code else errno.EIO, str(error)) from error


def _check_header(path: Path) -> None:
    size = path.stat().st_size
    with open(path, "rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))
        if length > LARGEST_HEADER:
            raise _wrong(path, f"is no .safetensors file: its header would take {length} bytes")
        header = stream.read(length)
    if len(header) < length:
        raise _wrong(path, f"is incomplete: its header takes {length} bytes, not {len(header)}")
    try:
        entries = json.loads(header)
        for key, entry in entries.items():
            if key != "__metadata__":
                _check_entry(path, key, entry, size - 8 - length)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as reason:
        raise _wrong(path, f"is damaged: its header cannot be read: {reason}") from reason


def _check_entry(path: Path, key: str, entry: dict[str, Any], room: int) -> None:
    shape, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
    want = _BITS[entry["dtype"]] * prod(shape) // 8
    if want != end - start or start < 0 or min(shape, default=0) < 0:
        raise _wrong(path, f"is damaged: `{key}` {shape} takes {want} bytes, not {end - start}")
    if end > room:
        have = max(0, room - start)
        raise _wrong(path, f"is incomplete: `{key}` {shape} takes {want} bytes, {have} are there")


def _wrong(path: Path, what: str) -> BadModelFile:
    return BadModelFile(f"`{path}` {what}", _HINT)
