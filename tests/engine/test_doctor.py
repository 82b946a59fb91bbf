"""`extpose doctor`: what it says about an installation, and with which exit code."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from extpose_blender.engine import doctor
from extpose_blender.engine.doctor import MISSING, NOTE, OK, Finding
from extpose_blender.protocol.errors import MissingModel


def test_one_missing_thing_decides_the_exit_code_and_notes_do_not() -> None:
    fine = [Finding("python", "Python", OK, "3.11"), Finding("blender", "bpy", NOTE, "none", "get")]
    lacking = [*fine, Finding("models", "body", MISSING, "gone", "Install again")]
    assert doctor.exit_code(fine) == 0
    assert doctor.exit_code(lacking) == 4
    assert doctor.as_text(fine).endswith("The shipped default can run.")
    assert "→ Install again" in doctor.as_text(lacking)
    told = json.loads(doctor.as_json(lacking))
    assert (told["ok"], told["exit_code"], len(told["findings"])) == (False, 4, 3)


def test_every_library_pin_is_looked_at() -> None:
    pins = doctor.pinned_requirements()
    named = {finding.name for finding in doctor._packages()}
    for group in ("library", *doctor.OPTIONAL_EXTRAS):
        assert {pin.partition("==")[0] for pin in pins[group]} <= named


@pytest.mark.parametrize(
    ("requirement", "extra", "state"),
    [
        ("no-such-package==1.0", "", MISSING),
        ("no-such-package==1.0", "onnx", NOTE),
        ("numpy==0.0.1", "", NOTE),
    ],
)
def test_package_that_is_absent_or_other_says_what_to_run(
    requirement: str, extra: str, state: str
) -> None:
    finding = doctor._package(requirement, extra, "needed for something")
    assert finding.state == state
    assert finding.hint == f"Run `{sys.executable} -m pip install {requirement}`"


def test_local_build_of_the_wanted_release_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "2.13.0+cpu")
    assert doctor._package("torch==2.13.0", "", "").state == OK


def test_module_that_does_not_load_is_missing_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "IMPORT_PROBES", ("numpy.no_such_part",))
    (finding,) = doctor._imports()
    assert finding.state == MISSING
    assert "no_such_part" in finding.found


def test_missing_body_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> Path:
        raise MissingModel(f"The shipped file `{name}` is missing", "Install ExtPose again")

    monkeypatch.setattr(doctor, "find_resource", gone)
    findings = list(doctor._shipped_files())
    assert findings
    assert {finding.state for finding in findings} == {MISSING}


def test_folder_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTPOSE_MODELS", str(tmp_path / "new" / "models"))
    assert doctor._model_folder().state == OK
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    assert doctor._model_folder().state == NOTE
    assert not (tmp_path / "new").exists()


def test_probe_that_dies_is_a_code_and_not_our_end() -> None:
    code, _ = doctor._run_probe("import os; os.abort()")
    assert code != 0
