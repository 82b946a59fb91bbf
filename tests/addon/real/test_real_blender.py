"""A clip in a real Blender: the checks of the `bpy` wheel, and what that Blender itself writes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from extpose_blender.engine.exporters.in_blender import write_with_blender
from extpose_blender.protocol.errors import MissingPackage
from tests.addon.made_motion import make_body, make_motion, write_person

ROOT = Path(__file__).resolve().parents[3]
CHECK = Path(__file__).with_name("check_in_blender.py")
BLENDER = os.environ.get("BLENDER", "").strip()

pytestmark = [
    pytest.mark.real_blender,
    pytest.mark.skipif(not BLENDER, reason="the variable BLENDER holds no command"),
]


def outputs(folder: Path, formats: tuple[str, ...]) -> dict[str, object]:
    """A request for files of a clip that turns, moves and is seen by a camera that moves."""
    body = make_body()
    motion = make_motion(body, 20, fps=25, moving_camera=True)
    return {
        "clip": "clip",
        "video": None,
        "people": [write_person(folder, 0, motion, body)],
        "outputs": [{"format": f, "path": str(folder / f"person_0.{f}")} for f in formats],
    }


def test_scene_and_files_are_right(tmp_path: Path) -> None:
    formats = ("blend", "fbx", "glb")
    write_with_blender(outputs(tmp_path, formats), BLENDER)
    command = shlex.split(BLENDER, posix=os.name != "nt")
    options = ["--background", "--factory-startup", "--python-exit-code", "1", "--python"]
    done = subprocess.run(
        [*command, *options, str(CHECK), "--", str(tmp_path), *formats],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    found = json.loads(lines[0].removeprefix("FOUND "))
    assert found.pop("joints_m") < 1e-4
    assert found.pop("projection_px") < 0.1
    assert {kind: error < 1e-3 for kind, error in found.items()} == dict.fromkeys(formats, True)


def test_usd_works_or_says_what_to_use_instead(tmp_path: Path) -> None:
    try:
        write_with_blender(outputs(tmp_path, ("usd",)), BLENDER)
    except MissingPackage as error:
        assert "usd" in error.message and error.hint
        assert not (tmp_path / "person_0.usd").exists()
    else:
        assert (tmp_path / "person_0.usd").stat().st_size > 0
