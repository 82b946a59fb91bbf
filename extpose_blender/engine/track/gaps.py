"""A person's keypoints on every row of the clip: short gaps filled, long ones marked as unknown."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator

_FILLED_SHARE = 0.5


def fill_rows(values: np.ndarray, rows: np.ndarray, count: int, longest_gap: int) -> np.ndarray:
    """Spread seen values over all rows.

    Between two seen rows points follow a monotone cubic, which cannot overshoot; before the first
    and after the last they stay. Scores in filled rows are lower than any seen of the same point;
    in gaps that are too long, and outside, they are 0.

    Args:
        values: (N, ..., C) what was seen, score last.
        rows: (N,) rows in which it was seen, increasing.
        count: Rows of the clip.
        longest_gap: Most missing rows in a row that are filled.

    Returns:
        (count, ..., C) of the type of `values`.
    """
    scores = values[..., -1]
    filled = np.zeros((count, *values.shape[1:]), values.dtype)
    filled[: rows[0], ..., :-1] = values[0, ..., :-1]
    filled[rows[-1] :, ..., :-1] = values[-1, ..., :-1]
    for before in np.flatnonzero(np.diff(rows) > 1):
        # The curve across a gap depends on two seen rows on either side, no more.
        near = slice(max(0, before - 1), before + 3)
        curve = PchipInterpolator(rows[near], values[near, ..., :-1].astype(float), axis=0)
        between = np.arange(rows[before] + 1, rows[before + 1])
        filled[between, ..., :-1] = curve(between)
    filled[rows] = values  # exactly what was seen
    lowest = np.where(scores > 0, scores, np.inf).min(0)
    lowest = np.where(np.isfinite(lowest), _FILLED_SHARE * lowest, 0.0)
    for start, end in pairwise(rows):
        if 1 < end - start <= longest_gap + 1:
            known = (filled[start, ..., -1] > 0) & (filled[end, ..., -1] > 0)
            filled[start + 1 : end, ..., -1] = np.where(known, lowest, 0.0)
    return filled
