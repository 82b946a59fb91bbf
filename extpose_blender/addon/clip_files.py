"""Reads the files of a capture: motions, and the body geometry that lies beside each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..protocol.body_file import read_body_geometry
from ..protocol.errors import BadMotionFile
from ..protocol.motion import read_motion
from .scene import Person


def read_people(clip_name: str, files: Sequence[tuple[Path, Path]], alone: bool) -> list[Person]:
    """Read people for a scene.

    Args:
        clip_name: Begins the names of their objects.
        files: Motion and body geometry of each.
        alone: The clip has one person only, whose objects take the clip's name.

    Raises:
        BadMotionFile: A file is missing, damaged, or breaks the contract.
    """
    return [
        Person(
            clip_name if alone else f"{clip_name}_{motion.stem}",
            read_motion(motion),
            read_body_geometry(body),
        )
        for motion, body in files
    ]


def body_beside(motion: Path) -> Path:
    """`body_N.npz` beside `person_N.npz`.

    Raises:
        BadMotionFile: It is not there.
    """
    body = motion.with_name(motion.name.replace("person_", "body_", 1))
    if body == motion or not body.is_file():
        raise BadMotionFile(
            f"The body geometry that belongs to `{motion.name}` is not beside it",
            "Keep `person_N.npz` and `body_N.npz` of a capture in one folder",
        )
    return body
