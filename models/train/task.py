"""What the training loop asks of whatever is trained."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .config import TASKS, TrainConfig


@dataclass(frozen=True)
class Losses:
    """The loss of a step."""

    total: Tensor
    """What is made small; a number."""
    parts: Mapping[str, Tensor]
    """What it is made of, each without its weight, for people."""


@dataclass(frozen=True)
class Sources:
    """Where a task finds what is not in the repository."""

    motion: Path
    """Captured motion on SMPL-H joints: the folder that `python -m models.mocap` writes."""
    development: Path | None = None
    """Captures of the development set, for scores on the way."""


class Task(Protocol):
    """Something that can be trained."""

    network: nn.Module
    """What is trained, on the device."""

    def batch(self, step: int) -> Any:
        """What a step is trained on: a function of the seed and the step alone."""

    def losses(self, step: int, batch: Any) -> Losses:
        """Run the network over a batch; what is random follows from the seed and the step."""

    def frames(self, batch: Any) -> int:
        """How many frames a batch holds."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Scores of a network on the development set, by name; empty where there is none."""


def narrow(device: torch.device | str) -> AbstractContextManager[Any]:
    """Products in bf16 where the device multiplies it faster. For networks, not for geometry."""
    if torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", torch.bfloat16)
    return nullcontext()


def make_task(config: TrainConfig, sources: Sources, device: str) -> Task:
    """The task of a run, its network with fresh weights from the seed."""
    module, _, name = TASKS[config.task].partition(":")
    task: Task = getattr(import_module(module), name)(config, sources, device)
    return task
