"""Says what is installed, what is missing and how to get it.

Nothing heavy is imported into this process: packages are looked up by their metadata, and what
could bring a process down, such as loading a graphics driver, runs in a child.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..protocol.catalog import load_catalog
from ..protocol.errors import ExtPoseError
from ..protocol.resources import PACKAGE_ROOT, find_resource
from . import weights

OK, NOTE, MISSING = "ok", "note", "missing"
"""States of a finding: it works; something optional is absent; the shipped default cannot run."""

PYTHON = (3, 11)
FREE_DISK_BYTES = 2_000_000_000
PROBE_SECONDS = 120

IMPORT_PROBES = ("numpy", "scipy", "torch", "cv2", "av", "ai_edge_litert.interpreter")
"""Modules with compiled code that every capture loads: they are tried in a child process."""

MEDIAPIPE_MODELS = (
    "pose_detection/pose_detection.tflite",
    "pose_landmark/pose_landmark_full.tflite",
)
"""Files of the mediapipe wheel that the default detector runs, below `mediapipe/modules/`."""

SHIPPED_FILES = {"priors/pose.npz": "pose prior", "sample/clip.mp4": "sample clip"}
"""Shipped data beside the bodies of the catalogue: name below `models/`, and what it is."""

OPTIONAL_EXTRAS = {
    "blender": "needed for .blend, .fbx, .glb and .usd where no Blender is named by `--blender`",
    "smpl": "needed by nothing that ships; its licence is research only",
    "onnx": "needed for ONNX detectors",
}
"""Extras that a user may want, and what for."""

SYSTEM_LIBRARIES = (
    ("libGL.so.1", "libgl1"),
    ("libgthread-2.0.so.0", "libglib2.0-0"),
    ("libXrender.so.1", "libxrender1"),
    ("libXi.so.6", "libxi6"),
    ("libxkbcommon.so.0", "libxkbcommon0"),
    ("libXfixes.so.3", "libxfixes3"),
    ("libSM.so.6", "libsm6"),
)
"""What the wheels of OpenCV and bpy expect from Linux: file, and Debian's package for it."""

_LIBRARY_PROBE = """
import ctypes, sys
for name in sys.argv[1:]:
    try:
        ctypes.CDLL(name)
    except OSError:
        print(name)
"""

_TORCH_PROBE = """
import torch
cuda = torch.cuda.is_available()
print(torch.cuda.get_device_name() if cuda else "CPU")
"""

