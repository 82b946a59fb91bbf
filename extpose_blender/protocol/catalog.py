"""What a user can choose from: detectors, lifters, weights and bodies, read from `catalog.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import UsageError

KINDS = ("detector", "lifter", "weights", "body")


@dataclass(frozen=True)
class Entry:
    """One thing that can be chosen."""

    kind: str
    """`detector`, `lifter`, `weights` or `body`."""
    name: str
    """Word for the command line."""
    label: str
    """Words for people."""
    licence: str
    """What its licence permits, in short."""
    class_path: str = ""
    """`module:Class` below `engine/`, loaded when chosen."""
    resource: str = ""
    """Shipped file below `models/`."""
    url: str = ""
    """Where it comes from."""
    shipped: bool = False
    """It works without adding anything."""
    takes_weights: bool = False
    """A lifter that reads weights, which `--weights` chooses."""
    sees_pictures: bool = False
    """A lifter that looks at the pictures, in windows of rows, which `--streams` and `--window` choose."""
    hidden: bool = False
    """It is for tests: lists leave it out."""


@dataclass(frozen=True)
class Catalog:
    """All entries."""

    entries: tuple[Entry, ...]

    def of_kind(self, kind: str) -> list[Entry]:
        """Entries of a kind that people should see."""
        return [entry for entry in self.entries if entry.kind == kind and not entry.hidden]

    def find(self, kind: str, name: str) -> Entry:
        """One entry, hidden ones included.

        Raises:
            UsageError: There is none of that name. The message lists those that there are.
        """
        for entry in self.entries:
            if entry.kind == kind and entry.name == name:
                return entry
        names = ", ".join(entry.name for entry in self.of_kind(kind))
        raise UsageError(f"There is no {kind} `{name}`", f"Choose from {names}")

    def check(self, kind: str, name: str) -> None:
        """Refuse an unknown name. Raises UsageError."""
        self.find(kind, name)


@cache
def load_catalog() -> Catalog:
    """The catalogue that ships with the package."""
    text = Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    entries = []
    for kind in KINDS:
        for row in tables.get(kind, []):
            values = {
                ("class_path" if key == "class" else key): value for key, value in row.items()
            }
            entries.append(Entry(kind=kind, **values))
    return Catalog(tuple(entries))
