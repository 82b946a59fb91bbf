"""Turns a name from the catalogue into its class, loaded when it is chosen."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..protocol.catalog import load_catalog
from ..protocol.errors import MissingPackage

EXTRAS = {
    "smplx": "smpl",
    "bpy": "blender",
    "anny": "train",
    "matplotlib": "train",
    "rtmlib": "onnx",
    "onnxruntime": "onnx",
}
"""Extra of pyproject.toml that installs a package which the shipped default does not need."""


def load_class(kind: str, name: str) -> Any:
    """The class of a detector or lifter.

    Raises:
        UsageError: There is none of that name.
        MissingPackage: It needs a package that is not installed. The message names it.
    """
    entry = load_catalog().find(kind, name)
    module, _, class_name = entry.class_path.partition(":")
    try:
        return getattr(import_module("." + module, __package__), class_name)
    except ModuleNotFoundError as error:
        raise missing_package(error.name or module, f"{kind} `{name}`") from error


def missing_package(package: str, wanted_by: str) -> MissingPackage:
    """The error for a package that is not installed, naming what installs it."""
    extra = EXTRAS.get(package.partition(".")[0])
    step = f"pip install 'extpose_blender[{extra}]'" if extra else "pip install extpose_blender"
    return MissingPackage(
        f"The package `{package}` that {wanted_by} needs is not installed",
        f"Run `{step}` with the worker's Python; `extpose doctor` shows what else is missing",
    )
