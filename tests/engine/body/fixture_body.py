"""The made-up bodies of the fixtures in ../shared, as body files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .conftest import shared_body

Archive = np.lib.npyio.NpzFile
SELECTOR_NAMES = (
    "nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe",
    "RSmallToe", "RHeel", "lthumb", "lindex", "lmiddle", "lring", "lpinky", "rthumb", "rindex",
    "rmiddle", "rring", "rpinky",
)  # fmt: skip
"""Order in which smplx's selector appends surface points to a body's joints."""


def write_shared_body(archive: Archive, folder: Path) -> Path:
    """The body of a fixture as a file; a body with its surface points named in it."""
    arrays = shared_body(archive)
    name = "model/extra_joints_idxs_in_selector_order"
    if name in archive.files:
        ids = archive[name]
        arrays |= {"vertex_names": np.array(SELECTOR_NAMES), "vertex_ids": ids}
    path = folder / "body.npz"
    np.savez(path, **arrays)
    return path
