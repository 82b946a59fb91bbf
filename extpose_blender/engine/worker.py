"""The worker process: reads `job.json`, says what happens line by line on stdout, stops when asked.

Started as `python start_worker.py JOB.json`. Messages go to a private copy of stdout; everything else that
any library prints goes to stderr. `cancel` or the end of stdin stops it.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from ..protocol.errors import Cancelled as CancelledError
from ..protocol.errors import ExtPoseError, UsageError, WorkerFailed
from ..protocol.job import Job, read_job
from ..protocol.messages import (
    CANCEL_LINE,
    PROTOCOL_VERSION,
    Cancelled,
    Done,
    Failed,
    Hello,
    Message,
)
from ..protocol.version import extpose_version
from .report import Listener

GRACE_S = 10.0
"""Seconds that a cancelled job has to stop by itself before the process ends."""


def run_job(job: Job, listener: Listener) -> Done:
    """Capture one clip. Raises ExtPoseError, or whatever went wrong inside."""
    from .pipeline import capture

    return capture(job, listener)


def as_message(error: BaseException) -> Failed | Cancelled:
    """The last message for something that ended a job."""
    if isinstance(error, CancelledError | KeyboardInterrupt):
        return Cancelled()
    known = error if isinstance(error, ExtPoseError) else as_known(error)
    return Failed(known.code, known.message, known.hint, known.exit_code)


def as_known(error: BaseException) -> ExtPoseError:
    """An error for people in place of one that no stage foresaw."""
    if isinstance(error, MemoryError):
        return WorkerFailed("Memory ran out", "Close other programs, or capture a shorter part")
    return WorkerFailed(
        f"{type(error).__name__}: {error}", "Run again with `--debug` and report what it prints"
    )


def main(arguments: list[str]) -> int:
    """Run the job named on the command line. Returns the exit code."""
    send = _private_stdout()
    send(Hello(PROTOCOL_VERSION, extpose_version()))
    stop = threading.Event()
    finished = threading.Event()
    watcher = threading.Thread(target=_watch_stdin, args=(stop, finished, send), daemon=True)
    watcher.start()
    try:
        if len(arguments) != 1:
            raise UsageError("The worker takes one argument: the path of `job.json`")
        last: Message = run_job(read_job(Path(arguments[0])), Listener(send, stop.is_set))
    except BaseException as error:
        if not isinstance(error, ExtPoseError | KeyboardInterrupt):
            traceback.print_exc(file=sys.stderr)
        last = as_message(error)
    finished.set()
    send(last)
    return exit_code_of(last)


def exit_code_of(last: Message) -> int:
    """The exit code that a last message means."""
    if isinstance(last, Failed):
        return last.exit_code
    return CancelledError.exit_code if isinstance(last, Cancelled) else 0


def _private_stdout() -> Callable[[Message], None]:
    """Keep stdout for messages, and let every print of every library go to stderr."""
    stream: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    lock = threading.Lock()

    def send(message: Message) -> None:
        with lock:
            try:
                stream.write(message.to_line() + "\n")
                stream.flush()
            except (BrokenPipeError, OSError):
                # Whoever started us has gone: nobody is left to tell, and stdin ends as well.
                pass

    return send


def _watch_stdin(
    stop: threading.Event, finished: threading.Event, send: Callable[[Message], None]
) -> None:
    for line in sys.stdin:
        if line.strip() == CANCEL_LINE:
            break
    stop.set()
    if not finished.wait(GRACE_S):
        send(Cancelled())
        os._exit(CancelledError.exit_code)
