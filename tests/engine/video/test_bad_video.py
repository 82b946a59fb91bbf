"""Unusable clips are refused with words, damaged ones are used as far as they go."""

from __future__ import annotations

import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.engine.video.clip import Sampling, probe_clip, read_frames
from extpose_blender.protocol.errors import BadVideo

Movie = Callable[..., Path]


def assert_refused(path: Path, words: str) -> None:
    """`probe_clip` refuses it as unusable input, with these words."""
    with pytest.raises(BadVideo, match=words) as caught:
        probe_clip(path)
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_missing_file(tmp_path: Path) -> None:
    assert_refused(tmp_path / "none.mp4", "does not exist")
    assert_refused(tmp_path / "none" / "shot_####.png", "does not exist")


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert_refused(tmp_path / "empty.mp4", "is empty")


@pytest.mark.parametrize(
    "text",
    ["hello world\n" * 500, "#EXTM3U\nother.mp4\n", "ffconcat version 1.0\nfile other.mp4\n"],
)
def test_text_renamed(tmp_path: Path, text: str) -> None:
    for name in ("text.mp4", "text.mkv", "text.m3u8"):
        (tmp_path / name).write_text(text)
        assert_refused(tmp_path / name, "cannot be read as a video")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_noise(tmp_path: Path, seed: int, suffix: str) -> None:
    noise = np.random.default_rng(seed).integers(0, 256, 200_000, dtype=np.uint8)
    path = tmp_path / f"noise.{suffix}"
    path.write_bytes(noise.tobytes())
    assert_refused(path, "noise")


def test_sound_alone(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    assert_refused(path, "sound only")


def test_no_frames(tmp_path: Path, movie: Movie) -> None:
    """A header with nothing behind it."""
    whole = movie("whole.mkv").read_bytes()
    (tmp_path / "header.mkv").write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75")])
    assert_refused(tmp_path / "header.mkv", "holds no picture|End of file")


def test_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert_refused(tmp_path, "holds no images")
    assert_refused(tmp_path / "shot_####.png", "holds no images named like")


def test_what_the_system_refuses_to_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusal as root meets it too: the call itself fails."""
    path = tmp_path / "locked.mp4"
    path.write_bytes(b"x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert_refused(path, "Permission denied")
    assert_refused(tmp_path, "Permission denied")


def test_start_beyond_the_end(movie: Movie) -> None:
    info = probe_clip(movie("a.mp4"))
    with pytest.raises(BadVideo, match="has 30 frames, and the start is frame 30"):
        list(read_frames(info, Sampling(start=30)))


def test_end_beyond_the_end_is_said(movie: Movie) -> None:
    codes: list[str] = []
    info = probe_clip(movie("a.mp4"))
    rows = list(read_frames(info, Sampling(start=20, end=99), 0, lambda c, *_: codes.append(c)))
    assert len(rows) == 10 and codes == ["end-beyond-clip"]


def test_a_broken_tail_costs_only_itself(tmp_path: Path, movie: Movie) -> None:
    how = {"muxer": {"movflags": "faststart"}, "options": {"g": "10", "qp": "0"}}
    whole = movie("a.mp4", 120, (320, 240), pix_fmt="yuv444p", noise=True, **how).read_bytes()
    path = tmp_path / "broken.mp4"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    codes: list[str] = []
    rows = list(read_frames(probe_clip(path), Sampling(), 0, lambda c, *_: codes.append(c)))
    assert 40 < len(rows) < 110 and [f.frame_index for f in rows] == list(range(len(rows)))
    assert len(codes) == 1 and codes[0] in ("damaged-clip", "clip-ends-early")


def test_damage_in_the_middle_is_skipped(tmp_path: Path, movie: Movie) -> None:
    path = movie("a.mp4", 120, (320, 240), noise=True, options={"g": "10"})
    data = bytearray(path.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)
    codes: list[str] = []
    rows = list(read_frames(probe_clip(path), Sampling(), 0, lambda c, *_: codes.append(c)))
    assert len(rows) == 120 and codes == ["damaged-clip"]
    assert rows[-1].frame_index == 119


def test_libav_stays_silent(tmp_path: Path, movie: Movie) -> None:
    whole = movie("a.mp4", 60, (320, 240), muxer={"movflags": "faststart"}, noise=True).read_bytes()
    (tmp_path / "broken.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    script = (
        "import sys; from pathlib import Path\n"
        "from extpose_blender.engine.video.clip import Sampling, probe_clip, read_frames\n"
        "print(len(list(read_frames(probe_clip(Path(sys.argv[1])), Sampling()))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "broken.mp4")],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == "" and int(done.stdout) > 10
