"""Gaps are filled as one monotone cubic over all that was seen would fill them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from extpose_blender.engine.track.gaps import fill_rows


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("seen", [1, 2, 3, 4, 9, 40])
def test_filling_gap_by_gap_equals_one_curve_over_everything(seed: int, seen: int) -> None:
    generator = np.random.default_rng(seed)
    count = 60
    rows = np.sort(generator.choice(count, seen, replace=False))
    values = generator.normal(size=(seen, 5, 3))
    filled = fill_rows(values, rows, count, 6)
    if seen == 1:
        wanted = np.repeat(values[..., :-1], count, 0)
    else:
        inside = np.arange(count).clip(rows[0], rows[-1])
        wanted = PchipInterpolator(rows, values[..., :-1], axis=0)(inside)
    np.testing.assert_allclose(filled[..., :-1], wanted, atol=1e-12)
    np.testing.assert_array_equal(filled[rows], values)
