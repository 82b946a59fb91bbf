"""`build_addon.py demo` and `test`: the environment they make, and how they report.

pip itself is not run here: what is watched is which steps are taken, and what is left behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import build_addon
from extpose_blender.engine import doctor

ROOT = Path(__file__).resolve().parents[2]


class Machine:
    """A `.venv` in a folder of its own, and a list of the commands that were run to make it."""

    def __init__(self, folder: Path) -> None:
        self.venv = folder / ".venv"
        self.commands: list[list[str]] = []
        self.fails: Callable[[list[str]], bool] = lambda words: False

    def run(self, words: list[str], cwd: Path | None = None) -> int:
        """Stands for `build_addon.run`: makes what `-m venv` would make."""
        self.commands.append(words)
        if words[1:3] == ["-m", "venv"]:
            python = build_addon.venv_python()
            python.parent.mkdir(parents=True, exist_ok=True)
            python.symlink_to(sys.executable)
        return 1 if self.fails(words) else 0

    def steps(self) -> list[str]:
        """What was run, in a word each."""
        words = [" ".join(command) for command in self.commands]
        self.commands.clear()
        kinds = {"-m venv": "venv", "--editable": "link", "--constraint": "pins"}
        return [next(kind for mark, kind in kinds.items() if mark in line) for line in words]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(build_addon, "VENV", made.venv)
    monkeypatch.setattr(build_addon, "STAMP", made.venv / "extpose-setup.json")
    monkeypatch.setattr(build_addon, "run", made.run)
    return made


def test_second_set_up_runs_nothing(machine: Machine) -> None:
    build_addon.set_up(("blender",))
    assert machine.steps() == ["venv", "pins", "link"]
    build_addon.set_up(("blender",))
    assert machine.steps() == []


def test_more_extras_are_added_and_fewer_need_nothing(machine: Machine) -> None:
    build_addon.set_up(("blender",))
    machine.steps()
    build_addon.set_up(("blender", "dev"))
    assert machine.steps() == ["pins", "link"]
    build_addon.set_up(("blender",))
    assert machine.steps() == []


def test_changed_pins_ask_for_a_new_set_up(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_addon.set_up(())
    machine.steps()
    pins = build_addon.requirement_groups(())
    changed = {**pins, "library": [*pins["library"], "another==1.0"]}
    monkeypatch.setattr(build_addon, "requirement_groups", lambda extras: changed)
    build_addon.set_up(())
    assert machine.steps() == ["pins", "link"]


def test_interrupted_set_up_starts_afresh(machine: Machine) -> None:
    machine.fails = lambda words: "--constraint" in words
    with pytest.raises(build_addon.RefusedError):
        build_addon.set_up(())
    (machine.venv / "half-installed").mkdir()
    machine.steps()
    machine.fails = lambda words: False
    build_addon.set_up(())
    assert machine.steps() == ["venv", "pins", "link"]
    assert not (machine.venv / "half-installed").exists()


def test_damaged_stamp_starts_afresh(machine: Machine) -> None:
    build_addon.set_up(())
    machine.steps()
    (machine.venv / "extpose-setup.json").write_text('{"complete": tr')
    build_addon.set_up(())
    assert machine.steps() == ["venv", "pins", "link"]


def test_python_that_vanished_starts_afresh(machine: Machine) -> None:
    build_addon.set_up(())
    machine.steps()
    build_addon.venv_python().unlink()
    build_addon.set_up(())
    assert machine.steps() == ["venv", "pins", "link"]


def test_environment_of_somebody_else_is_never_emptied(machine: Machine) -> None:
    python = build_addon.venv_python()
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (machine.venv / "theirs").write_text("keep me")
    machine.fails = lambda words: "--constraint" in words
    with pytest.raises(build_addon.RefusedError):
        build_addon.set_up(())
    machine.fails = lambda words: False
    build_addon.set_up(())
    assert machine.steps() == ["pins", "pins", "link"]
    assert (machine.venv / "theirs").read_text() == "keep me"


def test_environment_without_python_is_refused(machine: Machine) -> None:
    machine.venv.mkdir()
    with pytest.raises(build_addon.RefusedError, match=r"holds no Python 3\.11"):
        build_addon.set_up(())
    assert machine.steps() == []


def test_stamp_holds_every_group(machine: Machine) -> None:
    build_addon.set_up(("blender", "smpl"))
    stamp = json.loads((machine.venv / "extpose-setup.json").read_text())
    assert stamp["complete"] is True
    assert set(stamp["groups"]) == {"build", "library", "blender", "smpl"}


def test_missing_system_library_is_named_with_its_package(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(build_addon, "loads", lambda library: library != "libGL.so.1")
    assert build_addon.main(["demo"]) == 4
    assert "libGL.so.1" in (said := capsys.readouterr().err)
    assert "apt install libgl1`" in said
    assert machine.steps() == []


def test_doctor_and_set_up_want_the_same_libraries() -> None:
    assert doctor.SYSTEM_LIBRARIES == build_addon.SYSTEM_LIBRARIES


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["frobnicate"], 2), (["--fast"], 2), (["build", "x"], 2), (["install"], 2), (["-h"], 0),
     (["install", "--blender", "no-such-blender"], 4), (["install", "--blender", "'open"], 2)],
)  # fmt: skip
def test_wrong_usage_is_explained_with_its_exit_code(arguments: list[str], code: int) -> None:
    assert build_addon.main(arguments) == code


def test_command_of_blender_splits_as_a_shell_does(tmp_path: Path) -> None:
    spaced = tmp_path / "my blender"
    spaced.touch()
    assert build_addon.split_command(str(spaced)) == [str(spaced)]
    assert build_addon.split_command("runner '4 3' --") == ["runner", "4 3", "--"]


def test_demo_passes_on_its_words_and_its_exit_code(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_addon.set_up(build_addon.DEMO_EXTRAS)
    machine.commands.clear()
    monkeypatch.setattr(build_addon, "run", lambda words: machine.commands.append(words) or 3)
    assert build_addon.main(["demo", "clip with spaces.mp4", "--hands"]) == 3
    ((_, *words),) = machine.commands
    assert words[:5] == ["-m", "extpose_blender", "demo", "clip with spaces.mp4", "--hands"]
    assert words[5:] == ["--out", str(ROOT / "out" / "demo")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_exit_codes_and_signals_come_through() -> None:
    assert build_addon.run([sys.executable, "-c", "raise SystemExit(5)"]) == 5
    suicide = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert build_addon.run([sys.executable, "-c", suicide]) == 128 + signal.SIGKILL


def test_groups_add_up_to_one_closing_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_mixed.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert False\n"
        "@pytest.mark.skip(reason='no moon today')\n"
        "def test_later(): pass\n"
    )
    (tmp_path / "dies").mkdir()
    (tmp_path / "dies" / "test_dies.py").write_text("def test_dies():\n    import os; os.abort()\n")
    monkeypatch.setattr(build_addon, "venv_python", lambda: Path(sys.executable))
    monkeypatch.chdir(tmp_path)
    total = build_addon.Outcome()
    total.add(build_addon.run_group("one", (str(tmp_path / "test_mixed.py"),), ()))
    total.add(build_addon.run_group("two", (str(tmp_path / "dies"),), ()))
    total.print_summary(1.5)
    assert total.exit_code == 1
    lines = capfd.readouterr().out.splitlines()
    assert "skipped 1: no moon today" in lines
    assert lines[-1].strip("= ") == "1 failed, 1 passed, 1 skipped, 1 error in 1.50s"


def test_old_python_is_told_what_to_install(tmp_path: Path) -> None:
    """Seen through a stand-in for an old interpreter: this one, saying it is 3.9."""
    code = (
        "import sys, collections\n"
        "Version = collections.namedtuple('Version', 'major minor micro releaselevel serial')\n"
        "sys.version_info = Version(3, 9, 2, 'final', 0)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import build_addon\n"
        "sys.exit(build_addon.main(['test']))\n"
    )
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "Python 3.11 is needed, and this is Python 3.9.2" in done.stderr
    assert "apt install python3.11 python3.11-venv" in done.stderr
