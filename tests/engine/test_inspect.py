"""`extpose inspect`: numbers agree with a capture's, panels are there, and what is missing is said."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from extpose_blender.engine import inspect_frame as inspecting
from extpose_blender.engine.inspect_frame import inspect_frame
from extpose_blender.engine.pipeline import capture
from extpose_blender.engine.report import Listener
from extpose_blender.engine.track.build import build_tracks
from extpose_blender.protocol.errors import (
    BadModelFile,
    BadVideo,
    MissingModel,
    NoPerson,
    UsageError,
)
from extpose_blender.protocol.flow import Track
from extpose_blender.protocol.job import Job
from extpose_blender.protocol.messages import Message, People
from extpose_blender.protocol.options import CaptureOptions, InspectOptions

from .conftest import write_clip
from .tiny_network import write_tiny_weights

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "walk.mp4", rows=12, size=(320, 240))


@pytest.fixture(autouse=True)
def no_added_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTPOSE_MODELS", str(tmp_path / "models"))


def options(**choices: Any) -> InspectOptions:
    return InspectOptions(**{"frame": 3, "detector": "fake", **choices})


def test_numbers_are_those_of_a_capture(video: Path, tmp_path: Path) -> None:
    sent: list[Message] = []
    job = Job(video, tmp_path / "out", CaptureOptions(detector="fake", lifter="fake"))
    capture(job, Listener(sent.append))
    (people,) = (message for message in sent if isinstance(message, People))
    for result in (
        inspect_frame(video, tmp_path / "a.png", options(person="all")),
        inspect_frame(video, tmp_path / "out" / "b.png", options(person="all")),
        inspect_frame(video, tmp_path / "out" / "walk" / "c.png", options(person="all")),
    ):
        assert result.numbers_of_clip
        for person, here in zip(people.people, result.people, strict=True):
            assert here.number == person.person_id
            x0, y0, x1, y1 = person.bbox_xyxy
            middle = here.keypoints[:, :2].mean(axis=0)
            assert x0 - 20 < middle[0] < x1 + 20
            assert y0 - 20 < middle[1] < y1 + 20


def test_long_clips_are_not_searched_unless_a_capture_has(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspecting, "CHEAP_ROWS", 5)
    alone = inspect_frame(video, tmp_path / "out" / "a.png", options())
    assert not alone.numbers_of_clip
    assert any("in this frame alone" in note for note in alone.notes)
    assert len(alone.people) == 2
    capture(
        Job(video, tmp_path / "out", CaptureOptions(detector="fake", lifter="fake")), Listener()
    )
    known = inspect_frame(video, tmp_path / "out" / "a.png", options())
    assert known.numbers_of_clip
    assert not any("in this frame alone" in note for note in known.notes)


def test_picture_shows_frame_crop_skeleton_and_attention(video: Path, tmp_path: Path) -> None:
    weights = write_tiny_weights(tmp_path / "tiny.safetensors")
    plain = inspect_frame(video, tmp_path / "plain.png", options())
    full = inspect_frame(video, tmp_path / "full.png", options(weights=str(weights)))
    assert plain.weights is None
    assert "models add" in " ".join(plain.notes)
    assert full.weights == "tiny"
    (person,) = (person for person in full.people if person.seen is not None)
    assert person.attention is not None
    assert person.seen is not None
    assert 0 < person.attention.share_into_skeleton < 1
    sheets = [cv2.imread(str(tmp_path / name)) for name in ("plain.png", "full.png")]
    narrow, wide = (np.count_nonzero((sheet[-40] != sheet[-1, -1]).any(axis=1)) for sheet in sheets)
    assert wide > 1.8 * narrow, "four panels side by side, not two"
    skeleton = cv2.cvtColor(person.seen.skeleton_rgb, cv2.COLOR_RGB2BGR)
    large = cv2.resize(skeleton, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)
    for sheet in sheets:
        found = cv2.matchTemplate(sheet, large, cv2.TM_SQDIFF_NORMED)
        assert found.min() < 1e-3


def test_everybody_chosen_gets_panels(video: Path, tmp_path: Path) -> None:
    result = inspect_frame(video, tmp_path / "a.png", options(person="all"))
    assert [person.seen is not None for person in result.people] == [True, True]
    (one,) = (
        p for p in inspect_frame(video, tmp_path / "a.png", options(person="1")).people if p.seen
    )
    assert one.number == 1


def test_what_cannot_be_shown_is_refused_and_nothing_is_written(
    video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.png"
    weights = str(write_tiny_weights(tmp_path / "tiny.safetensors"))
    for error, choices in (
        (BadVideo, {"frame": 99}),
        (UsageError, {"person": "7"}),
        (UsageError, {"weights": weights, "block": 50}),
        (MissingModel, {"weights": "nothing"}),
        (BadModelFile, {"weights": str(tmp_path / "nothing.ckpt")}),
    ):
        with pytest.raises(error):
            inspect_frame(video, out, options(**choices))
    with pytest.raises(UsageError, match=r"\.png"):
        inspect_frame(video, tmp_path / "a.jpg", options())
    assert not out.exists()


def test_somebody_who_is_elsewhere_in_the_clip_is_not_shown(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave_frame_3(*arguments: Any) -> list[Track]:
        tracks = build_tracks(*arguments)
        seen, entries = tracks[0].seen.copy(), tracks[0].entries.copy()
        seen[3], entries[3] = False, -1
        return [replace(tracks[0], seen=seen, entries=entries), *tracks[1:]]

    monkeypatch.setattr(inspecting, "build_tracks", leave_frame_3)
    with pytest.raises(NoPerson, match="Person 0 is not in frame 3"):
        inspect_frame(video, tmp_path / "a.png", options(person="0"))
    result = inspect_frame(video, tmp_path / "a.png", options())
    assert [person.number for person in result.people if person.seen] == [1]


def test_a_frame_without_people_is_shown(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extpose_blender.engine.detect.fake._PEOPLE", 0)
    result = inspect_frame(video, tmp_path / "a.png", options())
    assert result.people == ()
    assert "Nobody" in result.as_text()
    assert (tmp_path / "a.png").exists()


def test_the_command_says_what_it_wrote(extpose: Run, video: Path, tmp_path: Path) -> None:
    flags = ("inspect", video, "--frame", 2, "--detector", "fake")
    result = extpose(*flags, "--out", tmp_path / "new" / "a.png", "--json")
    assert result.returncode == 0, result.stderr
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["ok"]
    assert last["numbers"] == "clip"
    assert [person["person"] for person in last["people"]] == [0, 1]
    assert last["shown"] == [0]
    assert (tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
    wrong = extpose("inspect", video, "--out", tmp_path / "a.png", "--frame", "-1")
    assert wrong.returncode == 2
