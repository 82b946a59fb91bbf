"""Formats that need Blender, by name: a function per format that writes one clip to a path.

A new format is one file and one line at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ...protocol.errors import OutputNotWritable, UsageError, WorkerFailed
from ...protocol.files import written_aside
from ..scene import BuiltClip
from .blend import write_blend
from .fbx import write_fbx
from .glb import write_glb
from .usd import write_usd

Writer = Callable[[BuiltClip, Path], None]


def export_clip(clip: BuiltClip, kind: str, path: Path) -> None:
    """Write a clip, aside and renamed.

    Args:
        clip: Built in the context's scene, whose frames and rate are the export's.
        kind: A key of `WRITERS`.
        path: Where to.

    Raises:
        UsageError: The format is unknown.
        MissingPackage: This build of Blender lacks the format.
        OutputNotWritable: The disk is full, or the folder cannot be written.
        WorkerFailed: Blender did not write the file.
    """
    if kind not in WRITERS:
        raise UsageError(f"`{kind}` is no format of {', '.join(WRITERS)}")
    with written_aside(path) as aside:
        try:
            WRITERS[kind](clip, aside)
        except RuntimeError as error:
            words = _reason(str(error))
            if "No space left" in words or "ermission denied" in words:
                raise OutputNotWritable(
                    f"Cannot write `{path}`: {words}", "Free some space or choose another folder"
                ) from error
            raise WorkerFailed(f"Blender did not write `{path}`: {words}") from error
        if not aside.is_file() or aside.stat().st_size == 0:
            raise OutputNotWritable(
                f"Blender left no file at `{path}`", "Free some space or choose another folder"
            )


def _reason(words: str) -> str:
    """What went wrong, from Blender's words for it.

    Operators report every failure as a RuntimeError; one of a Python exporter holds its whole traceback,
    whose last line but for the place is the reason.
    """
    lines = [line.strip() for line in words.removeprefix("Error: ").splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith(("Location:", "File ", "Traceback"))]
    return reasons[-1] if "Traceback" in words and reasons else " ".join(lines)


WRITERS: dict[str, Writer] = {
    "blend": write_blend,
    "fbx": write_fbx,
    "glb": write_glb,
    "usd": write_usd,
}
