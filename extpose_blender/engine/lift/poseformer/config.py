"""Sizes of the network: what a weights file records beside its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ....protocol.errors import UsageError


@dataclass(frozen=True)
class PoseFormerConfig:
    """Everything that decides the shapes of the weights.

    Raises:
        UsageError: A value is out of range, or does not fit another.
    """

    frames: int = 27
    """Rows that the network sees at once; in use it takes fewer as well."""
    dim: int = 160
    """Numbers in the token of a frame."""
    depth: int = 4
    """Blocks: attention across frames, then an MLP on each."""
    heads: int = 4
    """Attention heads."""
    mlp_ratio: int = 4
    """Hidden numbers of an MLP, in multiples of `dim`."""

    def __post_init__(self) -> None:
        """Check each value, then those that belong together."""
        for name, value in asdict(self).items():
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"`{name}` must be a whole number above 0, not {value!r}")
        if self.dim % self.heads:
            raise UsageError(f"`dim` {self.dim} must be a multiple of `heads` {self.heads}")

    def to_dict(self) -> dict[str, Any]:
        """Give plain values as JSON takes them; `from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PoseFormerConfig:
        """Read what `to_dict` wrote; fields that are absent keep their defaults.

        Raises:
            UsageError: A key is unknown, or a value cannot be used.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"Unknown network setting {', '.join(f'`{key}`' for key in unknown)}")
        return cls(**values)
