"""Runs an iterator ahead of its consumer on a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    """Last thing in the queue: the iterator is finished, or failed."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """Yield the same items, produced on a thread that is at most `depth` items ahead.

    The thread has ended when this iterator is exhausted, fails or is closed.

    Args:
        items: What to read; touched by the thread alone. It is closed there when it is a generator.
        depth: How many finished items may wait.

    Raises:
        Exception: Whatever `items` raises, at the place where it would have come.
    """
    waiting: queue.Queue[Item | _End] = queue.Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(
        target=_produce, args=(items, waiting, stop), name="extpose-decode", daemon=True
    )
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        _drain(waiting, thread)


def _produce(
    items: Iterable[Item], waiting: queue.Queue[Item | _End], stop: threading.Event
) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if stop.is_set():
                break
            waiting.put(item)
    except BaseException as raised:  # Carried to the consumer, which raises it.
        error = raised
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()
    waiting.put(_End(error))


def _drain(waiting: queue.Queue[Item | _End], thread: threading.Thread) -> None:
    """Make room until the thread, which may be waiting for it, has seen the stop sign."""
    while thread.is_alive():
        try:
            waiting.get(timeout=0.02)
        except queue.Empty:
            continue
    thread.join()
