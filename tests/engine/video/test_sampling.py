"""Rows lie where the words of the options say."""

from __future__ import annotations

import pytest

from extpose_blender.engine.video.sampling import RowTimes, Sampling
from extpose_blender.protocol.errors import BadVideo, UsageError


@pytest.mark.parametrize("rate", [24.0, 25.0, 30000 / 1001, 59.94, 12.5])
@pytest.mark.parametrize("frames", [1, 2, 109, 54_000])
def test_nominal_rate_gives_one_row_per_frame(rate: float, frames: int) -> None:
    times = RowTimes.of(Sampling(), rate)
    assert times.rows_before(frames / rate) == frames
    assert times.time_s(frames - 1) == pytest.approx((frames - 1) / rate, abs=1e-12)


def test_end_is_included() -> None:
    times = RowTimes.of(Sampling(start=10, end=19), 30.0)
    assert times.rows_before(1e9) == 10
    assert times.time_s(0) == pytest.approx(10 / 30)
    assert times.is_past(10) and not times.is_past(9)


def test_other_rate_and_speed_change_the_step_alone() -> None:
    assert RowTimes.of(Sampling(end=29, fps=60), 30.0).rows_before(1e9) == 60
    assert RowTimes.of(Sampling(end=29, speed=2), 30.0).rows_before(1e9) == 15
    slow = RowTimes.of(Sampling(start=3, fps=24, speed=0.5), 30.0)
    assert slow.time_s(7) == pytest.approx(3 / 30 + 7 * 0.5 / 24)


def test_start_after_end_is_unusable_input() -> None:
    with pytest.raises(BadVideo, match=r"5.*4") as caught:
        Sampling(start=5, end=4)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "values", [{"start": -1}, {"end": -2}, {"fps": 0}, {"speed": -1}, {"fps": float("nan")}]
)
def test_senseless_values_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Sampling(**values)  # type: ignore[arg-type]
