"""What a training run is: read from a .toml file that holds only what differs from the defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from extpose_blender.protocol.errors import UsageError

TASKS = {"poseformer": "models.train.poseformer_task:PoseFormerTask"}
"""Class of each task, loaded when chosen."""


@dataclass(frozen=True)
class TrainConfig:
    """A run.

    Raises:
        UsageError: A value is out of range.
    """

    task: str = "poseformer"
    """What is trained, a key of `TASKS`."""
    seed: int = 0
    """Everything random follows from it and the number of the step."""
    steps: int = 100_000
    """How many steps the whole run takes, however many pieces it is split into."""
    batch: int = 64
    """Clips in a step, over all processes together."""
    lr: float = 1e-3
    """Highest learning rate."""
    warmup: int = 500
    """Steps in which it rises."""
    decay: int = 20_000
    """Last steps, in which it falls to zero along a cosine."""
    weight_decay: float = 0.01
    """Of AdamW; on matrices alone, not on biases and norms."""
    beta2: float = 0.99
    """Of AdamW."""
    clip: float = 1.0
    """Gradients are scaled down to this norm."""
    ema: float = 0.999
    """How much of the averaged weights stays at each step; lower at the beginning."""
    keep_every: int = 1_000
    """Steps between states that are written; one is also written when the time is up."""
    validate_every: int = 5_000
    """Steps between scores on the development set, where there is one."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """Sizes of the network; the task knows the names."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Choices of the data source; the task knows the names."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """Weights of the losses; the task knows the names."""

    def __post_init__(self) -> None:
        """Check each value, then those that belong together."""
        if self.task not in TASKS:
            raise UsageError(f"There is no task `{self.task}`", f"Choose from {', '.join(TASKS)}")
        for name in ("steps", "batch", "keep_every", "validate_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"`{name}` must be above 0, not {getattr(self, name)}")
        if self.warmup + self.decay > self.steps:
            raise UsageError(
                f"`warmup` {self.warmup} and `decay` {self.decay} take more than `steps` {self.steps}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Give plain values as JSON takes them."""
        return asdict(self)

    def learning_rate(self, step: int) -> float:
        """The rate of a step: up along a line, level, and down along a cosine.

        It stays level until the last `decay` steps, so a run can be made longer until then without
        changing what it has done.
        """
        from math import cos, pi

        rise = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / max(1, self.decay)
        fall = 0.5 * (1 - cos(pi * left)) if left < 1 else 1.0
        return self.lr * min(rise, fall)

    def average_share(self, step: int) -> float:
        """How much of the averaged weights stays at a step; early averages are short."""
        return min(self.ema, (step + 1) / (step + 10))


def read_config(path: Path) -> TrainConfig:
    """Read a run.

    Raises:
        UsageError: The file is missing or no TOML, holds an unknown key, or an unusable value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise UsageError(f"`{path}` cannot be read as TOML: {reason}") from reason
    known = {each.name for each in fields(TrainConfig)}
    if unknown := sorted(set(values) - known):
        raise UsageError(f"`{path}` holds unknown keys {', '.join(f'`{key}`' for key in unknown)}")
    return TrainConfig(**values)
