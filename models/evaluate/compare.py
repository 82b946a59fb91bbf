"""Any number of ways to capture, on clips whose truth is known: all on the same pictures.

A picture counts where every method that found somebody in the clip has an estimate of it.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extpose_blender.protocol.files import write_json

from .estimates import Estimate, capture_clip, mediapipe_world, ours
from .score import Score, overall, score
from .tables import markdown
from .truth import TruthClip, rendered_clips, shared_clips

MEDIAPIPE = "MediaPipe"
"""The method that the others are held against: its own world landmarks."""
Scores = Mapping[str, Mapping[str, Score]]
"""By clip, then by method; a method that found nobody in a clip is absent there."""

_MEASURES = (
    ("PA-MPJPE, mm", "pa_mpjpe_mm", 1),
    ("MPJPE, mm", "mpjpe_mm", 1),
    ("Acceleration error, m/s²", "acceleration_m_s2", 2),
)


@dataclass(frozen=True)
class Method:
    """One way to capture."""

    label: str
    """Column of the tables, and folder of its captures."""
    flags: tuple[str, ...]
    """For `extpose capture`."""


def add_compare_command(commands: Any) -> None:
    """Add `compare` to a parser's sub-commands."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare", help="hold several ways to capture against each other and MediaPipe"
    )
    parser.add_argument("--rendered", type=Path, help="folder of a rendered set")
    parser.add_argument("--clips", type=Path, help="folder of the shared clips")
    parser.add_argument(
        "--out", type=Path, required=True, help="captures; one that is there is not made again"
    )
    parser.add_argument("--only", default="", help="clips whose name contains this")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument(
        "--method",
        action="append",
        required=True,
        type=parse_method,
        metavar="LABEL=FLAGS",
        help='such as "fit=--lifter fit"; may be given often',
    )


def run_compare(options: argparse.Namespace) -> None:
    """Capture with each method, and print a table per measure for each kind of clip."""
    kinds = {}
    if options.rendered:
        kinds["Rendered, exact truth"] = rendered_clips(options.rendered)
    if options.clips:
        kinds["Real, truth good to 2 cm"] = shared_clips(options.clips)
    records: dict[str, Any] = {}
    for title, clips in kinds.items():
        scores = {
            clip.name: compare_clip(clip, _estimates(clip, options.method, options.out))
            for clip in clips
            if options.only in clip.name
        }
        labels = [MEDIAPIPE, *(method.label for method in options.method)]
        print(format_comparison(title, scores, labels))
        records[title] = {
            name: {label: asdict(one) for label, one in found.items()}
            for name, found in scores.items()
        }
    if options.json:
        write_json(options.json, records)


def compare_clip(clip: TruthClip, estimates: Mapping[str, Estimate]) -> dict[str, Score]:
    """Score methods on the pictures that all of them cover."""
    common = np.ones(len(clip.joints_m), bool)
    for estimate in estimates.values():
        common &= estimate.seen
    return {label: score(clip, estimate, common) for label, estimate in estimates.items()}


def format_comparison(title: str, scores: Scores, labels: list[str]) -> str:
    """Tables in Markdown: clips by methods, one per measure.

    The last rows are the mean over the clips in which every method found somebody, each clip as
    heavy as its pictures, and its change against MediaPipe's.
    """
    shared = [found for found in scores.values() if set(labels) <= set(found)]
    means = {label: overall([found[label] for found in shared]) for label in labels}
    parts = [f"{title}: {len(scores)} clips, {len(shared)} in which every method found somebody"]
    for head, measure, digits in _MEASURES:
        lines = [[head, "pictures", *labels]]
        for name, found in scores.items():
            rows = max((one.rows for one in found.values()), default=0)
            cells = [_cell(found.get(label), measure, digits) for label in labels]
            lines.append([name, str(rows), *cells])
        total = str(means[labels[0]].rows)
        lines.append(["all", total, *(_cell(means[label], measure, digits) for label in labels)])
        base = getattr(means[labels[0]], measure)
        changes = [_change(getattr(means[label], measure), base) for label in labels]
        lines.append([f"against {labels[0]}", "", *changes])
        parts.append("\n".join(markdown(lines)))
    if shared:
        seen = [f"{label} {means[label].coverage:.0%}" for label in labels]
        parts.append(f"Pictures with an estimate: {', '.join(seen)}.")
    return "\n\n".join(parts) + "\n"


def parse_method(text: str) -> Method:
    """`LABEL=FLAGS` as a method.

    Raises:
        argparse.ArgumentTypeError: There is no label, or it cannot be a folder's name.
    """
    label, separator, flags = text.partition("=")
    if not (separator and label) or "/" in label or label == MEDIAPIPE:
        raise argparse.ArgumentTypeError(f"`{text}` must be LABEL=FLAGS")
    return Method(label, tuple(shlex.split(flags)))


def _estimates(clip: TruthClip, methods: list[Method], out: Path) -> dict[str, Estimate]:
    """What each method says of a clip; those that find nobody are left out."""
    found = {MEDIAPIPE: mediapipe_world(clip, out / "mediapipe" / f"{clip.name}.npz")}
    for method in methods:
        motion = capture_clip(clip, out / method.label / clip.name, list(method.flags))
        if motion is not None:
            found[method.label] = ours(clip, motion)
    return found


def _cell(one: Score | None, measure: str, digits: int) -> str:
    value = float("nan") if one is None else float(getattr(one, measure))
    return "–" if np.isnan(value) else f"{value:.{digits}f}"


def _change(value: float, base: float) -> str:
    known = np.isfinite([value, base]).all() and base > 0
    return f"{100 * (value / base - 1):+.0f} %" if known else "–"
