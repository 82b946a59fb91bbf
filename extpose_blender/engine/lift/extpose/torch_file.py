"""Maps the tensors of a file that `torch.save` wrote, without reading them and without torch.load.

    <anything>/data.pkl        what there is: names, shapes, options
    <anything>/data/<key>      numbers, stored as they are, so that they can be mapped
    <anything>/byteorder       `little`, in newer files

The pickle is read by `pickled`, which runs nothing. Pages of the file are private: writing to a
tensor leaves the file as it is.

Source: torch:caffe2/serialize/inline_container.h for the format.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ....protocol.errors import BadModelFile
from .pickled import RefusedPickle, TensorRef, named_values, read_pickle, tensor_of

LARGEST_PICKLE = 1 << 25
"""A pickle beyond this many bytes is refused unread; that of HMR2.0 has a hundredth of it."""
MOST_RECORDS = 100_000
"""An archive of more records is refused; HMR2.0 with its optimiser has 2,000."""

_LOCAL = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s2xHH16xHH")
"""Of a zip record: signature, flags, method, lengths of name and extra field."""
_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files begin that torch wrote before release 1.6."""
_BAD_ZIP = (zipfile.BadZipFile, ValueError, OSError, struct.error, NotImplementedError)
"""What the zip reader raises on damaged archives."""
_HINT = "Give a checkpoint as published, .ckpt, .pth or .safetensors; download it again where it is"
_HINT += " incomplete"


@dataclass(frozen=True)
class _Record:
    start: int
    """First byte of its contents in the file."""
    size: int
    """How many bytes."""


def is_torch_file(path: Path) -> bool:
    """Whether a file looks as if `torch.save` wrote it, whole or not, in any of its formats."""
    with open(path, "rb") as stream:
        first = stream.read(512)
        if first.startswith(_LEGACY) or _is_tar(first):
            return True
        if not first.startswith(_LOCAL):
            return False
        return _first_name(first).endswith("/data.pkl") or _lists_pickle(stream)


def _lists_pickle(stream: IO[bytes]) -> bool:
    """Whether an archive, packed again by somebody, holds the pickle further behind."""
    try:
        with zipfile.ZipFile(stream) as archive:
            return any(name.endswith("/data.pkl") for name in archive.namelist())
    except _BAD_ZIP:
        return False


class TorchFile:
    """An opened file of torch's.

    Args:
        path: The file.

    Raises:
        BadModelFile: It is damaged, incomplete, hostile, or of an older format. Nothing in it is
            run. For an incomplete file the message names the first tensor that is not whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as stream:
            first = stream.read(512)
            if first.startswith(_LEGACY) or _is_tar(first):
                raise _wrong(
                    path,
                    "is in a format that torch wrote before release 1.6",
                    "Load and save it with a newer torch, then give that file",
                )
            self._records = _records(path, stream)
            self.content = _content(path, stream, self._records)
            """What the pickle holds: plain values and stand-ins."""
            self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)

    def state_dict(self) -> dict[str, Tensor]:
        """Map the tensors under `state_dict`, or those at the top where there is no such name.

        Raises:
            BadModelFile: A tensor does not fit its storage. The message names its key.
        """
        return {key: self._tensor(key, ref) for key, ref in _references(self.content)}

    def _tensor(self, key: str, ref: TensorRef) -> Tensor:
        dtype: torch.dtype = getattr(torch, ref.storage.dtype)
        record = self._records.get(f"data/{ref.storage.key}")
        have = record.size if record else 0
        want = ref.storage.count * dtype.itemsize
        if record is None or have != want:
            raise _wrong(
                self.path, f"is damaged: `{key}` {ref.shape} takes {want} bytes, not {have}"
            )
        if not _fits(ref):
            raise _wrong(
                self.path,
                f"is damaged: `{key}` {ref.shape} from number {ref.offset} does not fit its "
                f"({ref.storage.count},) storage",
            )
        if not want:
            return torch.zeros(ref.shape, dtype=dtype)
        whole = torch.frombuffer(
            self._map, dtype=dtype, count=ref.storage.count, offset=record.start
        )
        return whole.as_strided(ref.shape, ref.stride, ref.offset)


def _fits(ref: TensorRef) -> bool:
    """Whether a tensor lies within its storage, and is not blown up by repeating numbers."""
    count = ref.storage.count
    if not prod(ref.shape):
        # Such as (0,) in a body without extra joints; torch itself stumbles over larger ones.
        return len(ref.shape) <= 3 and max(ref.shape) < 1 << 20
    last = ref.offset + sum((n - 1) * step for n, step in zip(ref.shape, ref.stride, strict=True))
    return last < count and prod(ref.shape) <= count


def _content(path: Path, stream: IO[bytes], records: dict[str, _Record]) -> Any:
    record = records.get("data.pkl")
    if record is None:
        raise _wrong(path, "is no checkpoint: it holds no `data.pkl`")
    order = records.get("byteorder")
    if order is not None and _read(stream, order, 16) != b"little":
        raise _wrong(path, "holds numbers in an order of bytes that this machine does not read")
    if record.size > LARGEST_PICKLE:
        raise _wrong(path, f"is no checkpoint: its options take {record.size} bytes")
    try:
        return read_pickle(_read(stream, record, LARGEST_PICKLE))
    except RefusedPickle as reason:
        raise _wrong(path, f"is no checkpoint: {reason}") from reason


def _read(stream: IO[bytes], record: _Record, most: int) -> bytes:
    stream.seek(record.start)
    return stream.read(min(record.size, most))


def _records(path: Path, stream: IO[bytes]) -> dict[str, _Record]:
    """Where the contents of each record lie; names without the archive's own folder."""
    try:
        with zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
    except _BAD_ZIP as reason:
        lost = _first_lost(stream)
        raise _wrong(path, lost or f"is no checkpoint, or damaged: {reason}") from reason
    if len(infos) > MOST_RECORDS:
        raise _wrong(path, f"is no checkpoint: it holds {len(infos)} records")
    end = stream.seek(0, 2)
    records = {}
    for info in infos:
        name = info.filename.partition("/")[2]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise _wrong(path, f"is no checkpoint: its record `{name}` is packed")
        stream.seek(info.header_offset)
        header = stream.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL):
            raise _wrong(path, f"is damaged at its record `{name}`")
        start = info.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(header)[3:])
        if start + info.file_size > end:
            raise _wrong(path, f"is damaged: its record `{name}` reaches beyond the end")
        records[name] = _Record(start, info.file_size)
    return records


