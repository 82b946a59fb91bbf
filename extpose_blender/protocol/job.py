"""The request to a worker: `job.json`.

A job folder holds the request, what identifies the clip, and what each stage left for the next run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import InputError, UsageError
from .files import read_json, write_json
from .options import CaptureOptions

JOB_VERSION = 1
"""Raised when a field changes its meaning."""


@dataclass(frozen=True)
class Job:
    """One clip to capture."""

    video: Path
    """The clip: a file, a folder of pictures, or a pattern."""
    out_dir: Path
    """The folder that the user chose; results go to `out_dir/<stem>/`."""
    options: CaptureOptions
    """The choices."""
    resume: bool = True
    """Go on from what an earlier run left."""
    blender: str | None = None
    """Blender for the formats that need it; `None` takes the `bpy` wheel."""

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "version": JOB_VERSION,
            "video": str(self.video),
            "out_dir": str(self.out_dir),
            "options": self.options.to_dict(),
            "resume": self.resume,
            "blender": self.blender,
        }


def write_job(path: Path, job: Job) -> None:
    """Write a request. Raises OutputNotWritable."""
    write_json(path, job.to_dict())


def read_job(path: Path) -> Job:
    """Read a request.

    Raises:
        InputError: No JSON, or of another version.
        UsageError: An option is unknown or out of range.
    """
    values = read_json(path, InputError)
    if not isinstance(values, dict) or values.get("version") != JOB_VERSION:
        raise InputError(f"`{path}` is no job of version {JOB_VERSION}")
    try:
        return Job(
            video=Path(values["video"]),
            out_dir=Path(values["out_dir"]),
            options=CaptureOptions.from_dict(values["options"]),
            resume=bool(values.get("resume", True)),
            blender=values.get("blender"),
        )
    except (KeyError, TypeError) as reason:
        raise UsageError(f"`{path}` is no complete job: {reason}") from reason
