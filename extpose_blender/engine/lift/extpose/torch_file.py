"""Reads files that `torch.save` wrote: guards round torch's own loading, which maps the tensors.

    <anything>/data.pkl        what there is: names, shapes, options
    <anything>/data/<key>      numbers, stored as they are, so that they can be mapped
    <anything>/byteorder       `little`, in newer files

Pages of the file are private: writing to a tensor leaves the file as it is. What torch cannot say,
which tensor an incomplete file has lost, is looked for here.

Source: torch:caffe2/serialize/inline_container.h for the format.
"""

from __future__ import annotations

import io
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from ....protocol.errors import BadModelFile
from .pickled import RefusedPickle, check_pickle, load_inert, named_values

LARGEST_PICKLE = 1 << 25
"""A pickle beyond this many bytes is refused unread; that of HMR2.0 has a hundredth of it."""
MOST_RECORDS = 100_000
"""An archive of more records is refused; HMR2.0 with its optimiser has 2,000."""

_LOCAL = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a zip record: signature, lengths of name and extra field, which follow it."""
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files begin that torch wrote before release 1.6."""
_BAD_ZIP = (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError)
"""What the zip reader raises on damaged archives."""
_HINT = "Give a checkpoint as published, .ckpt, .pth or .safetensors; download it again where it is"
_HINT += " incomplete"


def is_torch_file(path: Path) -> bool:
    """Whether a file looks as if `torch.save` wrote it, whole or not, in any of its formats."""
    with open(path, "rb") as stream:
        first = stream.read(512)
        if first.startswith(_LEGACY) or _is_tar(first):
            return True
        if not first.startswith(_LOCAL):
            return False
        return _local_header(first)[0] == "data.pkl" or _lists_pickle(stream)


def _lists_pickle(stream: IO[bytes]) -> bool:
    """Whether an archive, packed again by somebody, holds the pickle further behind."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except _BAD_ZIP:
        return False


def read_torch_file(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Map the tensors of a file.

    Returns:
        Tensors under `state_dict`, or at the top where there is no such name, and all that the
        file holds: plain values, tensors and stand-ins, for `look_up`.

    Raises:
        BadModelFile: It is damaged, incomplete, hostile, or of an older format. Nothing in it is
            run. For an incomplete file the message names the first tensor that is not whole.
    """
    try:
        with open(path, "rb") as stream:
            sizes = _check_archive(path, stream)
        content = load_inert(str(path), map_location="cpu", mmap=True)
    except RefusedPickle as reason:
        raise _wrong(path, f"is no checkpoint: {reason}") from reason
    tensors = _state_dict(content)
    for key, tensor in tensors.items():
        _check_tensor(path, key, tensor, sizes)
    return tensors, content


def _check_archive(path: Path, stream: IO[bytes]) -> set[int]:
    """Refuse what torch would misread, run out of memory on, or not explain.

    Returns:
        Sizes of the records that hold numbers.
    """
    first = stream.read(512)
    if first.startswith(_LEGACY) or _is_tar(first):
        raise _wrong(
            path,
            "is in a format that torch wrote before release 1.6",
            "Load and save it with a newer torch, then give that file",
        )
    if path.suffix == ".safetensors":
        raise _wrong(path, "was written by torch, not by safetensors", "Name it .ckpt")
    try:
        with zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
    except _BAD_ZIP as reason:
        lost = _first_lost(stream)
        raise _wrong(path, lost or f"is no checkpoint, or damaged: {reason}") from reason
    if len(infos) > MOST_RECORDS:
        raise _wrong(path, f"is no checkpoint: it holds {len(infos)} records")
    records = {info.filename.partition("/")[2].lower(): info for info in infos}
    if len(records) < len(infos):
        raise _wrong(path, "is damaged: two of its records have the same name")
    for name, info in records.items():
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise _wrong(path, f"is no checkpoint: its record `{name}` is packed")
        if not name.startswith("data/") and info.file_size > LARGEST_PICKLE:
            raise _wrong(path, f"is no checkpoint: its `{name}` takes {info.file_size} bytes")
    if "data.pkl" not in records:
        raise _wrong(path, "is no checkpoint: it holds no `data.pkl`")
    if "byteorder" in records and _read(path, stream, records["byteorder"]) != b"little":
        raise _wrong(path, "holds numbers in an order of bytes that this machine does not read")
    check_pickle(_read(path, stream, records["data.pkl"]))
    return {info.file_size for name, info in records.items() if name.startswith("data/")}


