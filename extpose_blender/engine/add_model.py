"""`extpose models add FILE`: says what a file is by its contents, checks it, and keeps a safe copy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..protocol.catalog import load_catalog
from ..protocol.errors import BadBodyFile, BadModelFile
from . import weights
from .body.files import read_body_file
from .body.load import load_body

if TYPE_CHECKING:
    from .lift.extpose.checkpoint import Checkpoint


@dataclass(frozen=True)
class Added:
    """What adding one file has put into the user's folder."""

    model: weights.UserModel
    """The file itself."""
    body: weights.UserModel | None = None
    """The body that came with it."""
    notes: tuple[str, ...] = ()
    """What a person should know, one sentence each."""


def add_model(file: Path, name: str | None = None) -> Added:
    """Add a file to the user's folder, in a form that runs nothing when it is read.

    Args:
        file: A checkpoint of HMR2.0, HaMeR or ExtPose (.ckpt, .pth, .safetensors), or a body:
            SMPL, SMPL-H, SMPL-X or MANO (.npz, .pkl). Its contents say which.
        name: Name for the command line; the kind of model when left out.

    Raises:
        BadModelFile: It is missing, or a checkpoint that cannot be used. The message names the
            first wrong key.
        BadBodyFile: It is no body model. The message names the first wrong key.
        OutputNotWritable: The folder cannot be written.
    """
    if not file.is_file():
        raise BadModelFile(f"`{file}` does not exist", "Name a file")
    if name is not None:
        weights.check_name(name)
    from .lift.extpose.checkpoint import is_checkpoint

    return _add_weights(file, name) if is_checkpoint(file) else Added(_add_body(file, name))


def body_arrays(buffers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a body file from the buffers of smplx's layer, which checkpoints carry.

    Args:
        buffers: In smplx's names, among them `posedirs` (9 (J - 1), 3 V) and `parents` (J,).

    Returns:
        Arrays in the names and layouts of published body files.

    Raises:
        KeyError, ValueError: Some are missing, or do not fit each other.

    Source: smplx:smplx/body_models.py, which turns one into the other.
    """
    vertices = len(buffers["v_template"])
    parents = buffers["parents"].astype(np.int64)
    arrays = {
        "v_template": buffers["v_template"],
        "shapedirs": buffers["shapedirs"],
        "posedirs": buffers["posedirs"].T.reshape(vertices, 3, -1),
        "J_regressor": buffers["J_regressor"],
        "kintree_table": np.stack([parents, np.arange(len(parents))]),
        "weights": buffers["lbs_weights"],
        "f": buffers["faces_tensor"],
    }
    renamed = {"hand_mean": "hands_mean", "joint_regressor_extra": "joint_regressor_extra"}
    return arrays | {new: buffers[old] for old, new in renamed.items() if old in buffers}


def _add_body(file: Path, name: str | None) -> weights.UserModel:
    contents = read_body_file(file)
    load_body(file)  # Refuses a file that reads well but does not evaluate.
    return _keep_body(name or contents.model_type, contents.model_type, contents.arrays, file)


def _keep_body(
    name: str, kind: str, arrays: dict[str, np.ndarray], source: Path
) -> weights.UserModel:
    def write(path: Path) -> None:
        with open(path, "wb") as stream:
            np.savez_compressed(stream, **arrays)
        read_body_file(path, kind)

    licence = load_catalog().find("body", kind).licence
    return weights.keep_file(name, "body", ".npz", licence, source, write)


def _add_weights(file: Path, name: str | None) -> Added:
    from .lift.extpose.checkpoint import read_checkpoint
    from .lift.extpose.weights_file import KIND, check_finite, trained_for, write_weights_to

    checkpoint = read_checkpoint(file)
    trained = trained_for(checkpoint)
    check_finite(checkpoint)
    tensors = checkpoint.tensors | {
        f"discriminator.{key}": tensor for key, tensor in checkpoint.discriminator.items()
    }

    def write(path: Path) -> None:
        write_weights_to(path, tensors, trained, config=checkpoint.config, kind=checkpoint.kind)

    name = weights.check_name(name or checkpoint.kind)
    model = weights.keep_file(name, KIND, ".safetensors", trained.licence, file, write)
    body, note = _add_body_of(checkpoint)
    return Added(model, body, (*checkpoint.notes, *note))


def _add_body_of(checkpoint: Checkpoint) -> tuple[weights.UserModel | None, tuple[str, ...]]:
    """Keep the body that a checkpoint carries, unless there is one of that name."""
    kind = checkpoint.config.body
    if not checkpoint.body:
        return None, ()
    if any((m.kind, m.name) == ("body", kind) for m in weights.added_models()):
        return None, (f"It carries a body; the `{kind}` that was added before stays",)
    try:
        arrays = body_arrays({key: tensor.numpy() for key, tensor in checkpoint.body.items()})
        body = _keep_body(kind, kind, arrays, checkpoint.path)
    except (KeyError, ValueError, TypeError, BadBodyFile) as reason:
        return None, (f"The body that it carries was left out: {reason}",)
    return body, (f"It carries a body, kept as `{kind}`. Licence: {body.licence}",)
