"""`python -m models.train.train CONFIG --motion MOTION --state STATE`: trains, top to bottom.

Everything follows from the seed and the number of the step, so a run that was killed goes on from
its newest state to the same weights, and a run may be split into pieces of any length with
`--seconds`. Progress is written to STATE/log.jsonl and drawn into STATE/curves.png.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from extpose_blender.protocol.errors import UsageError

from .ahead import made_ahead
from .config import TrainConfig, read_config
from .curves import draw_curves
from .state import RunState, read_about, read_state, write_state
from .task import Losses, Sources, Task, make_task

_TELL_EVERY = 50
"""Steps between lines of the log."""
_MAY_CHANGE = ("steps", "decay", "keep_every", "validate_every")
"""What may differ when a run goes on: it decides nothing about the steps already done."""


def main(arguments: list[str] | None = None) -> int:
    """Train; returns the exit code."""
    options = _parser().parse_args(arguments)
    config = read_config(options.config)
    if options.threads:
        torch.set_num_threads(options.threads)
    state = train(
        config,
        Sources(options.motion, options.development),
        options.state,
        device=options.device,
        seconds=options.seconds,
    )
    print(f"{state.step} of {config.steps} steps done", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.train.train", description=__doc__)
    parser.add_argument("config", type=Path, help="a .toml file of this folder, or your own")
    parser.add_argument("--motion", type=Path, required=True, help="what `models.mocap` wrote")
    parser.add_argument("--state", type=Path, required=True, help="folder of the run")
    parser.add_argument("--development", type=Path, help="rendered development set, with captures")
    parser.add_argument("--seconds", type=float, help="stop after so long, to go on later")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of torch, on the CPU")
    return parser


def train(
    config: TrainConfig,
    sources: Sources,
    folder: Path,
    device: str = "cpu",
    seconds: float | None = None,
) -> RunState:
    """Train until the run is complete or the time is up.

    Args:
        config: The run.
        sources: What is not in the repository.
        folder: Where its state is kept; a run that is there goes on.
        device: Torch's word for the device.
        seconds: Time to stop after.

    Returns:
        The state that was written last.

    Raises:
        UsageError: The folder holds a run with another configuration.
        BadModelFile: The state that is there is damaged.
    """
    ends = time.monotonic() + seconds if seconds else float("inf")
    torch.manual_seed(config.seed)
    task = make_task(config, sources, device)
    state = RunState(0, task.network, copy.deepcopy(task.network), _optimizer(config, task.network))
    if (about := read_about(folder)) is not None:
        _check_same_run(config, about["config"], folder)
        read_state(folder, state)
    watch = _Watch(folder / "log.jsonl", config, state.step)
    with made_ahead(task.batch, state.step, config.steps) as batches:
        for batch in batches:
            watch.waited()
            losses = _step(config, task, state, batch)
            watch.stepped(state.step, losses, task.frames(batch))
            if state.step % config.validate_every == 0 or state.step == config.steps:
                watch.scored(state.step, task.validate(state.average))
            up = time.monotonic() > ends
            if up or state.step % config.keep_every == 0 or state.step == config.steps:
                write_state(folder, state, config.to_dict())
                draw_curves(folder)
            if up:
                break
    return state


def _step(config: TrainConfig, task: Task, state: RunState, batch: Any) -> Losses:
    """One step: losses, gradients, weights, average."""
    for group in state.optimizer.param_groups:
        group["lr"] = config.learning_rate(state.step)
    state.network.train()
    losses = task.losses(state.step, batch)
    state.optimizer.zero_grad(set_to_none=True)
    losses.total.backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), config.clip)
    state.optimizer.step()
    share = config.average_share(state.step)
    with torch.no_grad():
        averaged: list[torch.Tensor] = list(state.average.parameters())
        torch._foreach_lerp_(averaged, list(state.network.parameters()), 1 - share)
    state.step += 1
    return losses


def _optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.AdamW:
    """AdamW; what is no matrix is not pulled to zero."""
    parameters = list(network.parameters())
    matrices = [each for each in parameters if each.ndim > 1]
    others = [each for each in parameters if each.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, config.beta2))


def _check_same_run(config: TrainConfig, kept: dict[str, Any], folder: Path) -> None:
    wanted = json.loads(json.dumps(config.to_dict()))
    differing = [
        key
        for key in wanted.keys() | kept.keys()
        if key not in _MAY_CHANGE and wanted.get(key) != kept.get(key)
    ]
    if differing:
        names = ", ".join(f"`{key}`" for key in sorted(differing))
        raise UsageError(
            f"`{folder}` holds a run with other {names}", "Begin anew with another `--state`"
        )


class _Watch:
    """Tells people how a run goes, and writes its log."""

    def __init__(self, log: Path, config: TrainConfig, step: int) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._config = config
        self._first = step
        self._begun = self._last = time.monotonic()
        self._waited = 0.0
        self._frames = 0
        self._sums: dict[str, torch.Tensor] = {}

    def waited(self) -> None:
        """A batch has come; since the step before, the network waited for it."""
        self._waited += time.monotonic() - self._last

    def stepped(self, step: int, losses: Losses, frames: int) -> None:
        """A step is done."""
        self._frames += frames
        for name, value in {"total": losses.total, **losses.parts}.items():
            self._sums[name] = self._sums.get(name, 0) + value.detach()
        if step % _TELL_EVERY == 0:
            self._tell(step)
        self._last = time.monotonic()

    def scored(self, step: int, scores: dict[str, float]) -> None:
        """Scores on the development set are there."""
        if scores:
            self._write({"step": step, "scores": scores})
            words = ", ".join(f"{name} {value:.2f}" for name, value in scores.items())
            print(f"step {step}: {words}", file=sys.stderr, flush=True)
        self._last = time.monotonic()

    def _tell(self, step: int) -> None:
        now = time.monotonic()
        spent = now - self._begun
        rate = (step - self._first) / spent
        losses = {name: float(value) / _TELL_EVERY for name, value in self._sums.items()}
        line = {
            "step": step,
            "losses": losses,
            "lr": self._config.learning_rate(step - 1),
            "frames_per_s": round(self._frames / spent, 1),
            "waiting": round(self._waited / spent, 3),
        }
        self._write(line)
        self._sums = {}
        left = (self._config.steps - step) / rate
        print(
            f"step {step}/{self._config.steps}  loss {losses['total']:.4f}  "
            f"{line['frames_per_s']:.0f} frames/s  waiting {line['waiting']:.0%}  "
            f"{left / 60:.1f} min left",
            file=sys.stderr,
            flush=True,
        )

    def _write(self, line: dict[str, Any]) -> None:
        with open(self._log, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