def _read(path: Path, stream: IO[bytes], info: zipfile.ZipInfo) -> bytes:
    """Contents of a record; its checksum is left alone, as torch may have written none."""
    try:
        stream.seek(info.header_offset)
        name, length = _local_header(stream.read(512))
        if not name:
            raise ValueError("no record begins there")
        stream.seek(info.header_offset + length)
        return stream.read(info.file_size)
    except (ValueError, OSError, OverflowError) as reason:
        raise _wrong(path, f"is damaged at its record `{info.filename}`") from reason


def _state_dict(content: Any) -> dict[str, Tensor]:
    top = named_values(content)
    return {
        key: Tensor.detach(value)
        for key, value in named_values(top.get("state_dict", top)).items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }


def _check_tensor(path: Path, key: str, tensor: Tensor, sizes: set[int]) -> None:
    """Refuse a tensor that leaves its storage, or is blown up by repeating numbers.

    Torch's own check can be led astray by negative steps.
    """
    shape, room = tuple(tensor.shape), tensor.untyped_storage().nbytes()
    if not prod(shape):
        # Such as (0,) in a body without extra joints; torch itself stumbles over larger ones.
        fits = len(shape) <= 3 and max(shape) < 1 << 20
    else:
        steps = sum((n - 1) * step for n, step in zip(shape, tensor.stride(), strict=True))
        numbers = max(tensor.storage_offset() + steps + 1, prod(shape))
        fits = numbers * tensor.itemsize <= room and room in sizes
    if not fits:
        raise _wrong(path, f"is damaged: `{key}` {shape} does not fit its storage of {room} bytes")


def _first_lost(stream: IO[bytes]) -> str:
    """Say which tensor an incomplete download has lost first; empty where that cannot be told."""
    stream.seek(0)
    first = stream.read(512)
    name, start = _local_header(first)
    if name != "data.pkl":
        return ""
    stream.seek(start)
    head = stream.read(LARGEST_PICKLE)
    stop = head.find(b"." + b"PK\x07\x08")  # The end of a pickle, then the sizes of its record.
    if stop < 0:
        return "is incomplete: it ends within its list of tensors"
    content = head[: stop + 1]
    check_pickle(content)
    tensors = list(_without_numbers(content))
    sizes = {record: tensor.untyped_storage().nbytes() for _, tensor, record in tensors}
    there = dict(_whole_records(stream, start + stop + 1, sizes))
    for key, tensor, record in tensors:
        want, have = sizes[record], there.get(record, 0)
        if have < want:
            shape = tuple(tensor.shape)
            return f"is incomplete: `{key}` {shape} takes {want} bytes, {have} are there"
    return "is incomplete: its index is missing"


def _without_numbers(content: bytes) -> Iterator[tuple[str, Tensor, str]]:
    """Tensors that a pickle lists, without memory: key, tensor, name of its record.

    Torch reads an archive with that pickle, whose records are empty, and notes where each tensor's
    numbers would begin.
    """
    archive = io.BytesIO()
    texts = {text for kind, text, _ in pickletools.genops(content) if kind.name == "BINUNICODE"}
    with zipfile.ZipFile(archive, "w") as records:
        records.writestr("a/data.pkl", content)
        records.writestr("a/version", b"3\n")
        for text in texts:
            if str(text).isdecimal():  # So are all records of numbers named.
                records.writestr(f"a/data/{text}", b"")
        places = {
            info.header_offset + _LOCAL_HEADER.size + len(info.filename): info.filename[2:]
            for info in records.infolist()
        }
    archive.seek(0)
    for key, tensor in _state_dict(load_inert(archive, map_location="meta")).items():
        place = getattr(tensor.untyped_storage(), "_checkpoint_offset", None)
        if place in places:
            yield key, tensor, places[place]


def _whole_records(
    stream: IO[bytes], place: int, sizes: dict[str, int]
) -> Iterator[tuple[str, int]]:
    """Walk through the records of an archive without index: name of a record, bytes there."""
    end = stream.seek(0, 2)
    while True:
        stream.seek(place)
        gap = stream.read(512).find(_LOCAL)
        if gap < 0:
            return
        stream.seek(place + gap)
        name, length = _local_header(stream.read(512))
        if not length:
            return
        place += gap + length
        if name in sizes:
            yield name, max(0, min(sizes[name], end - place))
            place += sizes[name]


def _local_header(header: bytes) -> tuple[str, int]:
    """Name of the zip record that begins here, without its folder, and where its contents begin."""
    if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL):
        return "", 0
    _, name, extra = _LOCAL_HEADER.unpack_from(header)
    text = header[_LOCAL_HEADER.size :][:name].decode("utf-8", "replace")
    return text.partition("/")[2], _LOCAL_HEADER.size + name + extra


def _is_tar(first: bytes) -> bool:
    return first[257:262] == b"ustar"


def _wrong(path: Path, what: str, hint: str = _HINT) -> BadModelFile:
    return BadModelFile(f"`{path}` {what}", hint)
