"""Every documented flag is there, does what it says, and refuses what it cannot take."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from extpose_blender.protocol.command_line import Parser, add_option_flags, flags_from, options_from
from extpose_blender.protocol.errors import UsageError
from extpose_blender.protocol.options import CaptureOptions, RunOptions, flag_of

DOCUMENTED = {
    "--start", "--end", "--person", "--hands", "--detector", "--lifter", "--weights", "--refine",
    "--body", "--device", "--fps", "--speed", "--height", "--smooth", "--foot-lock", "--camera-fov",
    "--export", "--overlay", "--resume", "--worker-python", "--blender", "--json", "--json-progress",
    "--debug", "--streams", "--window", "--precision",
    "--compile",
}  # fmt: skip


def parse(*words: str) -> tuple[CaptureOptions, RunOptions]:
    parser = Parser(prog="extpose capture")
    add_option_flags(parser, CaptureOptions)
    add_option_flags(parser, RunOptions)
    values = parser.parse_args(list(words))
    return options_from(values, CaptureOptions), options_from(values, RunOptions)


def test_flags_are_those_of_the_design() -> None:
    names = [f.name for options in (CaptureOptions, RunOptions) for f in fields(options)]
    assert {flag_of(name) for name in names} == DOCUMENTED


def test_every_choice_has_one_sentence() -> None:
    for options in (CaptureOptions, RunOptions):
        for f in fields(options):
            assert f.metadata["text"].endswith("."), f.name


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["--start", "3"], "start", 3),
        (["--person", "all"], "person", "all"),
        (["--person", "2"], "person", "2"),
        (["--hands"], "hands", True),
        (["--no-foot-lock"], "foot_lock", False),
        (["--fps", "29.97"], "fps", 29.97),
        (["--smooth", "0"], "smooth", 0.0),
        (["--camera-fov", "60"], "camera_fov", 60.0),
    ],
)
def test_flag_sets_its_field_and_comes_back(words: list[str], name: str, value: Any) -> None:
    options, run = parse(*words)
    assert getattr(options, name) == value
    assert parse(*flags_from(options))[0] == options
    assert CaptureOptions.from_dict(options.to_dict()) == options
    assert run == RunOptions()


@pytest.mark.parametrize(
    "words",
    [
        ["--nope"], ["--smo", "1"], ["--smooth", "2"], ["--smooth", "-0.1"], ["--smooth", "nan"],
        ["--fps", "0"], ["--fps", "inf"], ["--fps", "x"], ["--speed", "0"], ["--height", "9"],
        ["--detector", "nobody"], ["--lifter", "nobody"], ["--device", "tpu"], ["--refine", "maybe"],
        ["--export", "npz,gif"], ["--person", "-1"], ["--person", "two"], ["--start", "-1"],
        ["--camera-fov", "200"], ["--weights", "small"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_refused_by_name(words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    assert caught.value.exit_code == 2
    assert words[0].strip("-")[:3] in caught.value.as_line()


def test_unknown_key_in_a_job_is_named() -> None:
    with pytest.raises(UsageError, match="colour"):
        CaptureOptions.from_dict({"colour": "red"})


def test_npz_is_always_written_and_first() -> None:
    assert CaptureOptions(export="fbx, npz,fbx").export_formats == ("npz", "fbx")
