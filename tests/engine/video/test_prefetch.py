"""Reading ahead changes nothing but the thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from extpose_blender.engine.video.prefetch import prefetch


def test_same_items_in_the_same_order() -> None:
    assert list(prefetch(range(1000), 3)) == list(range(1000))


def test_an_error_comes_where_it_would_have_come() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    items = prefetch(failing(), 3)
    assert next(items) == 1
    with pytest.raises(KeyError, match="broken"):
        next(items)


def test_never_more_than_depth_ahead() -> None:
    made: list[int] = []

    def counted() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    items = prefetch(counted(), 4)
    next(items)
    time.sleep(0.2)
    assert len(made) <= 1 + 4 + 1  # Taken, waiting, and one in the producer's hands.
    items.close()  # type: ignore[attr-defined]


def test_closing_closes_the_source_and_ends_the_thread() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    before = threading.active_count()
    items = prefetch(endless(), 2)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert closed.is_set() and threading.active_count() == before
