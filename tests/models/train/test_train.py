"""The training loop: the same seed gives the same weights, whole or in pieces."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from extpose_blender.engine.lift.poseformer.weights_file import read_weights
from extpose_blender.protocol.errors import UsageError
from models.train import export
from models.train.config import TrainConfig, read_config
from models.train.state import PIECE_BYTES, RunState, read_average
from models.train.task import Sources, make_task
from models.train.train import main, train

ROOT = Path(__file__).resolve().parents[3]
SMOKE = ROOT / "models" / "train" / "smoke.toml"


@pytest.fixture(scope="module")
def short() -> TrainConfig:
    return replace(read_config(SMOKE), steps=12, warmup=2, decay=4, keep_every=4, validate_every=6)


def assert_equal(first: RunState, second: RunState) -> None:
    """The same to the last bit: weights, their average, and the optimiser's moments."""
    assert first.step == second.step
    for ours, theirs in ((first.network, second.network), (first.average, second.average)):
        for key, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[key]), key
    states = [each.optimizer.state_dict()["state"] for each in (first, second)]
    for number, moments in states[0].items():
        for name, value in moments.items():
            assert torch.equal(value, states[1][number][name]), (number, name)


def losses_of(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line["losses"] for line in lines if "losses" in line]


@pytest.mark.slow
def test_a_minute_of_training_brings_the_loss_down_and_repeats(
    motion_folder: Path, tmp_path: Path
) -> None:
    config, sources = read_config(SMOKE), Sources(motion_folder)
    torch.manual_seed(config.seed)
    task = make_task(replace(config, batch=32), sources, "cpu")
    unseen = task.batch(config.steps)
    runs = [train(config, sources, tmp_path / name) for name in ("a", "b")]
    assert_equal(*runs)
    assert losses_of(tmp_path / "b") == losses_of(tmp_path / "a")
    with torch.no_grad():
        before = task.losses(config.steps, unseen).total
        task.network.load_state_dict(runs[0].average.state_dict())
        after = task.losses(config.steps, unseen).total
    assert after < 0.9 * before
    assert (tmp_path / "a" / "curves.png").stat().st_size > 10_000
    assert all(
        path.stat().st_size <= PIECE_BYTES + 100_000 for path in tmp_path.glob("a/step_*/*.pt")
    )


@pytest.mark.parametrize("stopped_at", [1, 3])
def test_a_run_in_pieces_ends_with_the_same_weights(
    stopped_at: int, short: TrainConfig, motion_folder: Path, tmp_path: Path
) -> None:
    sources = Sources(motion_folder)
    whole = train(short, sources, tmp_path / "whole")
    # Every step takes longer than no time at all: this stops after its first step.
    for _ in range(stopped_at):
        train(short, sources, tmp_path / "pieces", seconds=1e-9)
    assert_equal(train(short, sources, tmp_path / "pieces"), whole)


def test_a_killed_run_goes_on_to_the_same_weights(
    short: TrainConfig, motion_folder: Path, tmp_path: Path
) -> None:
    sources, folder = Sources(motion_folder), tmp_path / "killed"
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "import models.train.train as loop\n"
        "from models.train.config import TrainConfig\n"
        "from models.train.task import Sources, make_task\n"
        "import json, signal\n"
        "plain = loop._step\n"
        "def step(config, task, state, batch):\n"
        "    if state.step == 7:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return plain(config, task, state, batch)\n"
        "loop._step = step\n"
        "config = TrainConfig(**json.loads(sys.argv[1]))\n"
        "loop.train(config, Sources(Path(sys.argv[2])), Path(sys.argv[3]))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, json.dumps(short.to_dict()), str(motion_folder), str(folder)],
        cwd=ROOT, check=False, capture_output=True,
    )  # fmt: skip
    assert run.returncode == -9, run.stderr.decode()
    assert json.loads((folder / "latest.json").read_text())["folder"] == "step_00000004"
    assert_equal(train(short, sources, folder), train(short, sources, tmp_path / "whole"))


def test_a_run_may_be_made_longer_and_nothing_else(
    short: TrainConfig, motion_folder: Path, tmp_path: Path
) -> None:
    sources, folder = Sources(motion_folder), tmp_path / "run"
    train(replace(short, steps=6), sources, folder)
    assert train(replace(short, steps=8), sources, folder).step == 8
    with pytest.raises(UsageError, match="`lr`"):
        train(replace(short, lr=0.1), sources, folder)


def test_the_average_becomes_weights_for_the_lifter(
    short: TrainConfig, motion_folder: Path, tmp_path: Path
) -> None:
    state = train(short, Sources(motion_folder), tmp_path / "run")
    path = tmp_path / "poseformer.safetensors"
    export.main([str(tmp_path / "run"), str(path)])
    written = read_weights(path)
    for key, value in state.average.state_dict().items():
        torch.testing.assert_close(written.network.state_dict()[key], value.half().float())
    assert "12 steps" in written.trained.source
    other = train(replace(short, seed=9), Sources(motion_folder), tmp_path / "other").network
    read_average(tmp_path / "run", other)
    torch.testing.assert_close(other.state_dict(), state.average.state_dict())


def test_the_command_says_how_far_it_came(
    motion_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--motion", str(motion_folder), "--state", str(tmp_path / "run"), "--device", "cpu"]
    assert main([str(SMOKE), *flags, "--seconds", "0.000001"]) == 0
    assert "1 of 100 steps done" in capsys.readouterr().err
