"""Streams repeat, neighbours differ, draws have the promised spread."""

from __future__ import annotations

import math

import pytest
import torch

from models.data.draws import Draws, mixed_seed, smooth_factor


def test_streams_repeat_and_neighbours_share_nothing() -> None:
    seeds = {mixed_seed(seed, step) for seed in range(60) for step in range(60)}
    assert len(seeds) == 3600 and all(0 <= seed < 2**63 for seed in seeds)
    assert torch.equal(Draws(1, 2).normal(5), Draws(1, 2).normal(5))
    a, b = Draws(1, 2).normal(20000), Draws(1, 3).normal(20000)
    assert abs(float((a * b).mean())) < 0.03


def test_choice_follows_the_weights() -> None:
    picked = Draws(0, 0).choice([1.0, 0.0, 3.0], 40000)
    shares = torch.bincount(picked, minlength=3) / len(picked)
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.0, 0.75]), atol=0.01, rtol=0)


def test_log_uniform_is_even_in_the_logarithm() -> None:
    numbers = Draws(0, 1).log_uniform(40000, low=0.5, high=8)
    assert numbers.min() >= 0.5 and numbers.max() <= 8
    assert abs(float(numbers.log().mean()) - math.log(2)) < 0.02


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_smooth_numbers_have_deviation_one_and_the_promised_correlation(tau: float) -> None:
    times = torch.arange(12)[None].expand(4000, -1) / 25.0
    numbers = (smooth_factor(times, tau) @ Draws(0, 2).normal(4000, 12, 8)).transpose(1, 2)
    numbers = numbers.flatten(0, 1)
    square = numbers.T @ numbers / len(numbers)
    distance = torch.arange(12) / 25.0 / tau
    torch.testing.assert_close(square[0], (1 + distance) * torch.exp(-distance), atol=0.03, rtol=0)


def test_smooth_numbers_do_not_depend_on_the_frame_rate() -> None:
    slow, fast = (torch.arange(n)[None] / rate for n, rate in ((10, 15.0), (40, 60.0)))
    squares = [f @ f.mT for f in (smooth_factor(slow, 0.3), smooth_factor(fast, 0.3))]
    torch.testing.assert_close(squares[0], squares[1][:, ::4, ::4], atol=1e-4, rtol=0)
