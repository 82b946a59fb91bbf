"""Configurations: only differences, no unknown words, and a schedule that can grow."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from extpose_blender.protocol.errors import UsageError
from models.train.config import TrainConfig, read_config

FOLDER = Path(__file__).resolve().parents[3] / "models" / "train"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.toml")))
def test_the_configurations_here_can_be_read(name: str) -> None:
    assert read_config(FOLDER / name).steps > 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepps = 3", "`stepps`"),
        ("steps = ", "cannot be read as TOML"),
        ('task = "dance"', "no task `dance`"),
        ("batch = 0", "`batch` must be above 0"),
        ("steps = 10\nwarmup = 8\ndecay = 8", "take more than"),
    ],
)
def test_wrong_configurations_are_refused(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_config(path)


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    config = TrainConfig(steps=100, warmup=10, decay=40, lr=1.0)
    rates = [config.learning_rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:60] == [1.0] * 51
    assert all(after < before for before, after in itertools.pairwise(rates[60:]))
    assert rates[-1] < 0.01
    longer = replace(config, steps=200)
    assert [longer.learning_rate(step) for step in range(60)] == rates[:60]


def test_early_averages_are_short() -> None:
    config = TrainConfig(ema=0.99)
    assert config.average_share(0) == pytest.approx(0.1)
    assert config.average_share(10_000) == 0.99
