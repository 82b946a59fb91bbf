"""What a worker says: one JSON object per line on stdout, one dataclass per kind, in one list.

    Hello, then any of Progress, People, Preview, Warned, then exactly one of Done, Failed, Cancelled.

The other way, one word per line on the worker's stdin: `cancel`. End of stdin means the same: whoever
started the worker has gone.
Source: the form follows viser:src/viser/_messages.py.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from .errors import WorkerFailed

PROTOCOL_VERSION = 1
"""Raised when a message changes its meaning."""

CANCEL_LINE = "cancel"
"""The line that asks a worker to stop."""


@dataclass(frozen=True)
class Message:
    """A line from the worker."""

    kind: ClassVar[str] = ""

    def to_line(self) -> str:
        """The JSON line, without its end."""
        return json.dumps({"type": self.kind, **asdict(self)}, ensure_ascii=False)


@dataclass(frozen=True)
class Hello(Message):
    """First line."""

    kind: ClassVar[str] = "hello"
    protocol: int
    """`PROTOCOL_VERSION` of the sender."""
    version: str
    """Version of ExtPose."""


@dataclass(frozen=True)
class Progress(Message):
    """How far a stage has come."""

    kind: ClassVar[str] = "progress"
    stage: str
    """`detect`, `lift`, `refine`, `export` or `overlay`."""
    done: int
    """Rows or files done."""
    total: int
    """Rows or files in all; a hint while the clip is still being read."""


@dataclass(frozen=True)
class Person:
    """One person found in the clip."""

    person_id: int
    """Number for `--person`, by prominence."""
    first_row: int
    """First row in which the person was seen."""
    last_row: int
    """Last row in which the person was seen."""
    bbox_xyxy: tuple[float, float, float, float]
    """Box in source pixels at `best_row`."""
    best_row: int
    """Row in which the person is seen best."""
    thumbnail: str = ""
    """Path of a picture of the person."""
    chosen: bool = True
    """Whether this person is captured."""


@dataclass(frozen=True)
class People(Message):
    """Who was found."""

    kind: ClassVar[str] = "people"
    people: tuple[Person, ...]
    """By prominence."""


@dataclass(frozen=True)
class Preview(Message):
    """A part of the motion is ready to be looked at."""

    kind: ClassVar[str] = "preview"
    person_id: int
    """Whose."""
    path: str
    """A motion file with the rows that are ready."""
    first_row: int
    """First row that is ready."""
    last_row: int
    """Last row that is ready."""


@dataclass(frozen=True)
class Warned(Message):
    """Something the user should know; the work goes on."""

    kind: ClassVar[str] = "warned"
    code: str
    """Short name."""
    message: str
    """What happened."""
    hint: str = ""
    """Next step, where there is one."""


@dataclass(frozen=True)
class Done(Message):
    """Last line: finished."""

    kind: ClassVar[str] = "done"
    outputs: tuple[str, ...]
    """Paths of the files made."""
    report: str = ""
    """Path of `report.json`."""


@dataclass(frozen=True)
class Failed(Message):
    """Last line: an error."""

    kind: ClassVar[str] = "failed"
    code: str
    """Code of the error."""
    message: str
    """Wanted and actual."""
    hint: str
    """Next step."""
    exit_code: int
    """Exit code for a command line."""


@dataclass(frozen=True)
class Cancelled(Message):
    """Last line: stopped as asked."""

    kind: ClassVar[str] = "cancelled"


KINDS: dict[str, type[Message]] = {
    message.kind: message
    for message in (Hello, Progress, People, Preview, Warned, Done, Failed, Cancelled)
}
"""Every message by the word in its line."""

LAST = (Done, Failed, Cancelled)
"""Exactly one of these ends the talk."""


def parse_line(line: str) -> Message:
    """The message in a line.

    Raises:
        WorkerFailed: The line is no message of ours. The text of the error holds its beginning.
    """
    try:
        values = json.loads(line)
        message = KINDS[values.pop("type")]
        unknown = values.keys() - {f.name for f in fields(message)}
        if unknown:
            raise ValueError(f"unknown fields {sorted(unknown)}")
        return _build(message, values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as reason:
        raise WorkerFailed(
            f"The worker said something that is no message ({reason}): `{line[:120]}`",
            "Use a worker of the same version as the add-on",
        ) from reason


def _build(message: type[Message], values: dict[str, Any]) -> Message:
    if message is People:
        people = [dict(row) for row in values["people"]]
        for row in people:
            row["bbox_xyxy"] = tuple(row["bbox_xyxy"])
        return People(tuple(Person(**row) for row in people))
    if message is Done:
        values["outputs"] = tuple(values["outputs"])
    return message(**values)
