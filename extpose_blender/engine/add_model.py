"""`extpose models add FILE`: says what a file is by its contents, checks it, and keeps a safe copy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..protocol.catalog import load_catalog
from ..protocol.errors import BadBodyFile
from . import weights
from .body.files import read_body_file
from .body.load import load_body


def add_model(file: Path, name: str | None = None) -> weights.UserModel:
    """Add a body model to the user's folder, rewritten as .npz, so nothing has to be unpickled again.

    Args:
        file: SMPL, SMPL-H, SMPL-X or MANO, .npz or .pkl.
        name: Name for the command line; the kind of body when left out.

    Raises:
        BadBodyFile: It is missing or no body model. The message names the first wrong key.
        OutputNotWritable: The folder cannot be written.
    """
    if not file.is_file():
        raise BadBodyFile(f"`{file}` does not exist", "Name a file")
    contents = read_body_file(file)
    load_body(file)  # Refuses a file that reads well but does not evaluate.
    kind = contents.model_type
    chosen = weights.check_name(name or kind)
    licence = load_catalog().find("body", kind).licence

    def write(path: Path) -> None:
        with open(path, "wb") as stream:
            np.savez_compressed(stream, **contents.arrays)

    return weights.keep_file(chosen, "body", ".npz", licence, file, write)
