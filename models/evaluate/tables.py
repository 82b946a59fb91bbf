"""Tables in the layout of the paper's: published numbers, then ours, each with its source below."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).parent / "tables.toml"
_UNKNOWN = "–"


@dataclass(frozen=True)
class Row:
    """One method's numbers."""

    method: str
    """What it is called."""
    values: Mapping[str, float]
    """Numbers by column; those that are not known are absent."""
    source: str = ""
    """Where they were published; empty for ours."""


@dataclass(frozen=True)
class Table:
    """One benchmark."""

    title: str
    """Set and split."""
    protocol: str
    """`video`, `bodies`, `body-keypoints`, `hands` or `hand-keypoints`: how it is counted."""
    columns: Mapping[str, str]
    """Keys of the numbers, in order, and what the head of the column says."""
    published: tuple[Row, ...] = ()
    """Numbers of others."""
    joints: str = "openpose"
    """Order of a hand's joints: `openpose` or `ho3d`."""


def read_tables() -> dict[str, Table]:
    """All benchmarks, by the word for the command line."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    sources = content["sources"]
    return {name: _table(entry, sources) for name, entry in content["tables"].items()}


def format_table(table: Table, ours: Sequence[Row] = ()) -> str:
    """A table in Markdown: published rows first, ours after them, sources below."""
    notes = list(dict.fromkeys(row.source for row in table.published))
    lines = [["", *table.columns.values()]]
    for row in (*table.published, *ours):
        mark = f" [{notes.index(row.source) + 1}]" if row.source else ""
        cells = [_number(key, row.values.get(key)) for key in table.columns]
        lines.append([row.method + mark, *cells])
    drawn = markdown(lines)
    foot = [f"[{i}] {note}" for i, note in enumerate(notes, 1)]
    if any(_UNKNOWN in line for line in lines[1:]):
        foot.append(f"{_UNKNOWN} no source at hand, or not counted")
    return "\n".join([f"{table.title}", "", *drawn, "", *foot]).rstrip() + "\n"


def markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table: the first is its head, the first column is text, others numbers."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    first, *others = widths
    rule = f"|{'-' * (first + 2)}|" + "".join(f"{'-' * (width + 1)}:|" for width in others)
    head, *body = (_line(line, widths) for line in lines)
    return [head, rule, *body]


def _table(entry: Mapping[str, object], sources: Mapping[str, str]) -> Table:
    columns = {str(key): str(head) for key, head in _mapping(entry["columns"]).items()}
    rows = []
    for row in _rows(entry.get("rows", ())):
        values = {key: float(str(row[key])) for key in columns if key in row}
        unknown = set(row) - set(columns) - {"method", "source"}
        if unknown:
            raise ValueError(f"`{_FILE.name}`: {row['method']} has no column {sorted(unknown)}")
        rows.append(Row(str(row["method"]), values, sources[str(row["source"])]))
    joints = str(entry.get("joints", "openpose"))
    return Table(str(entry["title"]), str(entry["protocol"]), columns, tuple(rows), joints)


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"`{_FILE.name}`: wanted a table, not {value!r}")
    return value


def _rows(value: object) -> list[Mapping[str, object]]:
    return [_mapping(row) for row in value] if isinstance(value, list) else []


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"


def _number(key: str, value: float | None) -> str:
    """Lengths with one digit, shares with three, shares of keypoints as per cent with one."""
    if value is None or math.isnan(value):
        return _UNKNOWN
    if key.startswith("pck"):
        return f"{100 * value:.1f}"
    return f"{value:.1f}" if key.endswith(("_mm", "_m_s2")) else f"{value:.3f}"
