"""Errors of an estimate against the truth, and the table that lays two of them side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from extpose_blender.engine.metrics import acceleration_error, mpjpe, pa_mpjpe

from .estimates import Estimate
from .truth import TruthClip


@dataclass(frozen=True)
class Score:
    """Errors over one clip."""

    rows: int
    """Pictures that were compared: truth known, and both estimates there."""
    coverage: float
    """Share of the pictures with known truth that this estimate covers."""
    pa_mpjpe_mm: float
    """After a similarity alignment per picture, mean over pictures and joints."""
    mpjpe_mm: float
    """After the roots are laid on each other, mean over pictures and joints."""
    acceleration_m_s2: float
    """Of the joints against the root, mean over runs of three pictures."""


def score_pair(clip: TruthClip, first: Estimate, second: Estimate) -> tuple[Score, Score]:
    """Score two estimates on the pictures that both cover."""
    both = first.seen & second.seen
    return score(clip, first, both), score(clip, second, both)


def score(clip: TruthClip, estimate: Estimate, rows: np.ndarray | None = None) -> Score:
    """Score one estimate.

    Args:
        clip: The truth.
        estimate: As many rows as the truth.
        rows: (T,) bool, pictures to compare; those that the estimate covers when `None`.
    """
    known = np.isfinite(clip.joints_m).all(axis=(1, 2))
    covered = known & estimate.seen
    rows = covered if rows is None else known & rows
    truth, joints = clip.joints_m[rows], estimate.joints_m[rows]
    coverage = float(covered.sum() / max(1, known.sum()))
    if not rows.any():
        return Score(0, coverage, np.nan, np.nan, np.nan)
    return Score(
        int(rows.sum()),
        coverage,
        1000 * float(pa_mpjpe(joints, truth).mean()),
        1000 * float(mpjpe(joints, truth, root=clip.root_index).mean()),
        _acceleration(clip, estimate, rows),
    )


def _acceleration(clip: TruthClip, estimate: Estimate, rows: np.ndarray) -> float:
    """Mean acceleration error, m/s², over pictures whose neighbours are compared too."""
    root = clip.root_index
    centred = [
        joints - joints[:, root].mean(axis=1, keepdims=True)
        for joints in (estimate.joints_m, clip.joints_m)
    ]
    whole = rows[:-2] & rows[1:-1] & rows[2:]
    if not whole.any():
        return float("nan")
    errors = acceleration_error(*(np.where(np.isfinite(joints), joints, 0.0) for joints in centred))
    return float(errors[whole].mean()) * clip.fps**2


def overall(scores: list[Score]) -> Score:
    """Mean over clips, each weighted by its rows."""
    rows = np.array([one.rows for one in scores])

    def mean(name: str) -> float:
        values = np.array([getattr(one, name) for one in scores])
        usable = np.isfinite(values) & (rows > 0)
        return float(np.average(values[usable], weights=rows[usable])) if usable.any() else np.nan

    coverage = float(np.mean([one.coverage for one in scores])) if scores else np.nan
    return Score(
        int(rows.sum()), coverage, mean("pa_mpjpe_mm"), mean("mpjpe_mm"), mean("acceleration_m_s2")
    )


HEADER = (
    f"{'':34} {'rows':>5} | {'ours':^33} | {'MediaPipe world landmarks':^33}\n"
    f"{'clip':34} {'':>5} | {'PA mm':>7} {'MPJPE':>7} {'acc m/s²':>9} {'seen':>6}  "
    f"| {'PA mm':>7} {'MPJPE':>7} {'acc m/s²':>9} {'seen':>6}"
)
"""Two lines over the table."""


def table_row(name: str, first: Score, second: Score) -> str:
    """One line of the table."""
    cells = [
        f"{one.pa_mpjpe_mm:7.1f} {one.mpjpe_mm:7.1f} {one.acceleration_m_s2:9.2f} "
        f"{one.coverage:6.0%}"
        for one in (first, second)
    ]
    return f"{name:34} {first.rows:5} | {cells[0]}  | {cells[1]}"


def as_record(name: str, first: Score, second: Score) -> dict[str, object]:
    """The same for `--json`."""
    return {"clip": name, "ours": asdict(first), "mediapipe": asdict(second)}
