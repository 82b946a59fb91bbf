"""The worker as a real process: one talk, cancel, end of stdin, and going on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.job import Job, read_job, write_job
from extpose_blender.protocol.messages import LAST, Cancelled, Done, Failed, Hello, parse_line
from extpose_blender.protocol.motion import read_motion
from extpose_blender.protocol.options import CaptureOptions
from extpose_blender.protocol.resources import PACKAGE_ROOT

from .conftest import write_clip

OPTIONS = CaptureOptions(detector="fake", lifter="fake")


def start(job: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(PACKAGE_ROOT / "start_worker.py"), str(job)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def make_job(folder: Path, out: str = "out", rows: int = 400) -> Path:
    clip = folder / "walk.mp4"
    if not clip.exists():
        write_clip(clip, rows)
    write_job(folder / f"{out}.json", Job(clip, folder / out, OPTIONS))
    return folder / f"{out}.json"


def test_job_round_trip(tmp_path: Path) -> None:
    job = Job(Path("a b.mp4"), Path("out"), OPTIONS, False, "blender -b")
    write_job(tmp_path / "job.json", job)
    assert read_job(tmp_path / "job.json") == job


def test_one_hello_first_one_last_and_only_messages_on_stdout(tmp_path: Path) -> None:
    with start(make_job(tmp_path, rows=5)) as worker:
        out, _ = worker.communicate(timeout=120)
    # communicate() closes stdin only after the job was read; a short job may end before it notices.
    messages = [parse_line(line) for line in out.splitlines()]
    assert isinstance(messages[0], Hello)
    assert [isinstance(m, LAST) for m in messages].count(True) == 1
    assert isinstance(messages[-1], LAST)


def run_to_end(job: Path) -> Done:
    with start(job) as worker:
        assert worker.stdout is not None
        last = [parse_line(line) for line in worker.stdout][-1]
        assert worker.wait(timeout=60) == 0, worker.stderr.read() if worker.stderr else ""
    assert isinstance(last, Done)
    return last


def test_failure_is_a_message_with_its_exit_code(tmp_path: Path) -> None:
    write_job(tmp_path / "job.json", Job(tmp_path / "no.mp4", tmp_path / "out", OPTIONS))
    with start(tmp_path / "job.json") as worker:
        assert worker.stdout is not None
        last = parse_line(worker.stdout.readlines()[-1])
        assert worker.wait(timeout=60) == 3
    assert isinstance(last, Failed)
    assert last.code == "bad-video"


@pytest.mark.parametrize("how", ["line", "end of stdin"])
def test_cancel_stops_it_and_the_rest_comes_later(tmp_path: Path, how: str) -> None:
    job = make_job(tmp_path)
    with start(job) as worker:
        assert worker.stdout is not None and worker.stdin is not None
        for line in worker.stdout:
            if '"progress"' in line:
                break
        if how == "line":
            worker.stdin.write("cancel\n")
            worker.stdin.flush()
        else:
            worker.stdin.close()
        last = parse_line(worker.stdout.readlines()[-1])
        assert worker.wait(timeout=60) == 130
    assert isinstance(last, Cancelled)
    assert len(run_to_end(job).outputs) == 2


def kill_at(job: Path, stage: str, count: int) -> bool:
    """Kill the worker at the count-th progress line of a stage. Returns whether it was still at work."""
    with start(job) as worker:
        assert worker.stdout is not None
        seen = 0
        for line in worker.stdout:
            seen += f'"stage": "{stage}"' in line
            if seen == count:
                os.kill(worker.pid, signal.SIGKILL)
                return True
    return False


@pytest.mark.parametrize(
    ("stage", "count"), [("detect", 1), ("detect", 200), ("detect", 399), ("lift", 1)]
)
def test_killed_and_started_again_ends_with_the_same_motion(
    tmp_path: Path, stage: str, count: int
) -> None:
    undisturbed = run_to_end(make_job(tmp_path, "whole"))
    job = make_job(tmp_path, "killed")
    assert kill_at(job, stage, count)
    resumed = run_to_end(job)
    a, b = (read_motion(Path(done.outputs[0])) for done in (undisturbed, resumed))
    for name in ("poses", "trans", "betas", "joints", "keypoints_2d", "camera_T_world", "time_s"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_half_written_files_of_a_killed_run_are_swept_away(tmp_path: Path) -> None:
    job = make_job(tmp_path, rows=5)
    folder = Path(run_to_end(job).outputs[0]).parent
    left = folder / ".overlay.123.part.mp4"
    left.write_bytes(b"half")
    (folder / "mine.part.txt").write_text("the user's own")
    run_to_end(job)
    assert not left.exists()
    assert (folder / "mine.part.txt").exists()
