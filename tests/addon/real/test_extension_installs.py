"""The zip in a real Blender: its own validation takes it, and it installs and enables."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

import build_addon

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [
    pytest.mark.real_blender,
    pytest.mark.skipif(
        not os.environ.get("BLENDER", "").strip(), reason="the variable BLENDER holds no command"
    ),
]


def run_blender(arguments: list[str], profile: Path) -> subprocess.CompletedProcess[str]:
    """Run the command of the variable BLENDER with a profile of its own."""
    command = shlex.split(os.environ["BLENDER"], posix=os.name != "nt")
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(profile)}
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip built from this checkout."""
    return build_addon.build(tmp_path_factory.mktemp("dist"))


def test_blenders_own_validation_takes_the_zip(extension: Path, tmp_path: Path) -> None:
    done = run_blender(["--command", "extension", "validate", str(extension)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zip_installs_and_is_enabled_in_the_next_session(extension: Path, tmp_path: Path) -> None:
    install = ["extension", "install-file", "--repo", "user_default", "--enable", str(extension)]
    done = run_blender(["--command", *install], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    code = (
        "import bpy, sys; "
        "name = 'bl_ext.user_default.extpose_blender'; "
        "sys.exit(0 if name in bpy.context.preferences.addons and name in sys.modules else 9)"
    )
    done = run_blender(["--background", "--python-expr", code], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
