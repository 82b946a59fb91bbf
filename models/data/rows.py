"""Dataclasses whose fields all have the same first axis."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor


class Rows:
    """A base for dataclasses of tensors, or of such dataclasses, with one row for each thing."""

    def select(self, index: Tensor | tuple[slice | None, ...]) -> Self:
        """Some of the rows, or some more than once; or whatever else indexes every tensor."""
        parts: dict[str, Any] = vars(self)
        return type(self)(
            **{
                name: part[index] if isinstance(part, Tensor) else part.select(index)
                for name, part in parts.items()
            }
        )
