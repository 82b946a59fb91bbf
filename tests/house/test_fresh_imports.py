"""What is loaded when one side is imported, seen from a fresh process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BLOCKED_IMPORT = """
import importlib, pkgutil, sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "cv2", "mediapipe", "smplx"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Block())
import extpose_blender
for side in SIDES:
    package = importlib.import_module("extpose_blender." + side)
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process at the root of the checkout."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_protocol_imports_without_the_heavy_packages() -> None:
    done = run_python("SIDES = ['protocol']\n" + BLOCKED_IMPORT)
    assert done.returncode == 0, done.stderr


def test_protocol_imports_numpy_alone_beside_the_standard_library() -> None:
    done = run_python(
        "SIDES = ['protocol']\n" + BLOCKED_IMPORT + "own = {'extpose_blender', 'numpy'}\n"
        "tops = {n.partition('.')[0] for n, m in sys.modules.items()"
        " if 'site-packages' in (getattr(m, '__file__', None) or '')}\n"
        "tops -= {n for n in tops if n.startswith('__editable__')}\n"
        "print(*sorted(tops - own - {'_distutils_hack'}))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.bpy
def test_addon_imports_and_registers_without_the_heavy_packages() -> None:
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("the bpy wheel is not installed")
    register = "import bpy\nextpose_blender.register()\nextpose_blender.unregister()\n"
    done = run_python("SIDES = ['protocol', 'addon']\nimport bpy\n" + BLOCKED_IMPORT + register)
    assert done.returncode == 0, done.stderr


def test_command_line_starts_without_loading_anything_heavy() -> None:
    done = run_python(
        "import sys, extpose_blender.engine.cli as cli\n"
        "cli.build_parser()\n"
        "heavy = {'torch', 'cv2', 'mediapipe', 'smplx', 'scipy', 'bpy', 'av'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