_RENDER_PROBE = """
import os, sys, bpy
render = bpy.context.scene.render
render.engine = "BLENDER_WORKBENCH"
render.resolution_x = render.resolution_y = 16
render.filepath = os.path.join(sys.argv[1], "probe.png")
bpy.ops.render.render(write_still=True)
"""
"""Blender ends its whole process by SIGABRT where there is no EGL."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    """What it belongs to: `python`, `packages`, `models`, `device`, `blender`, `system`."""
    name: str
    """The thing itself."""
    state: str
    """`ok`, `note` or `missing`."""
    found: str
    """What is there."""
    hint: str = ""
    """What to do, where something is to be done."""


def diagnose() -> list[Finding]:
    """Look at everything a capture needs. Takes some seconds; changes and downloads nothing."""
    return [
        _python(),
        *_packages(),
        *_imports(),
        *_mediapipe_models(),
        *_shipped_files(),
        *_added_models(),
        _device(),
        *_blender(),
        *_system_libraries(),
        _model_folder(),
        _disk(),
    ]


def exit_code(findings: list[Finding]) -> int:
    """0 where the shipped default can run, 4 where something that it needs is missing."""
    return 4 if any(finding.state == MISSING for finding in findings) else 0


def as_text(findings: list[Finding]) -> str:
    """The findings for a person, grouped by topic, with a closing sentence."""
    width = max(len(finding.name) for finding in findings)
    lines: list[str] = []
    topic = ""
    for finding in findings:
        if finding.topic != topic:
            topic = finding.topic
            lines += ["", topic.capitalize()] if lines else [topic.capitalize()]
        lines.append(f"  {finding.state:8}{finding.name:{width}}  {finding.found}".rstrip())
        if finding.hint:
            lines.append(f"  {'':8}{'':{width}}  → {finding.hint}")
    missing = sum(finding.state == MISSING for finding in findings)
    verdict = f"{missing} missing: see the arrows." if missing else "The shipped default can run."
    return "\n".join([*lines, "", verdict])


def as_json(findings: list[Finding]) -> str:
    """The findings as one line of JSON."""
    code = exit_code(findings)
    rows = [asdict(finding) for finding in findings]
    return json.dumps({"ok": code == 0, "exit_code": code, "findings": rows}, ensure_ascii=False)


def pinned_requirements() -> dict[str, list[str]]:
    """The exact pins, as `name==version`: `library`, and one list for each extra.

    They are written in pyproject.toml; zip and wheel carry them as `resources/requirements.json`.

    Raises:
        MissingModel: The installation is incomplete.
    """
    project_file = PACKAGE_ROOT.parent / "pyproject.toml"
    if (PACKAGE_ROOT.parent / "addon_manifest.toml").is_file() and project_file.is_file():
        project = tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]
        return {"library": project["dependencies"], **project["optional-dependencies"]}
    pins: dict[str, list[str]] = json.loads(
        find_resource("requirements.json").read_text(encoding="utf-8")
    )
    return pins


def _python() -> Finding:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] == PYTHON:
        return Finding("python", "Python", OK, found)
    return Finding("python", "Python", MISSING, found, "Use Python 3.11: the pins are built for it")


def _packages() -> Iterator[Finding]:
    try:
        pins = pinned_requirements()
    except ExtPoseError as error:
        yield Finding("packages", "pins", MISSING, error.message, error.hint)
        return
    for requirement in pins["library"]:
        yield _package(requirement, "", "")
    for extra, purpose in OPTIONAL_EXTRAS.items():
        for requirement in pins[extra]:
            yield _package(requirement, extra, purpose)


def _package(requirement: str, extra: str, purpose: str) -> Finding:
    name, _, wanted = requirement.partition("==")
    install = f"Run `{sys.executable} -m pip install {requirement}`"
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        if extra:
            return Finding("packages", name, NOTE, f"not installed; {purpose}", install)
        return Finding("packages", name, MISSING, f"not installed, wanted {wanted}", install)
    # A local part such as +cpu names the build of the same release.
    if found.partition("+")[0] == wanted:
        return Finding("packages", name, OK, found)
    return Finding("packages", name, NOTE, f"{found}, tested with {wanted}", install)


def _imports() -> Iterator[Finding]:
    for module in IMPORT_PROBES:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            continue  # `_packages` has said so.
        code, output = _run_probe(f"import {module}")
        if code:
            reason = output.splitlines()[-1] if output else f"ended with code {code}"
            step = "Install the system library it names, or install the package again"
            yield Finding("packages", f"import {module}", MISSING, reason, step)


def _mediapipe_models() -> Iterator[Finding]:
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        return
    for name in MEDIAPIPE_MODELS:
        if not (Path(spec.origin).parent / "modules" / name).is_file():
            step = "Install mediapipe again: its wheel carries this file"
            yield Finding("models", name, MISSING, "not in the wheel", step)


def _shipped_files() -> Iterator[Finding]:
    bodies = [entry for entry in load_catalog().entries if entry.shipped and entry.resource]
    files = {entry.resource: entry.label for entry in bodies} | SHIPPED_FILES
    for name, label in files.items():
        try:
            path = find_resource(name)
        except ExtPoseError as error:
            yield Finding("models", name, MISSING, error.message, error.hint)
        else:
            yield Finding("models", name, OK, f"{label}, {path.stat().st_size / 1e6:.1f} MB")


def _added_models() -> Iterator[Finding]:
    try:
        for model, fault in weights.verify_added():
            step = f"Run `extpose models add FILE --name {model.name}` again" if fault else ""
            found = fault or f"{model.kind}, {model.licence}"
            yield Finding("models", model.name, NOTE if fault else OK, found, step)
        if not any(model.kind == "weights" for model in weights.added_models()):
            step = "Get a checkpoint of HMR2.0 or ExtPose, then run `extpose models add FILE`"
            found = "no weights added; needed for `--lifter extpose`"
            yield Finding("models", "extpose", NOTE, found, step)
    except ExtPoseError as error:
        yield Finding("models", "index", NOTE, error.message, error.hint)


def _device() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("device", "torch", NOTE, "not installed")
    code, output = _run_probe(_TORCH_PROBE)
    if code:
        return Finding("device", "torch", NOTE, "torch cannot say: it does not start")
    device = output.splitlines()[-1]
    cores = f", {os.cpu_count()} cores" if device == "CPU" else ""
    return Finding("device", "torch", OK, device + cores)


def _blender() -> Iterator[Finding]:
    on_path = shutil.which("blender")
    if on_path:
        yield Finding("blender", "blender", OK, on_path)
    if importlib.util.find_spec("bpy") is None:
        if on_path is None:
            step = "Install the extra `blender`, or name a Blender with `--blender CMD`"
            yield Finding("blender", "bpy", NOTE, "no Blender; exports are .npz and .bvh", step)
        return
    code, output = _run_probe("import bpy; print(bpy.app.version_string)")
    if code:
        reason = output.splitlines()[-1] if output else f"ended with code {code}"
        yield Finding("blender", "bpy", NOTE, reason, "Install the system library it names")
        return
    yield Finding("blender", "bpy", OK, f"Blender {output.splitlines()[-1]} as a module")
    yield _graphics()


def _graphics() -> Finding:
    with tempfile.TemporaryDirectory() as folder:
        code, _ = _run_probe(_RENDER_PROBE, folder)
    if code == 0:
        return Finding("blender", "EGL", OK, "Workbench renders without a window")
    step = "Debian and Ubuntu: `apt install libegl1 libegl-mesa0 libgl1-mesa-dri`"
    return Finding("blender", "EGL", NOTE, "absent: only Cycles renders without a window", step)


def _system_libraries() -> Iterator[Finding]:
    if not sys.platform.startswith("linux"):
        return
    packages = dict(SYSTEM_LIBRARIES)
    _, output = _run_probe(_LIBRARY_PROBE, *packages)
    missing = [library for library in output.splitlines() if library in packages]
    if not missing:
        yield Finding("system", "libraries", OK, f"all {len(packages)} found")
    for library in missing:
        step = f"Debian and Ubuntu: `apt install {packages[library]}`"
        yield Finding("system", library, NOTE, "not found", step)


def _model_folder() -> Finding:
    try:
        folder = weights.model_folder()
    except ModuleNotFoundError as error:
        return Finding("system", "model folder", NOTE, f"`{error.name}` is not installed")
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if os.access(there, os.W_OK):
        return Finding("system", "model folder", OK, str(folder))
    step = f"Name another folder in the variable {weights.FOLDER_VARIABLE}"
    return Finding("system", "model folder", NOTE, f"{there} cannot be written", step)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 1e9:.1f} GB free here"
    if free >= FREE_DISK_BYTES:
        return Finding("system", "disk", OK, found)
    return Finding("system", "disk", NOTE, found, "Free some space before a long capture")


def _run_probe(code: str, *arguments: str) -> tuple[int, str]:
    """Run a few lines in a child. Returns its exit code (negative for a signal) and its output."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=PROBE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return 1, f"did not end within {PROBE_SECONDS} s"
    return done.returncode, (done.stderr if done.returncode else done.stdout).strip()
