"""Shows a capture's messages to a person: bars on a terminal, lines elsewhere, or JSON lines."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from ..protocol.errors import ExtPoseError
from ..protocol.messages import (
    Cancelled,
    Done,
    Failed,
    Message,
    People,
    Progress,
    Warned,
)

WORDS = {
    "detect": "Finding people",
    "network": "Running network",
    "lift": "Solving bodies",
    "refine": "Grounding",
    "export": "Writing files",
    "overlay": "Drawing overlay",
}
"""What each stage is called in front of people."""


class Console:
    """Prints messages. Progress and notes go to stderr, results and JSON lines to stdout."""

    def __init__(self, json_lines: bool = False) -> None:
        self._json_lines = json_lines
        self._seen: set[str] = set()
        self._bars: dict[str, Any] = {}

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_bars()

    def show(self, message: Message) -> None:
        """Show one message."""
        if self._json_lines:
            print(message.to_line(), flush=True)
            if isinstance(message, Failed):
                self._say(_as_error_line(message))
        elif isinstance(message, Progress):
            self._show_progress(message)
        else:
            self._end_bars()
            for line in _lines_of(message):
                if isinstance(message, Done):
                    print(line, flush=True)
                else:
                    self._say(line)

    def _show_progress(self, message: Progress) -> None:
        """Stages may overlap: each has a bar of its own, and is named once where there are no bars."""
        if not sys.stderr.isatty():
            if message.stage not in self._seen:
                self._seen.add(message.stage)
                self._say(WORDS.get(message.stage, message.stage))
            return
        if message.stage not in self._bars:
            if all(bar.n >= bar.total for bar in self._bars.values()):
                self._end_bars()
            self._bars[message.stage] = self._new_bar(message)
        bar = self._bars[message.stage]
        bar.total = message.total
        bar.update(message.done - bar.n)

    def _new_bar(self, message: Progress) -> Any:
        from tqdm import tqdm

        words = WORDS.get(message.stage, message.stage)
        return tqdm(
            total=message.total, desc=f"{words:16}", unit="", file=sys.stderr, leave=True,
            position=len(self._bars),
        )  # fmt: skip

    def _end_bars(self) -> None:
        for bar in self._bars.values():
            bar.close()
        self._bars = {}

    @staticmethod
    def _say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def _lines_of(message: Message) -> list[str]:
    if isinstance(message, People):
        chosen = [str(person.person_id) for person in message.people if person.chosen]
        return [f"Found {len(message.people)}, capturing person {', '.join(chosen)}"]
    if isinstance(message, Warned):
        return [
            f"extpose: warning[{message.code}]: {message.message}. {message.hint}".rstrip(" .")
            + "."
        ]
    if isinstance(message, Failed):
        return [_as_error_line(message)]
    if isinstance(message, Cancelled):
        return ["extpose: error[cancelled]: Stopped as asked."]
    if isinstance(message, Done):
        return list(message.outputs)
    return []


def _as_error_line(message: Failed) -> str:
    error = ExtPoseError(message.message, message.hint)
    error.code = message.code
    return error.as_line()
