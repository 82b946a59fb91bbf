"""Lines survive the way there and back, and nothing else passes for one."""

from __future__ import annotations

import pytest

from extpose_blender.protocol import messages
from extpose_blender.protocol.errors import WorkerFailed

EXAMPLES = [
    messages.Hello(1, "0.1.0"),
    messages.Progress("detect", 3, 10),
    messages.People((messages.Person(0, 0, 5, (1.0, 2.0, 3.0, 4.0), 2),)),
    messages.Preview(0, "a.npz", 0, 9),
    messages.Warned("broken-tail", "ü", "Cut it"),
    messages.Done(("a", "b"), "r.json"),
    messages.Failed("input", "m", "h", 3),
    messages.Cancelled(),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: m.kind)
def test_round_trip_on_one_line(message: messages.Message) -> None:
    line = message.to_line()
    assert "\n" not in line
    assert messages.parse_line(line) == message


def test_every_kind_has_an_example() -> None:
    assert {type(example) for example in EXAMPLES} == set(messages.KINDS.values())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "[]",
        '{"type": "nope"}',
        '{"type": "progress"}',
        '{"type": "hello", "x": 1}',
        "1",
        "[" * 9999,
    ],
)
def test_anything_else_is_refused(line: str) -> None:
    with pytest.raises(WorkerFailed):
        messages.parse_line(line)
