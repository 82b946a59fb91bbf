"""Runs a job in a worker process of another Python, and passes its messages on."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from ..protocol.errors import MissingPackage, WorkerFailed
from ..protocol.job import Job, write_job
from ..protocol.messages import CANCEL_LINE, LAST, Hello, Message, parse_line
from ..protocol.resources import PACKAGE_ROOT
from .report import Listener

_STOP_S = 15.0


def run_job_in_worker(job: Job, python: str, folder: Path, listener: Listener) -> Message:
    """Start a worker and wait for its last message.

    Args:
        job: What to capture. Its paths are made absolute.
        python: The interpreter that has the worker's packages.
        folder: An empty folder for `job.json`.
        listener: Takes the messages; when it is cancelled, the worker is asked to stop, then ended.

    Raises:
        MissingPackage: The interpreter cannot be started.
        WorkerFailed: The worker ended without a last message.
    """
    request = folder / "job.json"
    absolute = Job(
        job.video.absolute(), job.out_dir.absolute(), job.options, job.resume, job.blender
    )
    write_job(request, absolute)
    command = [python, str(PACKAGE_ROOT / "start_worker.py"), str(request)]
    try:
        worker = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
    except OSError as error:
        raise MissingPackage(
            f"The worker's Python `{python}` cannot be started: {error.strerror or error}",
            "Name an interpreter that exists with `--worker-python`",
        ) from error
    with worker:
        try:
            return _relay(worker, listener)
        finally:
            _stop(worker)


def _relay(worker: subprocess.Popen[str], listener: Listener) -> Message:
    assert worker.stdout is not None
    for line in worker.stdout:
        message = parse_line(line)
        if isinstance(message, LAST):
            return message
        if not isinstance(message, Hello):
            listener.send(message)
        if listener.cancelled():
            _ask_to_stop(worker)
    raise WorkerFailed(
        f"The worker ended with code {worker.wait()} and no last message",
        "Run again: finished stages are kept. `extpose doctor` checks the worker's packages",
    )


def _ask_to_stop(worker: subprocess.Popen[str]) -> None:
    try:
        if worker.stdin is not None and not worker.stdin.closed:
            worker.stdin.write(CANCEL_LINE + "\n")
            worker.stdin.close()
    except OSError:
        pass  # The worker has ended: its last line is on its way.


def _stop(worker: subprocess.Popen[str]) -> None:
    """Let the worker end, and end it when it does not."""
    _ask_to_stop(worker)
    deadline = time.monotonic() + _STOP_S
    while worker.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if worker.poll() is None:
        worker.kill()
