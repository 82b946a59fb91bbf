"""The command line as a user meets it: files, exit codes, one-line errors, nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from extpose_blender.protocol.messages import LAST, Done, parse_line
from extpose_blender.protocol.motion import read_motion

from .conftest import FAKE, ROOT, write_clip

Run = Callable[..., subprocess.CompletedProcess[str]]


def only_error(result: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in result.stderr.splitlines() if "error[" in line]
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


def test_capture_leaves_the_documented_files(extpose: Run, clip: Path, tmp_path: Path) -> None:
    result = extpose(
        "capture", clip, "--out", tmp_path / "out", *FAKE, "--export", "npz,bvh", "--json"
    )
    assert result.returncode == 0, result.stderr
    last = json.loads(result.stdout.splitlines()[-1])
    folder = tmp_path / "out" / "walk"
    assert last["ok"] and last["report"] == str(folder / "report.json")
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert names == {"person_0.npz", "body_0.npz", "person_0.bvh", "report.json"}
    motion = read_motion(folder / "person_0.npz")
    assert len(motion) == 12
    assert motion.mocap_framerate == 10
    report = json.loads((folder / "report.json").read_text())
    assert report["rows"] == 12
    assert {"input", "options", "models", "stages", "people", "warnings"} <= report.keys()


def test_two_clips_of_one_name_get_two_folders(extpose: Run, tmp_path: Path) -> None:
    clips = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        clips.append(write_clip(tmp_path / name / "walk.mp4", rows=3))
    for _ in range(2):  # The second time each finds its own folder again.
        result = extpose("capture", *clips, "--out", tmp_path / "out", *FAKE)
        assert result.returncode == 0, result.stderr
        assert {path.name for path in (tmp_path / "out").iterdir()} == {"walk", "walk-2"}


def test_an_export_no_longer_asked_for_goes(extpose: Run, clip: Path, tmp_path: Path) -> None:
    command = ("capture", clip, "--out", tmp_path / "out", *FAKE)
    assert extpose(*command, "--export", "bvh").returncode == 0
    (tmp_path / "out" / "walk" / "mine.txt").write_text("keep me")
    assert extpose(*command).returncode == 0
    names = {path.name for path in (tmp_path / "out" / "walk").iterdir()}
    assert "person_0.bvh" not in names
    assert {"mine.txt", "person_0.npz"} <= names


def test_json_progress_is_messages_ending_in_done(extpose: Run, clip: Path, tmp_path: Path) -> None:
    result = extpose("capture", clip, "--out", tmp_path / "out", *FAKE, "--json-progress")
    messages = [parse_line(line) for line in result.stdout.splitlines()]
    assert isinstance(messages[-1], Done)
    assert sum(isinstance(message, LAST) for message in messages) == 1
    assert {m.stage for m in messages if m.kind == "progress"} >= {"detect", "lift"}


@pytest.mark.parametrize(
    "words",
    [
        ["--nope"],
        ["capture"],
        ["captur", "a.mp4"],
        ["capture", "a.mp4"],
        ["capture", "a.mp4", "--out", "x", "--smooth", "7"],
        ["capture", "a.mp4", "--out", "x", "--detector", "nobody"],
        ["models"],
        ["bench", "--runs", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(extpose: Run, words: list[str]) -> None:
    result = extpose(*words)
    assert result.returncode == 2
    assert only_error(result).startswith("extpose: error[usage]: ")


def bad_clips(folder: Path) -> dict[str, Path]:
    paths = {
        name: folder / f"{name}.mp4" for name in ("missing", "empty", "text", "noise", "audio")
    }
    paths["empty"].write_bytes(b"")
    paths["text"].write_text("this is no video\n" * 100)
    paths["noise"].write_bytes(np.random.default_rng(0).bytes(50_000))
    with av.open(str(paths["audio"]), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), "fltp", "mono")
        silence.sample_rate = 44100
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    paths["folder"] = folder / "folder"
    paths["folder"].mkdir()
    return paths


@pytest.mark.parametrize("name", ["missing", "empty", "text", "noise", "audio", "folder"])
def test_unusable_clip_exits_with_3_and_leaves_nothing(
    extpose: Run, tmp_path: Path, name: str
) -> None:
    result = extpose("capture", bad_clips(tmp_path)[name], "--out", tmp_path / "out", *FAKE)
    assert result.returncode == 3
    assert "error[bad-video]" in only_error(result)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*"))


def test_start_after_end_exits_with_3(extpose: Run, clip: Path, tmp_path: Path) -> None:
    for words in (("--start", 5, "--end", 2), ("--start", 500)):
        result = extpose("capture", clip, "--out", tmp_path / "out", *FAKE, *words)
        assert result.returncode == 3, result.stderr
        only_error(result)


def test_nobody_in_the_clip_exits_with_3_and_leaves_nothing(
    extpose: Run, clip: Path, tmp_path: Path
) -> None:
    result = extpose("capture", clip, "--out", tmp_path / "out")
    assert result.returncode == 3
    assert "error[no-person]" in only_error(result)
    assert not list((tmp_path / "out").iterdir())


def test_unknown_body_is_missing_and_a_wrong_file_is_unusable(
    extpose: Run, clip: Path, tmp_path: Path
) -> None:
    command = ("capture", clip, "--out", tmp_path / "out", *FAKE, "--body")
    assert extpose(*command, "smpl", env=None).returncode == 4
    (tmp_path / "body.npz").write_bytes(b"no body")
    for path in (tmp_path / "body.npz", tmp_path / "gone.npz"):
        result = extpose(*command, path)
        assert result.returncode == 3
        assert "error[bad-body]" in only_error(result)


def test_output_that_cannot_be_written_exits_with_5(
    extpose: Run, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = extpose("capture", clip, "--out", tmp_path / "file", *FAKE)
    assert result.returncode == 5
    assert "error[output]" in only_error(result)


def test_full_disk_exits_with_5_and_what_was_there_stays(
    extpose: Run, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert extpose("capture", clip, "--out", out, *FAKE).returncode == 0
    before = (out / "walk" / "person_0.npz").read_bytes()
    limited = ["bash", "-c", f'ulimit -f 8; exec "{sys.executable}" "$@"', "bash"]
    result = extpose("capture", clip, "--out", out, *FAKE, "--smooth", "0.1", python=limited)
    assert result.returncode == 5
    assert "full" in only_error(result)
    assert (out / "walk" / "person_0.npz").read_bytes() == before
    assert not list(out.rglob("*.part*"))


def test_one_of_several_clips_failing_exits_with_6(
    extpose: Run, clip: Path, tmp_path: Path
) -> None:
    result = extpose(
        "capture", clip, tmp_path / "missing.mp4", "--out", tmp_path / "out", *FAKE, "--json"
    )
    assert result.returncode == 6
    last = json.loads(result.stdout.splitlines()[-1])
    assert [item["exit_code"] for item in last["items"]] == [0, 3]


def test_one_frame_works(extpose: Run, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "still.mp4", rows=1)
    result = extpose("capture", clip, "--out", tmp_path / "out", *FAKE, "--overlay")
    assert result.returncode == 0, result.stderr
    assert len(read_motion(tmp_path / "out" / "still" / "person_0.npz")) == 1


def test_debug_shows_the_traceback(extpose: Run, tmp_path: Path) -> None:
    result = extpose("capture", tmp_path / "no.mp4", "--out", tmp_path / "out", "--debug")
    assert "Traceback" in result.stderr


def test_models_where_and_list(extpose: Run, tmp_path: Path) -> None:
    import os

    env = {**os.environ, "EXTPOSE_MODELS": str(tmp_path / "models")}
    assert extpose("models", "where", env=env).stdout.strip() == str(tmp_path / "models")
    listed = extpose("models", "list", "--json", env=env)
    rows = json.loads(listed.stdout)["models"]
    assert {"mediapipe", "fit", "open", "smpl"} <= {row["name"] for row in rows}
    assert "fake" not in {row["name"] for row in rows}
    assert not (tmp_path / "models").exists()


def test_a_missing_blender_is_said_before_the_work(
    extpose: Run, clip: Path, tmp_path: Path
) -> None:
    command = ("capture", clip, "--out", tmp_path / "out", *FAKE, "--export", "fbx")
    result = extpose(*command, "--blender", "no-such-blender")
    assert result.returncode == 4
    assert "error[missing-package]" in only_error(result)
    assert not (tmp_path / "out").exists()


def test_another_python_does_the_work_when_it_is_named(
    extpose: Run, clip: Path, tmp_path: Path
) -> None:
    command = ("capture", clip, "--out", tmp_path / "out", *FAKE, "--worker-python")
    assert extpose(*command, sys.executable).returncode == 0
    assert len(read_motion(tmp_path / "out" / "walk" / "person_0.npz")) == 12
    missing = extpose(*command, tmp_path / "no-python")
    assert missing.returncode == 4
    assert "no-python" in only_error(missing)


def test_interrupt_exits_with_130(clip: Path, tmp_path: Path) -> None:
    long = write_clip(tmp_path / "long.mp4", rows=3000)
    command = [
        sys.executable,
        "-m",
        "extpose_blender",
        "capture",
        str(long),
        "--out",
        str(tmp_path),
    ]
    command += [*FAKE, "--json-progress"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        lines = process.stdout.readlines()
        assert process.wait(timeout=60) == 130
    assert parse_line(lines[-1]).kind == "cancelled"
