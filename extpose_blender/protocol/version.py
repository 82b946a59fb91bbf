"""The version, read from the one place that states it."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from .resources import PACKAGE_ROOT


@cache
def extpose_version() -> str:
    """Version of ExtPose, from the checkout's or zip's manifest, else from the installed package."""
    for manifest in (
        PACKAGE_ROOT / "blender_manifest.toml",
        PACKAGE_ROOT.parent / "addon_manifest.toml",
    ):
        if manifest.is_file():
            return str(tomllib.loads(manifest.read_text(encoding="utf-8"))["version"])
    try:
        return version("extpose_blender")
    except PackageNotFoundError:
        return "unknown"
