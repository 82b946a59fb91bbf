"""Makes the next batch while the network works on this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Batch = TypeVar("Batch")


@contextmanager
def made_ahead(make: Callable[[int], Batch], first: int, end: int) -> Iterator[Iterator[Batch]]:
    """Give batches in order, one made ahead in a thread of its own.

    Args:
        make: Makes the batch of a step.
        first: The first step.
        end: The step before which to stop.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:

        def batches() -> Iterator[Batch]:
            coming = pool.submit(make, first) if first < end else None
            for step in range(first, end):
                assert coming is not None
                batch = coming.result()
                coming = pool.submit(make, step + 1) if step + 1 < end else None
                yield batch

        yield batches()
