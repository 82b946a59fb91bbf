"""Where a clip's results go, and what each stage leaves there for the next run.

    OUT/<stem>/person_0.npz, report.json, …     what the user wants
    OUT/<stem>/.extpose/clip.json               which clip this folder belongs to
    OUT/<stem>/.extpose/detect-<key>/00000.npz  what a stage left, under a hash of its inputs and options

A key changes when anything that the stage read changes, so nothing stale is ever used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..protocol.errors import ExtPoseError, InputError, OutputNotWritable
from ..protocol.files import PART_SUFFIX, not_writable, read_json, write_json

WORK_FOLDER = ".extpose"
"""Name of the folder for what only the next run needs."""

_HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class JobFolder:
    """The folder of one clip's results."""

    root: Path
    """`OUT/<stem>`."""

    @property
    def work(self) -> Path:
        """What only the next run needs."""
        return self.root / WORK_FOLDER

    def stage_path(self, stage: str, key: str) -> Path:
        """Where a stage keeps its result, without an ending: a folder, or a file's stem."""
        return self.work / f"{stage}-{key}"

    def forget(self) -> None:
        """Remove all that earlier runs left for the next one; the clip's identity stays."""
        self.keep(set())

    def sweep(self) -> None:
        """Remove half-written files that a killed run left, wherever in the folder they are."""
        for path in self.root.rglob(f".*{PART_SUFFIX}*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def keep(self, wanted: set[str]) -> None:
        """Remove what stages left under keys other than these names, and half-written files."""
        for path in self.work.iterdir() if self.work.is_dir() else ():
            if path.name == "clip.json" or path.name in wanted or path.stem in wanted:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()


def clip_identity(video: Path) -> dict[str, Any]:
    """What tells one clip from another: path, size, time of change and a hash of its ends.

    Raises:
        InputError: The clip cannot be read.
    """
    try:
        resolved = video.resolve()
        if video.is_dir():
            files = sorted(p for p in video.iterdir() if p.is_file())
        elif video.exists():
            files = [video]
        else:
            files = sorted(p for p in video.parent.iterdir() if p.suffix == video.suffix)
        digest = hashlib.sha256()
        for path in files:
            stat = path.stat()
            digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        if len(files) == 1:
            digest.update(_ends_of(files[0]))
        return {"video": str(resolved), "digest": digest.hexdigest()}
    except OSError as reason:
        raise InputError(f"Cannot read `{video}`: {reason.strerror or reason}") from reason


def open_job_folder(out_dir: Path, video: Path, identity: dict[str, Any]) -> JobFolder:
    """The folder for a clip's results: its own from an earlier run, or the first free name.

    Raises:
        OutputNotWritable: It cannot be made or written.
    """
    stem = video.stem if video.suffix else video.name
    for number in range(1, 10_000):
        folder = JobFolder(out_dir / (stem if number == 1 else f"{stem}-{number}"))
        if _is_free_or_own(folder, identity):
            _claim(folder, identity)
            return folder
    raise OutputNotWritable(
        f"`{out_dir}` holds too many folders named `{stem}`", "Choose another --out"
    )


def hash_key(**inputs: Any) -> str:
    """A short hash of everything that a stage's result depends on."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_free_or_own(folder: JobFolder, identity: dict[str, Any]) -> bool:
    if not folder.root.exists():
        return True
    try:
        known = read_json(folder.work / "clip.json", InputError)
        return isinstance(known, dict) and known.get("video") == identity["video"]
    except ExtPoseError:
        return folder.root.is_dir() and not any(folder.root.iterdir())


def _claim(folder: JobFolder, identity: dict[str, Any]) -> None:
    try:
        folder.work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder.root, error) from error
    if not os.access(folder.work, os.W_OK):
        raise not_writable(folder.root, PermissionError(errno.EACCES, "Permission denied"))
    write_json(folder.work / "clip.json", identity)


def _ends_of(path: Path) -> bytes:
    with open(path, "rb") as stream:
        head = stream.read(_HEAD_BYTES)
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - _HEAD_BYTES))
        return head + stream.read(_HEAD_BYTES)
