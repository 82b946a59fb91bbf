"""The last stage of the flow: motion files, body geometry, and the exports that were asked for.

person_N.npz  body_N.npz  person_N.bvh|fbx|glb|usd|blend     one of each per person
<clip>.blend                                                 everybody together, where several were captured
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..protocol.body_file import BodyGeometry, write_body_geometry
from ..protocol.flow import ClipInfo
from ..protocol.motion import Motion, write_motion
from ..protocol.options import BLENDER_FORMATS
from .exporters.bvh import write_bvh
from .exporters.in_blender import blender_command, write_with_blender
from .report import Listener


@dataclass(frozen=True)
class PersonResult:
    """One person's motion with the body that moves."""

    person_id: int
    """Number in the file names."""
    motion: Motion
    """The motion in the world."""
    body: BodyGeometry
    """The body at rest."""


def check_exports(formats: Sequence[str], blender: str | None) -> None:
    """Before any work: refuse formats that need Blender where there is none. Raises MissingPackage."""
    if any(name in BLENDER_FORMATS for name in formats):
        blender_command(blender)


def write_results(
    folder: Path,
    info: ClipInfo,
    people: Sequence[PersonResult],
    formats: Sequence[str],
    blender: str | None,
    listener: Listener,
) -> list[Path]:
    """Write every file that was asked for but the overlay.

    Args:
        folder: Where the files go.
        info: The clip, for the camera's background.
        people: Whom to write.
        formats: Words of `EXPORT_FORMATS`.
        blender: Blender's command line; `None` takes the `bpy` wheel.
        listener: Told of progress and warnings.

    Returns:
        The files, in the order written.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
        MissingPackage: A format needs Blender, and there is none.
        WorkerFailed: Blender failed.
    """
    written: list[Path] = []
    for person in people:
        motion, body = _motion_path(folder, person), _body_path(folder, person)
        write_motion(motion, person.motion)
        write_body_geometry(body, person.body)
        written += [motion, body]
        if "bvh" in formats:
            path = motion.with_suffix(".bvh")
            write_bvh(path, person.motion, person.body)
            written.append(path)
    asked = [name for name in formats if name in BLENDER_FORMATS]
    if asked:
        request = _blender_request(folder, info, people, asked)
        write_with_blender(request, blender, listener.send, listener.cancelled)
        written += [Path(output["path"]) for output in request["outputs"]]
    return written


def _blender_request(
    folder: Path, info: ClipInfo, people: Sequence[PersonResult], formats: Sequence[str]
) -> dict[str, Any]:
    name = folder.name
    outputs = [
        {
            "format": kind,
            "path": str(_motion_path(folder, p).with_suffix(f".{kind}").absolute()),
            "people": [i],
        }
        for i, p in enumerate(people)
        for kind in formats
    ]
    if len(people) > 1 and "blend" in formats:
        everybody = {"format": "blend", "path": str((folder / f"{name}.blend").absolute())}
        outputs.append(everybody | {"people": list(range(len(people)))})
    return {
        "clip": name,
        "video": str(info.path.absolute()),
        "rotation_deg": info.rotation_deg,
        "people": [
            {
                "motion": str(_motion_path(folder, person).absolute()),
                "body": str(_body_path(folder, person).absolute()),
            }
            for person in people
        ],
        "outputs": outputs,
    }


def _motion_path(folder: Path, person: PersonResult) -> Path:
    return folder / f"person_{person.person_id}.npz"


def _body_path(folder: Path, person: PersonResult) -> Path:
    return folder / f"body_{person.person_id}.npz"
