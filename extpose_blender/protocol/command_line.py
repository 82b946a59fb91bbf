"""Command-line flags, made from the options. Shared by `extpose` and by Blender's `--command extpose`."""

from __future__ import annotations

import argparse
from dataclasses import Field, fields
from typing import Any, NoReturn

from .errors import UsageError
from .options import CaptureOptions, RunOptions, flag_of


class Parser(argparse.ArgumentParser):
    """A parser that raises our error for wrong usage instead of printing and exiting."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Raises UsageError with argparse's words."""
        raise UsageError(message, f"See `{self.prog} --help`")


def add_option_flags(parser: argparse.ArgumentParser, options: type) -> None:
    """Add a flag for each field of an options dataclass. Flags left out are absent from the result."""
    for f in fields(options):
        kind = str(f.type).split(" ")[0]
        settings: dict[str, Any] = {"help": _help(f), "default": argparse.SUPPRESS, "dest": f.name}
        if kind == "bool":
            parser.add_argument(flag_of(f.name), action=argparse.BooleanOptionalAction, **settings)
            continue
        settings["type"] = {"str": str, "int": int, "float": float}[kind]
        if f.metadata["choices"]:
            settings["choices"] = f.metadata["choices"]
        else:
            settings["metavar"] = f.metadata["metavar"] or f.name.upper()
        parser.add_argument(flag_of(f.name), **settings)


def options_from(values: argparse.Namespace, options: type) -> Any:
    """An options dataclass from parsed flags. Raises UsageError for values out of range."""
    given = {f.name: getattr(values, f.name) for f in fields(options) if hasattr(values, f.name)}
    return options(**given)


def flags_from(options: CaptureOptions | RunOptions) -> list[str]:
    """The flags that give these options: what a process is started with."""
    words: list[str] = []
    for f in fields(options):
        value = getattr(options, f.name)
        if value == f.default:
            continue
        if isinstance(value, bool):
            words.append(flag_of(f.name) if value else "--no-" + f.name.replace("_", "-"))
        else:
            words += [flag_of(f.name), str(value)]
    return words


def _help(f: Field[Any]) -> str:
    text = str(f.metadata["text"]).replace("%", "%%")
    if isinstance(f.default, bool):
        return f"{text} Default: {'on' if f.default else 'off'}."
    return text if f.default is None else f"{text} Default: {f.default}."
