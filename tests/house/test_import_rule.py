"""Reads the source and holds the table of who may import whom.

The table is the one of CONTRIBUTING.md. A file gets its row from its path, so the second folder of
a path answers "which Python runs this?".
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "extpose_blender"

STAGES = ("video", "detect", "track", "lift", "refine", "exporters")
SHARED = ("body", "draw")
FRONT = ("cli", "worker")
SUPPORT = ("console", "doctor", "job_folder", "kept", "report", "worker_process")
"""Files of engine/ that know no stage. Those named nowhere here know all, as `pipeline` does."""

BLENDER = {"bpy", "bpy_extras", "mathutils", "addon_utils"}
LIBRARIES = {
    "ai_edge_litert", "av", "cv2", "mediapipe", "numpy", "onnxruntime", "roma", "rtmlib",
    "safetensors", "scipy", "smplx", "torch",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What the code of one row may import."""

    ours: set[str]
    """Rows of this table."""
    others: set[str]
    """Packages beside the standard library."""


STAGE_BASE = {"protocol", "registry", "weights", *SHARED}
TABLE: dict[str, Row] = {
    "package": Row({"addon", "front"}, set()),
    "addon": Row({"addon", "protocol"}, BLENDER | {"numpy"}),
    "protocol": Row({"protocol"}, {"numpy"}),
    "registry": Row({"protocol"}, {"numpy"}),
    "weights": Row({"protocol"}, {"numpy", "platformdirs"}),
    "support": Row({"protocol", "registry", "weights", "support"}, {"numpy", "tqdm"}),
    "pipeline": Row(
        {"protocol", "registry", "weights", "support", "pipeline", *SHARED, *STAGES}, {"numpy"}
    ),
    "front": Row({"protocol", "registry", "weights", "support", "pipeline", "front"}, set()),
    **{name: Row({"protocol", "registry", "weights", *SHARED}, LIBRARIES) for name in SHARED},
    **{name: Row({*STAGE_BASE, name}, LIBRARIES) for name in STAGES},
}

EXTRA_PACKAGES = {"engine/bench.py": {"mediapipe", "cv2"}}
"""`bench` measures MediaPipe alone, beside our own flow."""


@dataclass(frozen=True)
class Import:
    """One imported module."""

    line: int
    module: str
    """Dotted; ours begin with `extpose_blender`."""
    relative: bool
    at_top: bool
    """It runs when the file is imported, not inside a function."""


def row_of(path: Path) -> str:
    """The row of the table that holds for a file or folder of the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if parts[:1] in (("addon",), ("protocol",)):
        return parts[0]
    if parts[:1] != ("engine",):
        return "package"
    name = parts[1] if len(parts) > 1 else "__init__"
    if name in TABLE:
        return name
    if name in ("__init__", *FRONT):
        return "front"
    return "support" if name in SUPPORT else "pipeline"


def imports_of(path: Path) -> Iterator[Import]:
    """Every import statement of a file, resolved to full module names."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    inside = {id(node) for part in ast.walk(tree) if _runs_later(part) for node in ast.walk(part)}
    for node in ast.walk(tree):
        at_top = id(node) not in inside
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, False, at_top)
        elif isinstance(node, ast.ImportFrom):
            for module in _modules_of(node, path):
                yield Import(node.lineno, module, node.level > 0, at_top)


def _runs_later(part: ast.AST) -> bool:
    """Whether a part of a file does nothing when the file is imported."""
    if isinstance(part, ast.If):
        return isinstance(part.test, ast.Name) and part.test.id == "TYPE_CHECKING"
    return isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))


def _modules_of(node: ast.ImportFrom, path: Path) -> Iterator[str]:
    """Full names: `from . import x` names the module x where there is one, else the folder."""
    if node.level == 0:
        yield node.module or ""
        return
    folder = path.parent
    for _ in range(node.level - 1):
        folder = folder.parent
    base = folder.joinpath(*(node.module or "").split(".")) if node.module else folder
    for alias in node.names:
        inner = base / alias.name
        found = inner if inner.is_dir() or inner.with_suffix(".py").is_file() else base
        yield ".".join(found.relative_to(ROOT).parts)


def path_of(module: str) -> Path:
    """The file or folder of a module of ours."""
    return ROOT.joinpath(*module.split(".")).with_suffix("")


SOURCES = sorted(PACKAGE.rglob("*.py"))
NAMES = [path.relative_to(PACKAGE).as_posix() for path in SOURCES]


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_file_imports_only_what_its_row_allows(path: Path) -> None:
    row = TABLE[row_of(path)]
    extra = EXTRA_PACKAGES.get(path.relative_to(PACKAGE).as_posix(), set())
    wrong = []
    for found in imports_of(path):
        top = found.module.partition(".")[0]
        if top == PACKAGE.name:
            if row_of(path_of(found.module)) not in row.ours:
                wrong.append(f"line {found.line}: {found.module} is of another row")
        elif top not in sys.stdlib_module_names | row.others | extra:
            wrong.append(f"line {found.line}: {top} is not for `{row_of(path)}`")
    assert not wrong, f"{path.relative_to(ROOT)}: " + "; ".join(wrong)


@pytest.mark.parametrize("path", SOURCES, ids=NAMES)
def test_imports_inside_the_package_are_relative(path: Path) -> None:
    absolute = [
        found.line
        for found in imports_of(path)
        if not found.relative and found.module.partition(".")[0] in (PACKAGE.name, "models")
    ]
    assert not absolute, f"{path.relative_to(ROOT)}: absolute imports in lines {absolute}"


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name == "__init__.py"])
def test_init_files_import_nothing_heavy(path: Path) -> None:
    light = sys.stdlib_module_names | (BLENDER if row_of(path) == "addon" else set())
    ours = PACKAGE.name if row_of(path) in ("addon", "protocol") else ""
    heavy = [
        f"line {found.line}: {found.module}"
        for found in imports_of(path)
        if found.at_top and found.module.partition(".")[0] not in light | {ours}
    ]
    assert not heavy, f"{path.relative_to(ROOT)}: " + "; ".join(heavy)


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*.py")), ids=str)
def test_models_know_no_blender_side(path: Path) -> None:
    wrong = [
        found.module
        for found in imports_of(path)
        if found.module.startswith(f"{PACKAGE.name}.addon") or found.module == "extpose_blender"
    ]
    assert not wrong, f"{path.relative_to(ROOT)}: {wrong}"


@pytest.mark.parametrize(
    ("file", "line", "allowed"),
    [
        ("engine/lift/fit/a.py", "from ...track import tracks", False),
        ("engine/lift/fit/a.py", "from ...body import load", True),
        ("engine/lift/fit/a.py", "import bpy", False),
        ("engine/body/a.py", "from ..lift import fit", False),
        ("engine/cli.py", "import torch", False),
        ("engine/cli.py", "from .detect import mediapipe", False),
        ("engine/registry.py", "from .pipeline import capture", False),
        ("protocol/a.py", "import numpy", True),
        ("protocol/a.py", "import cv2", False),
        ("protocol/a.py", "from ..engine import registry", False),
        ("addon/a.py", "import bpy, numpy", True),
        ("addon/a.py", "def f():\n    import torch", False),
        ("addon/a.py", "from ..engine.body import load", False),
    ],
)
def test_the_rule_catches_what_it_should(
    file: str, line: str, allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that nothing can break would hold as well: so each row is tried on a line of code."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "extpose_blender")
    path = tmp_path / "extpose_blender" / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    if allowed:
        test_file_imports_only_what_its_row_allows(path)
    else:
        with pytest.raises(AssertionError):
            test_file_imports_only_what_its_row_allows(path)
