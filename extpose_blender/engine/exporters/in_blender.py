"""Has a process of its own write what needs Blender: the `bpy` wheel, or a Blender that is named.

torch and bpy never share a process. The process is `addon/write_scene.py`; it answers with the
messages of `protocol/messages.py`.
"""

from __future__ import annotations

import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from ...protocol import errors
from ...protocol.errors import Cancelled, ExtPoseError, MissingPackage, WorkerFailed
from ...protocol.files import write_json
from ...protocol.messages import Done, Failed, Hello, Message, parse_line
from ...protocol.resources import PACKAGE_ROOT

_LOOK_S = 0.1
"""Seconds between two looks whether to stop."""
_STOP_S = 5.0
"""Seconds that a Blender gets to end by itself when it is told to."""
_LAST_WORDS = 40
"""Lines of its stderr that are kept for an error."""


def write_with_blender(
    request: dict[str, Any],
    blender: str | None,
    on_message: Callable[[Message], None] = lambda message: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Write a clip's .blend, .fbx, .glb and .usd.

    Args:
        request: What to write, as `addon/scene_writer.py` describes it. Paths are absolute.
        blender: Command line of a Blender, split as a shell splits; `None` takes the `bpy` wheel,
            or else a `blender` on the path.
        on_message: Gets progress and warnings.
        cancelled: Asked ten times a second; when true, the process is ended.

    Raises:
        MissingPackage: There is neither `bpy` nor a Blender, or it lacks a format.
        OutputNotWritable: The disk is full, or the folder cannot be written.
        WorkerFailed: Blender failed, or ended without a word.
        Cancelled: The user asked to stop.
    """
    command = blender_command(blender)
    with tempfile.TemporaryDirectory(prefix="extpose-") as folder:
        path = Path(folder) / "request.json"
        write_json(path, request)
        with _running([*command, str(path)]) as child:
            _relay(child, on_message, cancelled)


def blender_command(blender: str | None) -> list[str]:
    """The command that runs `addon/write_scene.py`, without its argument.

    Raises:
        MissingPackage: There is neither `bpy` nor a Blender.
    """
    script = str(PACKAGE_ROOT / "addon" / "write_scene.py")
    if blender is None and find_spec("bpy") is not None:
        return [sys.executable, script]
    words = _split(blender) if blender is not None else ["blender"]
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise MissingPackage(
            f"The Blender `{blender}` is not there"
            if blender is not None
            else "Neither the package `bpy` nor a Blender is installed",
            "Run `pip install 'extpose_blender[blender]'`, or name a Blender with `--blender`",
        )
    options = ("--background", "--factory-startup", "--python-exit-code", "1", "--python")
    return [program, *words[1:], *options, script, "--"]


def _split(command: str) -> list[str]:
    """A path that exists is one word, whatever spaces it holds."""
    if Path(command).is_file():
        return [command]
    words = shlex.split(command, posix=os.name != "nt")
    return [word.strip('"') for word in words] if os.name == "nt" else words


@dataclass
class _Child:
    """A process whose two pipes are drained, so that it can never wait for us."""

    process: subprocess.Popen[str]
    lines: queue.Queue[str | None]
    """Lines of stdout, then `None`."""
    last_words: deque[str]
    """The end of stderr."""
    readers: list[threading.Thread]


@contextmanager
def _running(command: list[str]) -> Iterator[_Child]:
    """A process that has ended when the block has."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise MissingPackage(
            f"`{command[0]}` cannot be started: {error.strerror or error}",
            "Name a Blender that works with `--blender`",
        ) from error
    assert process.stdout is not None and process.stderr is not None
    child = _Child(process, queue.Queue(), deque(maxlen=_LAST_WORDS), [])
    say_end = partial(child.lines.put, None)
    for stream, take, at_end in (
        (process.stdout, child.lines.put, say_end),
        (process.stderr, child.last_words.append, lambda: None),
    ):
        reader = threading.Thread(target=_read_lines, args=(stream, take, at_end), daemon=True)
        reader.start()
        child.readers.append(reader)
    try:
        yield child
    finally:
        _end(process)
        for reader in child.readers:
            reader.join(_STOP_S)


def _end(process: subprocess.Popen[str]) -> None:
    """Give a process a moment to end by itself, then end it."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
        return
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_S)
        return
    process.kill()
    process.wait()


def _relay(
    child: _Child, on_message: Callable[[Message], None], cancelled: Callable[[], bool]
) -> None:
    try:
        last = _last_message(child.lines, on_message, cancelled)
    except BaseException:
        child.process.terminate()
        raise
    if isinstance(last, Done):
        return
    if isinstance(last, Failed):
        raise _error_from(last)
    child.readers[1].join(_STOP_S)
    with suppress(subprocess.TimeoutExpired):
        child.process.wait(_STOP_S)
    said = " | ".join(word.strip()[-200:] for word in list(child.last_words)[-3:] if word.strip())
    raise WorkerFailed(
        f"Blender ended with code {child.process.returncode} and no last message"
        + (f": {said}" if said else ""),
        "Try the `bpy` wheel by leaving out `--blender`, or another Blender",
    )


def _last_message(
    lines: queue.Queue[str | None],
    on_message: Callable[[Message], None],
    cancelled: Callable[[], bool],
) -> Message | None:
    """Pass messages on until the last one. `None` when stdout ends without it."""
    while True:
        if cancelled():
            raise Cancelled("Stopped as asked")
        try:
            line = lines.get(timeout=_LOOK_S)
        except queue.Empty:
            continue
        if line is None:
            return None
        # Blender greets on stdout before a script can keep it to itself.
        if not line.startswith('{"type"'):
            continue
        message = parse_line(line)
        if isinstance(message, Done | Failed):
            return message
        if not isinstance(message, Hello):
            on_message(message)


def _read_lines(stream: IO[str], take: Callable[[str], None], at_end: Callable[[], None]) -> None:
    with stream:
        for line in stream:
            take(line)
    at_end()


def _error_from(message: Failed) -> ExtPoseError:
    """The error that a process reported, as the same class."""
    for value in vars(errors).values():
        if (
            isinstance(value, type)
            and issubclass(value, ExtPoseError)
            and value.code == message.code
        ):
            return value(message.message, message.hint)
    return WorkerFailed(message.message, message.hint)
