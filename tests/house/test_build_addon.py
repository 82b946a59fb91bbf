"""The zip: what it holds, that it is the same every time, and that Blender will take it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import build_addon

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip built from this checkout."""
    return build_addon.build(tmp_path_factory.mktemp("dist"))


def names_in(archive: Path) -> set[str]:
    """Names of the files of a zip or wheel."""
    with zipfile.ZipFile(archive) as opened:
        return {name for name in opened.namelist() if not name.endswith("/")}


def test_manifest_is_the_identity(extension: Path) -> None:
    with zipfile.ZipFile(extension) as opened:
        manifest = tomllib.loads(opened.read("blender_manifest.toml").decode())
    assert manifest.pop("schema_version") == "1.0.0"
    assert manifest == build_addon.identity()


def test_identity_keeps_to_blenders_limits() -> None:
    identity = build_addon.identity()
    for text in (identity["tagline"], *identity["permissions"].values()):
        assert 0 < len(text) <= 64
        assert text[-1].isalnum()
    assert identity["id"] == "extpose_blender"
    assert tuple(int(part) for part in identity["blender_version_min"].split(".")) == (4, 2, 0)


def test_zip_holds_the_whole_package_and_nothing_else(extension: Path) -> None:
    package = ROOT / "extpose_blender"
    sources = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.suffix in (".py", ".toml", ".json")
    }
    names = names_in(extension)
    assert sources <= names
    assert {"__init__.py", "blender_manifest.toml", "LICENSE"} <= names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".part"))]
    assert not [name for name in names if name.startswith("resources/") and name.endswith(".py")]


def test_zip_holds_every_shipped_resource(extension: Path) -> None:
    shipped = tomllib.loads((ROOT / "addon_manifest.toml").read_text())["resources"]
    wanted = {
        "resources/" + path.relative_to(ROOT / "models").as_posix()
        for folder in shipped["folders"]
        for path in (ROOT / "models" / folder).rglob("*")
        if path.suffix in (".npz", ".safetensors", ".mp4")
    }
    assert wanted <= names_in(extension)


def test_build_is_reproducible(extension: Path, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    for name in ("addon_manifest.toml", "pyproject.toml", "LICENSE", "build_addon.py"):
        copy.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    for folder in ("extpose_blender", "models"):
        # Plain copies have other times, and here other modes.
        shutil.copytree(ROOT / folder, copy / folder, copy_function=shutil.copyfile)
    cache = copy / "extpose_blender" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "stale.cpython-311.pyc").write_bytes(b"stale")
    subprocess.run([sys.executable, str(copy / "build_addon.py")], check=True, capture_output=True)
    again = copy / "dist" / extension.name
    assert again.read_bytes() == extension.read_bytes()


def test_a_failed_build_leaves_the_old_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = build_addon.build(tmp_path).read_bytes()
    missing: dict[str, Path | bytes] = {"gone.py": tmp_path / "gone.py"}
    monkeypatch.setattr(build_addon, "extension_files", lambda: missing)
    with pytest.raises(FileNotFoundError):
        build_addon.build(tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [old]


def test_unpacked_zip_finds_its_resources_and_its_version(extension: Path, tmp_path: Path) -> None:
    package = tmp_path / "extpose_blender"
    with zipfile.ZipFile(extension) as opened:
        opened.extractall(package)
    assert_package_finds_its_own(tmp_path, package)


def test_wheel_holds_what_the_zip_holds(extension: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed")
    checkout = tmp_path / "checkout"
    ignore = shutil.ignore_patterns(
        ".*", "out", "dist", "build", "tests", "docs", "*.egg-info", "__pycache__"
    )
    shutil.copytree(ROOT, checkout, ignore=ignore)
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words, "--wheel-dir", str(tmp_path), str(checkout)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"extpose_blender-{build_addon.identity()['version']}-")
    inside = {
        name.removeprefix("extpose_blender/")
        for name in names_in(wheel)
        if name.startswith("extpose_blender/")
    }
    assert inside == names_in(extension) - {"blender_manifest.toml", "LICENSE"}
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(site)
    assert_package_finds_its_own(site, site / "extpose_blender")


def assert_package_finds_its_own(folder: Path, package: Path) -> None:
    """The package in `folder` uses its own resources, and pins, though a checkout is not far."""
    code = (
        "from extpose_blender.protocol.resources import resource_root\n"
        "from extpose_blender.engine import doctor\nfrom extpose_blender.protocol import version\n"
        "print(resource_root()); print(version.extpose_version())\n"
        "print(len(doctor.pinned_requirements()['library']))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    root, version, pins = done.stdout.splitlines()
    assert Path(root) == package / "resources"
    assert version == build_addon.identity()["version"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert int(pins) == len(project["dependencies"])


@pytest.mark.bpy
def test_blender_installs_and_enables_the_zip(extension: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("the bpy wheel is not installed")
    code = (
        "import sys, bpy\n"
        "bpy.ops.extensions.package_install_files(\n"
        "    filepath=sys.argv[1], repo='user_default', enable_on_install=True)\n"
        "assert 'bl_ext.user_default.extpose_blender' in bpy.context.preferences.addons\n"
        "import bl_ext.user_default.extpose_blender as extension\n"
        "print(extension.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(extension)],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path(done.stdout.splitlines()[-1]).is_relative_to(tmp_path)
