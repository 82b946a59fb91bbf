"""Draws a run's log: losses, scores on the development set, and the learning rate, as one picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_log(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines with losses and lines with scores, one per step; a step done twice counts once."""
    losses: dict[int, dict[str, Any]] = {}
    scores: dict[int, dict[str, Any]] = {}
    log = folder / "log.jsonl"
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        entry = json.loads(line)
        (scores if "scores" in entry else losses)[entry["step"]] = entry
    return [losses[step] for step in sorted(losses)], [scores[step] for step in sorted(scores)]


def draw_curves(folder: Path) -> Path | None:
    """Write `curves.png` beside a log.

    Returns:
        The picture, or `None` where there is nothing to draw or nothing to draw with.
    """
    losses, scores = read_log(folder)
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return None
    if not losses:
        return None
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [entry["step"] for entry in losses]
    for name in losses[-1]["losses"]:
        values = [entry["losses"].get(name, float("nan")) for entry in losses]
        left.plot(steps, values, label=name, linewidth=1.8 if name == "total" else 1.0)
    left.set(yscale="log", xlabel="step", title="training losses, without their weights")
    left.legend(fontsize="small")
    for name in scores[-1]["scores"] if scores else ():
        right.plot(
            [entry["step"] for entry in scores],
            [entry["scores"].get(name, float("nan")) for entry in scores],
            marker=".",
            label=name,
        )
    right.set(xlabel="step", title="development set, averaged weights")
    if scores:
        right.legend(fontsize="small")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    path = folder / "curves.png"
    figure.savefig(path, dpi=110)
    return path
