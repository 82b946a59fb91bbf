#!/usr/bin/env python3
"""Build, install, try and test ExtPose. Uses the standard library alone.

    build_addon.py [build]              write dist/extpose_blender-VERSION.zip, the extension
    build_addon.py install --blender B  build it and install it into a Blender
    build_addon.py demo [VIDEO ...]     set up `.venv` and capture the sample clip, or yours
    build_addon.py test [PYTEST ...]    set up `.venv` and run the tests

`demo` and `test` create `.venv` beside this file and install exact pins into it. That takes some
minutes and the network once; a second run uses what is there. `test` also runs the tests of real
Blender where the variable `BLENDER` holds a command, split as a shell splits.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "extpose-setup.json"
PYTHON = (3, 11)
WINDOWS = os.name == "nt"

DEMO_EXTRAS = ("blender",)
TEST_EXTRAS = ("blender", "smpl", "dev")

SYSTEM_LIBRARIES = (
    ("libGL.so.1", "libgl1"),
    ("libgthread-2.0.so.0", "libglib2.0-0"),
    ("libXrender.so.1", "libxrender1"),
    ("libXi.so.6", "libxi6"),
    ("libxkbcommon.so.0", "libxkbcommon0"),
    ("libXfixes.so.3", "libxfixes3"),
    ("libSM.so.6", "libsm6"),
)
"""What the wheels of OpenCV, MediaPipe and bpy expect from Linux: file, and Debian's package."""

TEST_GROUPS = (
    ("the library", ("tests",), ("tests/addon",)),
    ("the add-on in the bpy wheel", ("tests/addon",), ("tests/addon/real",)),
    ("the add-on in real Blender", ("tests/addon/real",), ()),
)
"""Label, folders, folders left out: one process each, because torch and bpy never share one."""