def _first_lost(stream: IO[bytes]) -> str:
    """Say which tensor an incomplete download has lost first; empty where that cannot be told."""
    stream.seek(0)
    first = stream.read(512)
    if not first.startswith(_LOCAL) or not _first_name(first).endswith("/data.pkl"):
        return ""
    start = _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack_from(first)[3:])
    stream.seek(start)
    head = stream.read(LARGEST_PICKLE)
    stop = head.find(b"." + b"PK\x07\x08")  # The end of a pickle, then the sizes of its record.
    if stop < 0:
        return "is incomplete: it ends within its list of tensors"
    try:
        content = read_pickle(head[: stop + 1])
    except RefusedPickle as reason:
        return f"is no checkpoint: {reason}"
    whole = dict(_whole_records(stream, start + stop + 1, _storages(content)))
    for key, ref in _references(content):
        want = ref.storage.count * getattr(torch, ref.storage.dtype).itemsize
        have = whole.get(ref.storage.key, 0)
        if have < want:
            return f"is incomplete: `{key}` {ref.shape} takes {want} bytes, {have} are there"
    return "is incomplete: its index is missing"


def _whole_records(
    stream: IO[bytes], place: int, sizes: dict[str, int]
) -> Iterator[tuple[str, int]]:
    """Walk through the records of an archive without index: key of a storage, bytes there."""
    end = stream.seek(0, 2)
    while True:
        stream.seek(place)
        gap = stream.read(512).find(_LOCAL)
        if gap < 0:
            return
        stream.seek(place + gap)
        header = stream.read(512)
        if len(header) < _LOCAL_HEADER.size:
            return
        key = _first_name(header).partition("/data/")[2]
        start = place + gap + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack_from(header)[3:])
        if key in sizes:
            yield key, max(0, min(sizes[key], end - start))
        place = start + sizes.get(key, 0)


def _references(content: Any) -> Iterator[tuple[str, TensorRef]]:
    top = named_values(content)
    for key, value in named_values(top.get("state_dict", top)).items():
        if isinstance(key, str) and (ref := tensor_of(value)) is not None:
            yield key, ref


def _storages(content: Any) -> dict[str, int]:
    """Bytes of each storage by its key."""
    storages = [ref.storage for _, ref in _references(content)]
    return {s.key: s.count * getattr(torch, s.dtype).itemsize for s in storages}


def _first_name(header: bytes) -> str:
    """Name of the zip record that begins here."""
    if len(header) < _LOCAL_HEADER.size:
        return ""
    length = _LOCAL_HEADER.unpack_from(header)[3]
    return header[_LOCAL_HEADER.size : _LOCAL_HEADER.size + length].decode("utf-8", "replace")


def _is_tar(first: bytes) -> bool:
    return first[257:262] == b"ustar"


def _wrong(path: Path, what: str, hint: str = _HINT) -> BadModelFile:
    return BadModelFile(f"`{path}` {what}", hint)
