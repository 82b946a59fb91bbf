"""Writes a clip's files in a Blender of their own: reads a request, says what happens line by line.

The request is JSON:

    {"clip": name, "video": path or null, "rotation_deg": 0,
     "people": [{"motion": path, "body": path}, ...],
     "outputs": [{"format": "fbx", "path": path, "people": [0]}, ...]}

`people` of an output are numbers of the list above; without it, everybody. `rotation_deg` is the
clockwise turn that the video's metadata asks for (0 when absent). The answer is the messages of
`protocol/messages.py` on stdout: Hello, Progress per file, then Done or Failed. All else goes to
stderr.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import bpy

from ..protocol.errors import ExtPoseError, InputError, UsageError, WorkerFailed
from ..protocol.files import read_json
from ..protocol.messages import PROTOCOL_VERSION, Done, Failed, Hello, Message, Progress, Warned
from ..protocol.version import extpose_version
from .clip_files import read_people
from .exporters import export_clip
from .scene import BuiltClip, build_clip, set_up_new_file

Send = Callable[[Message], None]
FRAME_START = 1


def main(arguments: list[str]) -> int:
    """Write what the request named on the command line asks for. Returns the exit code."""
    send = _private_stdout()
    send(Hello(PROTOCOL_VERSION, extpose_version()))
    try:
        if len(arguments) != 1:
            raise UsageError("The scene writer takes one argument: the path of a request")
        request = read_json(Path(arguments[0]), InputError)
        send(Done(tuple(write_request(request, send))))
        return 0
    except Exception as error:
        if not isinstance(error, ExtPoseError):
            traceback.print_exc(file=sys.stderr)
            error = WorkerFailed(f"Blender failed: {type(error).__name__}: {error}")
        send(Failed(error.code, error.message, error.hint, error.exit_code))
        return error.exit_code


def write_request(request: dict[str, Any], send: Send) -> list[str]:
    """Build a scene for each group of people that is asked for, and write its files.

    Returns:
        The paths, in the order of the request.

    Raises:
        ExtPoseError: A file cannot be read or written, or this Blender lacks a format.
    """
    try:
        everybody = list(range(len(request["people"])))
        outputs = [(str(o["format"]), Path(o["path"]), o.get("people")) for o in request["outputs"]]
        files = [(Path(person["motion"]), Path(person["body"])) for person in request["people"]]
        video = request.get("video")
        source = _Source(
            str(request["clip"]),
            Path(video) if video else None,
            int(request.get("rotation_deg", 0)),
        )
        groups = [list(everybody if who is None else who) for _, _, who in outputs]
        if not files or any(not who or not set(who) <= set(everybody) for who in groups):
            raise ValueError("every output needs people of the list")
    except (KeyError, TypeError, ValueError) as reason:
        raise InputError(f"The request is not complete: {reason!r}") from reason
    done = 0
    for who, part in groupby(zip(groups, outputs, strict=True), key=lambda pair: pair[0]):
        chosen = [files[i] for i in who]
        clip = _new_file(source, chosen, len(files) == 1, send)
        for _, (kind, path, _) in part:
            export_clip(clip, kind, path)
            done += 1
            send(Progress("export", done, len(outputs)))
    return [str(path) for _, path, _ in outputs]


@dataclass(frozen=True)
class _Source:
    """Where a motion comes from."""

    clip_name: str
    video: Path | None
    rotation_deg: int


def _new_file(
    source: _Source, files: list[tuple[Path, Path]], alone: bool, send: Send
) -> BuiltClip:
    """An empty file with the clip in it."""
    people = read_people(source.clip_name, files, alone)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    rate = people[0].motion.mocap_framerate
    clip = build_clip(
        bpy.context,
        source.clip_name,
        people,
        source.video,
        frame_start=FRAME_START,
        scene_fps=rate,
        rotation_deg=source.rotation_deg,
    )
    set_up_new_file(bpy.context.scene, clip, rate)
    if source.video is not None and not clip.has_video:
        send(
            Warned(
                "no-background",
                f"Blender cannot show `{source.video}` behind the camera",
                "The motion is complete; choose another background in the camera's settings",
            )
        )
    return clip


def _private_stdout() -> Send:
    """Keep stdout for messages, and let every print of Blender and its add-ons go to stderr."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def send(message: Message) -> None:
        stream.write(message.to_line() + "\n")
        stream.flush()

    return send