class RefusedError(Exception):
    """Something the user has to change first, in words, with an exit code."""

    def __init__(self, message: str, exit_code: int = 4) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: list[str]) -> int:
    """Run one command.

    Returns:
        The exit code: 0 done, 2 wrong usage, 4 something is missing, 5 failed, 130 cancelled, or
        that of the demo or of pytest.
    """
    command, rest = (arguments[0], arguments[1:]) if arguments else ("build", [])
    commands = {"build": build_command, "install": install, "demo": demo, "test": test}
    if command in ("-h", "--help"):
        print(__doc__)
        return 0
    try:
        if command not in commands:
            raise RefusedError(
                f"there is no command `{command}`. Choose from {', '.join(commands)}.", 2
            )
        use_right_python(exact=command in ("demo", "test"))
        return commands[command](rest)
    except RefusedError as refusal:
        print(f"build_addon: error: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except OSError as error:
        print(f"build_addon: error: {error}. Nothing half-written was left.", file=sys.stderr)
        return 5
    except KeyboardInterrupt:
        print("build_addon: cancelled", file=sys.stderr)
        return 130


# ------------------------------------------------------------------------------- the extension


def build_command(arguments: list[str]) -> int:
    """`build`: write the extension and say where it is."""
    if arguments:
        raise RefusedError(f"`build` takes no arguments, but got {' '.join(arguments)}.", 2)
    path = build()
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


def build(folder: Path | None = None) -> Path:
    """Write the extension as a zip whose bytes depend on its content alone.

    Args:
        folder: Where to; `dist/` when left out.

    Returns:
        The path of the zip.
    """
    folder = folder or ROOT / "dist"
    folder.mkdir(parents=True, exist_ok=True)
    values = identity()
    path = folder / f"{values['id']}-{values['version']}.zip"
    aside = path.with_suffix(".part")
    try:
        with zipfile.ZipFile(aside, "w") as archive:
            for name, content in sorted(extension_files().items()):
                # Blender and pip both unpack this: plain files, one fixed time, no owner.
                entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                entry.create_system = 3
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(
                    entry, content.read_bytes() if isinstance(content, Path) else content
                )
        os.replace(str(aside), str(path))
    finally:
        if aside.exists():
            aside.unlink()
    return path


def extension_files() -> dict[str, Path | bytes]:
    """What the zip holds: name inside it → file, or text made here."""
    package = ROOT / "extpose_blender"
    files: dict[str, Path | bytes] = {
        path.relative_to(package).as_posix(): path for path in plain_files(package)
    }
    files.update(resource_files())
    files["LICENSE"] = ROOT / "LICENSE"
    files["blender_manifest.toml"] = manifest_text().encode("utf-8")
    return files


def resource_files() -> dict[str, Path | bytes]:
    """The shipped data: name below the package (`resources/…`) → file below `models/`, or bytes."""
    shipped = read_toml("addon_manifest.toml")["resources"]
    models = ROOT / "models"
    files: dict[str, Path | bytes] = {
        "resources/" + path.relative_to(models).as_posix(): path
        for folder in shipped["folders"]
        for path in plain_files(models / folder)
        if path.suffix in shipped["suffixes"] or path.name.startswith("LICENSE")
    }
    # Zip and wheel carry the pins of the worker's packages, for `extpose doctor`.
    project = read_toml("pyproject.toml")["project"]
    pins = {"library": project["dependencies"], **project["optional-dependencies"]}
    files["resources/requirements.json"] = json.dumps(pins, indent=2).encode("utf-8")
    return files


def plain_files(folder: Path) -> list[Path]:
    """All files below a folder, without caches, hidden and half-written ones."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.suffix not in (".pyc", ".part", ".blend1")
        and not any(
            part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts
        )
    ]


def identity() -> dict:
    """Id, version and the other fields that Blender wants, from `addon_manifest.toml`."""
    values = read_toml("addon_manifest.toml")
    del values["resources"]
    return values


def manifest_text() -> str:
    """Blender's `blender_manifest.toml`."""
    values = {"schema_version": "1.0.0", **identity()}
    tables = {name: values.pop(name) for name in list(values) if isinstance(values[name], dict)}
    # A JSON string or list of strings is TOML as well.
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    for table, rows in tables.items():
        lines += ["", f"[{table}]", *(f"{name} = {json.dumps(rows[name])}" for name in rows)]
    return "\n".join(["# Made by build_addon.py from addon_manifest.toml.", *lines, ""])


def read_toml(name: str) -> dict:
    """A file of this checkout."""
    import tomllib  # Since 3.11; this file must also start, and explain itself, in older ones.

    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def install(arguments: list[str]) -> int:
    """`install --blender COMMAND`: build, and let Blender install and enable the extension."""
    if len(arguments) != 2 or arguments[0] != "--blender":
        raise RefusedError("`install` needs `--blender PATH`, the Blender to install into.", 2)
    blender = split_command(arguments[1])
    if shutil.which(blender[0]) is None:
        raise RefusedError(
            f"there is no Blender at `{blender[0]}`. Give the path of its executable."
        )
    path = build()
    print(f"Installing {path.name} ...", flush=True)
    words = [
        "--command",
        "extension",
        "install-file",
        "--repo",
        "user_default",
        "--enable",
        str(path),
    ]
    code = run(blender + words)
    if code:
        raise RefusedError(f"Blender ended with exit code {code}; the lines above say why.", 5)
    print("Installed. Start Blender: the add-on is enabled.")
    return 0


def split_command(text: str) -> list[str]:
    """A command as a shell splits it; the path of an existing file stays whole, spaces and all."""
    if Path(text).is_file():
        return [text]
    try:
        return shlex.split(text, posix=not WINDOWS) or [text]
    except ValueError as error:
        raise RefusedError(f"`{text}` is no command: {error}.", 2) from error


# ------------------------------------------------------------------------------- demo and test


def demo(arguments: list[str]) -> int:
    """`demo [VIDEO ...]`: capture the sample clip, or the given ones, into `out/demo`."""
    set_up(DEMO_EXTRAS)
    words = [str(venv_python()), "-m", "extpose_blender", "demo", *arguments]
    if not any(word == "--out" or word.startswith("--out=") for word in arguments):
        words += ["--out", str(ROOT / "out" / "demo")]
    return run(words)


def test(arguments: list[str]) -> int:
    """`test`: all tests, one process per group. With arguments: what they name, in one process."""
    set_up(TEST_EXTRAS)
    if arguments:
        return run(pytest_words(arguments))
    started = time.monotonic()
    total = Outcome()
    for label, folders, left_out in TEST_GROUPS:
        if "tests/addon/real" in folders and not os.environ.get("BLENDER", "").strip():
            total.notes.append(
                f"{label}: `BLENDER` holds no command, so `{folders[0]}` was not run"
            )
            continue
        if not all((ROOT / folder).is_dir() for folder in folders):
            total.notes.append(f"{label}: there is no folder `{folders[0]}`")
            continue
        print(f"\n--- Tests of {label}: {' '.join(folders)}", flush=True)
        total.add(run_group(label, folders, left_out))
    total.print_summary(time.monotonic() - started)
    return total.exit_code


class Outcome:
    """What groups of tests gave, added up."""

    def __init__(self) -> None:
        self.counts = {"failed": 0, "passed": 0, "skipped": 0, "error": 0}
        self.notes: list[str] = []
        self.reasons: dict[str, int] = {}
        self.exit_code = 0

    def add(self, other: Outcome) -> None:
        """Add another group's outcome to this one."""
        for name, count in other.counts.items():
            self.counts[name] += count
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        self.notes += other.notes
        self.exit_code = self.exit_code or other.exit_code

    def read_report(self, path: Path) -> None:
        """Count the cases of a JUnit report and collect why some were skipped."""
        for case in ElementTree.parse(str(path)).getroot().iter("testcase"):
            kinds = {child.tag for child in case}
            if "failure" in kinds:
                self.counts["failed"] += 1
            elif "error" in kinds:
                self.counts["error"] += 1
            elif "skipped" in kinds:
                self.counts["skipped"] += 1
                reason = case.find("skipped").get("message", "no reason given")
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
            else:
                self.counts["passed"] += 1

    def print_summary(self, seconds: float) -> None:
        """Say what was skipped and why, then one closing line in the words of pytest."""
        print("\n--- All groups together")
        for note in self.notes:
            print(f"not run: {note}")
        for reason, count in sorted(self.reasons.items()):
            print(f"skipped {count}: {' '.join(reason.split())}")
        parts = [f"{count} {name}" for name, count in self.counts.items() if count]
        line = f" {', '.join(parts) or 'no tests ran'} in {seconds:.2f}s "
        print(line.center(80, "="), flush=True)


def run_group(label: str, folders: tuple[str, ...], left_out: tuple[str, ...]) -> Outcome:
    """Run one group of tests in a process of its own and read its report."""
    outcome = Outcome()
    handle, name = tempfile.mkstemp(suffix=".xml")
    os.close(handle)
    report = Path(name)
    try:
        words = [*folders, *(f"--ignore={folder}" for folder in left_out), f"--junitxml={report}"]
        code = run(pytest_words(words), cwd=ROOT)
        if code == 130:
            raise KeyboardInterrupt
        no_tests = code == 5
        outcome.exit_code = 0 if no_tests else code
        if report.stat().st_size:
            outcome.read_report(report)
        else:
            outcome.counts["error"] += 1
            outcome.notes.append(f"{label}: pytest ended with exit code {code} before its report")
    finally:
        report.unlink()
    return outcome


def pytest_words(arguments: list[str]) -> list[str]:
    """The command that runs pytest on this checkout, wherever it is called from."""
    return [
        str(venv_python()),
        "-m",
        "pytest",
        f"--rootdir={ROOT}",
        f"--config-file={ROOT / 'pyproject.toml'}",
        *arguments,
    ]


def run(words: list[str], cwd: Path | None = None) -> int:
    """Run a command that shares our terminal.

    Returns:
        Its exit code; 128 + n where signal n ended it, as a shell says.
    """
    try:
        code = subprocess.call(words, cwd=str(cwd) if cwd else None)
    except KeyboardInterrupt:
        return 130
    return 128 - code if code < 0 else code


# ----------------------------------------------------------------------------- the environment


def set_up(extras: tuple[str, ...]) -> None:
    """Make `.venv` hold the exact pins of the library and these extras; do nothing where it does.

    The stamp says "complete" last, so that an interrupted set-up starts afresh. An environment that
    somebody else made is added to, never removed.

    Raises:
        RefusedError: Something is missing that this script cannot install: its words say what.
    """
    check_system_libraries()
    wanted = wanted_stamp(extras)
    stamp = read_stamp()
    if stamp["complete"] and all(stamp["groups"].get(name) == wanted[name] for name in wanted):
        return
    check_venv_module()
    print(f"Setting up {VENV}: some minutes and about 3 GB, once.", flush=True)
    kept = stamp["groups"] if stamp["complete"] else {}
    if stamp["complete"] or not stamp["made_here"]:
        step(1, "Adding to the `.venv` that is there")
        check_foreign_venv()
        write_stamp({**stamp, "complete": False})
    else:
        step(1, f"Creating `.venv` with Python {sys.version.split()[0]}")
        VENV.mkdir(exist_ok=True)
        write_stamp({**stamp, "complete": False})
        empty_venv()
        run_or_refuse([sys.executable, "-m", "venv", str(VENV)], "creating `.venv` failed")
    install_pins(extras)
    write_stamp({**stamp, "complete": True, "groups": {**kept, **wanted}})
    print("Ready. The next run needs no network.", flush=True)


def install_pins(extras: tuple[str, ...]) -> None:
    """Let pip install the pins, and this checkout on top, for the command `extpose`."""
    pip = [str(venv_python()), "-m", "pip", "--disable-pip-version-check", "install"]
    groups = requirement_groups(extras)
    pins = [pin for group in groups.values() for pin in group]
    step(2, f"Installing {len(pins)} pinned packages and what they need ({', '.join(groups)})")
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    run_or_refuse(
        [*pip, *constraints, *pins],
        "installing packages failed; the lines above say why. Run the same command again: "
        "pip keeps what it has downloaded",
    )
    step(3, "Linking this checkout")
    link = ["--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    run_or_refuse([*pip, *link], "linking the checkout failed")


def step(number: int, words: str) -> None:
    """Say which of the three steps begins."""
    print(f"[{number}/3] {words}", flush=True)


def run_or_refuse(words: list[str], message: str) -> None:
    """Run a step of the set-up with its output shown."""
    code = run(words)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise RefusedError(f"{message} (exit code {code}).")


def requirement_groups(extras: tuple[str, ...]) -> dict[str, list[str]]:
    """The pins of `pyproject.toml`: what builds the package, what it needs, and each extra."""
    project = read_toml("pyproject.toml")
    groups = {
        "build": project["build-system"]["requires"],
        "library": project["project"]["dependencies"],
    }
    groups.update({name: project["project"]["optional-dependencies"][name] for name in extras})
    return groups


def wanted_stamp(extras: tuple[str, ...]) -> dict[str, str]:
    """A hash for each group of pins; they change with anything that asks for a new set-up."""
    common = [
        (ROOT / "constraints.txt").read_text(encoding="utf-8"),
        str(ROOT),
        identity()["version"],
    ]
    return {
        name: hashlib.sha256("\n".join([*common, *pins]).encode("utf-8")).hexdigest()
        for name, pins in requirement_groups(extras).items()
    }


def read_stamp() -> dict:
    """What the last set-up left: whether it was completed, which pins, whether `.venv` is ours."""
    stamp = {"complete": False, "made_here": not VENV.exists(), "groups": {}}
    try:
        stamp.update(json.loads(STAMP.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return stamp
    except ValueError:
        return {**stamp, "made_here": True}
    usable = venv_python().exists() and stamp.get("python") == list(PYTHON)
    return {**stamp, "complete": stamp["complete"] and usable}


def write_stamp(stamp: dict) -> None:
    """Record what `.venv` holds, in one step."""
    aside = STAMP.with_suffix(".part")
    aside.write_text(json.dumps({**stamp, "python": list(PYTHON)}, indent=2), encoding="utf-8")
    os.replace(str(aside), str(STAMP))


def empty_venv() -> None:
    """Remove what an unfinished set-up left. The stamp stays: it says that `.venv` is ours."""
    for path in VENV.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(str(path))
        elif path != STAMP:
            path.unlink()


def check_foreign_venv() -> None:
    """Raise RefusedError where the `.venv` that is there cannot take our pins."""
    if not venv_python().exists() or not is_right_python([str(venv_python())]):
        raise RefusedError(
            f"`{VENV}` is there, but holds no Python 3.11. Move it away and run again."
        )


def venv_python() -> Path:
    """The interpreter of `.venv`."""
    return VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")


def use_right_python(exact: bool) -> None:
    """Go on in Python 3.11 where this is another one.

    Args:
        exact: The pinned packages are built for 3.11; what needs none of them runs in newer ones.

    Raises:
        RefusedError: There is none on PATH.
    """
    if sys.version_info[:2] == PYTHON or (not exact and sys.version_info[:2] > PYTHON):
        return
    for candidate in (["python3.11"], ["py", "-3.11"]):
        if is_right_python(candidate):
            words = [*candidate, str(ROOT / "build_addon.py"), *sys.argv[1:]]
            raise SystemExit(run(words))
    here = ".".join(str(part) for part in sys.version_info[:3])
    raise RefusedError(
        f"Python 3.11 is needed, and this is Python {here}. Install it (Debian and Ubuntu: "
        "`apt install python3.11 python3.11-venv`), then run this again with `python3.11`."
    )


def is_right_python(command: list[str]) -> bool:
    """Whether a command starts Python 3.11: version switchers leave names that start nothing."""
    if shutil.which(command[0]) is None:
        return False
    code = f"import sys; sys.exit(sys.version_info[:2] != {PYTHON})"
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.call([*command, "-c", code], **silent) == 0


def check_venv_module() -> None:
    """Raise RefusedError where this Python cannot create environments, as Debian's cannot."""
    try:
        import ensurepip
        import venv  # noqa: F401
    except ImportError:
        ensurepip = None
    if ensurepip is None:
        raise RefusedError(
            "this Python lacks the modules `venv` and `ensurepip`. "
            "Debian and Ubuntu: `apt install python3.11-venv`."
        )


def check_system_libraries() -> None:
    """Raise RefusedError where Linux lacks a library that the wheels load; others have them."""
    if not sys.platform.startswith("linux"):
        return
    missing = [(library, package) for library, package in SYSTEM_LIBRARIES if not loads(library)]
    if missing:
        names = ", ".join(library for library, _ in missing)
        packages = " ".join(package for _, package in missing)
        raise RefusedError(
            f"system libraries are missing: {names}. Debian and Ubuntu: `apt install {packages}`."
        )


def loads(library: str) -> bool:
    """Whether the system finds a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
