"""Checks of array shapes that say what was wanted and what came."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .errors import BadShape


def check_shape(
    name: str,
    array: np.ndarray,
    shape: tuple[int | str | None, ...],
    axes: dict[str, int] | None = None,
    kind: str = "f",
) -> None:
    """Compare an array with a shape in which letters stand for lengths that must agree.

    Args:
        name: What the array is called in the message.
        array: The array.
        shape: A length, `None` (any length) or an axis letter per axis, such as `("T", "J", 3)`.
        axes: Lengths of the letters met so far. New letters are added to it.
        kind: numpy's kind letters that are allowed: `f` float, `i` and `u` integer, `b` bool, `U` text.

    Raises:
        BadShape: Shape or kind differ. The message holds wanted and actual.
    """
    axes = {} if axes is None else axes
    if not isinstance(array, np.ndarray):
        raise BadShape(f"`{name}` must be an array, not {type(array).__name__}")
    fits = array.ndim == len(shape)
    for length, wanted in zip(array.shape, shape, strict=False):
        fixed = axes.setdefault(wanted, length) if isinstance(wanted, str) else wanted
        fits = fits and (fixed is None or fixed == length)
    if not fits:
        raise BadShape(f"`{name}` must be {_words(shape, axes)}, not {array.shape}")
    if array.dtype.kind not in kind:
        raise BadShape(f"`{name}` must be of kind {kind!r}, not {array.dtype}")


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse an array with a value that is not a number.

    Raises:
        BadShape: It holds NaN or infinity. The message counts them.
    """
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise BadShape(f"`{name}` holds {bad} values that are not finite")


def _words(shape: tuple[int | str | None, ...], axes: Mapping[str, int]) -> str:
    parts = [
        f"{axis}={axes[axis]}" if isinstance(axis, str) else str(axis or "any") for axis in shape
    ]
    return "(" + ", ".join(parts) + ")"
