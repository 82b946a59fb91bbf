"""Lifts windows on a thread of its own, so that reading, detection and the network overlap.

The queue is short: who fills it waits when the network is slower, and memory stays the same however
long the clip is.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from .kept_windows import KeptWindows
from .lift.base import Crop, PictureLifter
from .lift.windows import Window

WAITING_ROWS = 128
"""Rows of people that wait at the most, in windows, beside those in the network: single pictures go
through a GPU in large batches."""

_POLL_S = 0.1

Item = tuple[Window, Mapping[int, Crop | None]]
"""A window and the crops of its rows."""


def waiting_windows(frames: int) -> int:
    """How many windows of that many rows may wait."""
    return max(2, WAITING_ROWS // frames)


class NetworkThread:
    """Gives windows to a lifter and keeps what comes out.

    Use as a context: leaving it by an error stops the network soon and waits for it.

    Args:
        lifter: Lifts; touched by the thread alone.
        kept: Gets the results.
        poll: Called while waiting; may raise to stop the work.
    """

    def __init__(self, lifter: PictureLifter, kept: KeptWindows, poll: Callable[[], None]) -> None:
        self._lifter = lifter
        self._kept = kept
        self._poll = poll
        self._waiting: queue.Queue[Item | None] = queue.Queue(waiting_windows(lifter.frames))
        self._error: BaseException | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="extpose-network", daemon=True)

    def __enter__(self) -> NetworkThread:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stopped = True
            self._lifter.stop()
        else:
            self._put(None)
        while self._thread.is_alive():
            self._thread.join(_POLL_S)
            if error is None:
                self._poll_or_stop()
        if error is None and self._error is not None:
            raise self._error

    def put(self, item: Item) -> None:
        """Hand over a window; waits while the queue is full.

        Raises:
            Exception: Whatever the lifter raised on its thread, or `poll`.
        """
        self._put(item)

    def _put(self, item: Item | None) -> None:
        while self._thread.is_alive():
            try:
                self._waiting.put(item, timeout=_POLL_S)
                return
            except queue.Full:
                self._poll_or_stop()
        if self._error is not None:
            raise self._error

    def _poll_or_stop(self) -> None:
        try:
            self._poll()
        except BaseException:
            self._stopped = True
            self._lifter.stop()
            raise

    def _run(self) -> None:
        try:
            while not self._stopped and (batch := self._next_batch()):
                for window in self._lifter.lift_windows(batch):
                    self._kept.add(window)
        except BaseException as error:  # Carried to whoever waits for the results, who raises it.
            self._error = error
        finally:
            self._flush()

    def _flush(self) -> None:
        try:
            self._kept.flush()
        except BaseException as error:  # As above.
            self._error = self._error or error

    def _next_batch(self) -> list[Item]:
        """As many windows as wait and fit, at least one; none at the end."""
        batch: list[Item] = []
        while len(batch) < max(1, self._lifter.most_windows() if batch else 1):
            try:
                item = (
                    self._waiting.get(timeout=_POLL_S) if not batch else self._waiting.get_nowait()
                )
            except queue.Empty:
                if batch or self._stopped:
                    break
                continue
            if item is None:
                if batch:
                    self._waiting.put(None)
                break
            batch.append(item)
        return batch
