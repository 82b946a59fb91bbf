"""Cuts a long clip into overlapping windows and joins their poses."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from .chain import Pose
from .rotation import rotmat_to_rotvec, rotvec_to_rotmat

WINDOW_ROWS = 300
"""Rows that are solved together."""
OVERLAP_ROWS = 40
"""Rows that neighbouring windows share."""


def cut_windows(
    rows: int, length: int = WINDOW_ROWS, overlap: int = OVERLAP_ROWS
) -> Iterator[slice]:
    """Windows that cover `rows` rows, each sharing `overlap` rows with the one before.

    The last window is as long as the others where the clip allows it.
    """
    if rows <= length:
        yield slice(0, rows)
        return
    start = 0
    while start + length < rows:
        yield slice(start, start + length)
        start += length - overlap
    yield slice(max(0, rows - length), rows)


def join_poses(before: Pose, after: Pose, shared: int) -> Pose:
    """Append a window to the poses so far; their `shared` common rows pass smoothly from one to the
    other.
    """
    if shared <= 0:
        return Pose(*(torch.cat(pair) for pair in zip(_parts(before), _parts(after), strict=True)))
    old, new = before[slice(len(before) - shared, None)], after[slice(0, shared)]
    share = (torch.arange(shared, dtype=old.q.dtype, device=old.q.device) + 0.5) / shared
    share = (share * share * (3 - 2 * share))[:, None]
    turn = rotmat_to_rotvec(new.root @ old.root.transpose(-1, -2))
    mixed = Pose(
        rotvec_to_rotmat(share * turn) @ old.root,
        old.pelvis + share * (new.pelvis - old.pelvis),
        old.q + share * (new.q - old.q),
    )
    pieces = (before[slice(0, len(before) - shared)], mixed, after[slice(shared, None)])
    return Pose(*(torch.cat(group) for group in zip(*map(_parts, pieces), strict=True)))


def _parts(pose: Pose) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return pose.root, pose.pelvis, pose.q
