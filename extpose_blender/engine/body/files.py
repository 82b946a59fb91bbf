"""Reads body-model files (.npz and .pkl) and says by their contents what they are.

joints   kind       published as
    24   `smpl`     SMPL_NEUTRAL.pkl and others
    52   `smplh`    SMPLH_MALE.pkl, model.npz; the open body
    55   `smplx`    SMPLX_NEUTRAL.npz
    16   `mano`     MANO_RIGHT.pkl
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...protocol.errors import BadBodyFile, InputError
from ...protocol.files import sha256_of
from ...protocol.skeletons import MODEL_SKELETONS
from .unpickle import RefusedPickle, plain, read_pickle

LARGEST_ARRAY = 1 << 30
"""Arrays larger than this many bytes are refused unread; SMPL-X's largest has 0.12 of that."""
FEWEST_BETAS = 10

_NEEDED = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f")
_OPTIONAL = (
    "hands_componentsl", "hands_componentsr", "hands_meanl", "hands_meanr", "hands_components",
    "hands_mean", "lmk_faces_idx", "lmk_bary_coords", "vertex_names", "vertex_ids",
    "joint_regressor_extra",
)  # fmt: skip
_KIND_OF_JOINTS = {len(skeleton): kind for kind, skeleton in MODEL_SKELETONS.items()}
_DAMAGE = (
    ValueError, TypeError, KeyError, EOFError, MemoryError, OverflowError, SyntaxError,
    RuntimeError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zip and .npy readers raise on damaged files; RuntimeError on encrypted ones."""
_HINT = "Give an SMPL, SMPL-H, SMPL-X or MANO file as published, .npz or .pkl"


@dataclass(frozen=True)
class BodyFile:
    """What a body-model file holds, checked."""

    path: Path
    """Where it was read."""
    model_type: str
    """`smpl`, `smplh`, `smplx` or `mano`."""
    arrays: dict[str, np.ndarray]
    """Arrays by their published names; dense, numbers only (and names of landmarks)."""
    sha256: str
    """Hash of the file."""


def read_body_file(path: Path, model_type: str | None = None, correctives: bool = True) -> BodyFile:
    """Read a body model.

    Args:
        path: `.npz` or `.pkl`; which of them is seen from the contents.
        model_type: The kind that is wanted; any when left out.
        correctives: Read the pose correctives too; the open body has none worth the time.

    Raises:
        BadBodyFile: It is missing, damaged, hostile or of another kind. The message names the first
        wrong key
            with wanted and actual shape. Nothing in the file is run.
    """
    try:
        with open(path, "rb") as stream:
            packed = zipfile.is_zipfile(stream)
            stream.seek(0)
            keys = [key for key in (*_NEEDED, *_OPTIONAL) if correctives or key != "posedirs"]
            arrays = _read_npz(stream, keys) if packed else _read_pickled(stream, keys)
        sha256 = sha256_of(path)
    except OSError as error:
        raise BadBodyFile(f"`{path}` cannot be read: {error.strerror or error}", _HINT) from error
    except RefusedPickle as reason:
        raise BadBodyFile(f"`{path}` is no body model: {reason}", _HINT) from reason
    except _DAMAGE as reason:
        raise BadBodyFile(f"`{path}` is damaged: {reason}", _HINT) from reason
    needed = [key for key in _NEEDED if correctives or key != "posedirs"]
    return BodyFile(path, _check(path, arrays, needed, model_type), arrays, sha256)


def _read_npz(stream: IO[bytes], keys: list[str]) -> dict[str, np.ndarray]:
    arrays = {}
    with zipfile.ZipFile(stream) as archive:
        members = set(archive.namelist())
        for key in keys:
            if f"{key}.npy" not in members:
                continue
            if archive.getinfo(f"{key}.npy").file_size > LARGEST_ARRAY:
                raise ValueError(f"`{key}` holds more than {LARGEST_ARRAY} bytes")
            arrays[key] = _read_npy(archive.read(f"{key}.npy"), key)
    return arrays


def _read_npy(content: bytes, key: str) -> np.ndarray:
    stream = io.BytesIO(content)
    npy: Any = np.lib.format
    first = npy.read_magic(stream) == (1, 0)
    read_header = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        return _as_array(read_pickle(stream), key)
    size, rest = int(np.prod(shape, dtype=object)) * dtype.itemsize, len(content) - stream.tell()
    if size != rest:
        raise ValueError(f"`{key}` announces {size} bytes, {rest} are there")
    stream.seek(0)
    return np.asarray(npy.read_array(stream, allow_pickle=False))


def _read_pickled(stream: IO[bytes], keys: list[str]) -> dict[str, np.ndarray]:
    content = plain(read_pickle(stream))
    if not isinstance(content, dict):
        raise RefusedPickle(f"it holds a {type(content).__name__}, not named arrays")
    return {key: _as_array(content[key], key) for key in keys if key in content}


def _as_array(value: Any, key: str) -> np.ndarray:
    array = np.asarray(plain(value))
    if array.dtype.kind not in "fiubU":
        raise RefusedPickle(f"`{key}` is not made of numbers")
    return array


def _check(
    path: Path, arrays: dict[str, np.ndarray], needed: list[str], model_type: str | None
) -> str:
    for key in needed:
        if key not in arrays:
            raise BadBodyFile(f"`{path}` is no body model: it has no `{key}`", _HINT)
    tree = arrays["kintree_table"]
    joints = tree.shape[1] if tree.ndim == 2 else 0
    kind = model_type or _KIND_OF_JOINTS.get(joints)
    if kind is None:
        counts = ", ".join(f"{n} ({k})" for n, k in sorted(_KIND_OF_JOINTS.items()))
        raise BadBodyFile(
            f"`{path}` is no body model: `kintree_table` must be (2, J) with J one of {counts}, "
            f"not {tree.shape}",
            _HINT,
        )
    _check_shapes(path, kind, arrays)
    _check_values(path, kind, arrays)
    return kind


def _check_shapes(path: Path, kind: str, arrays: dict[str, np.ndarray]) -> None:
    joints = len(MODEL_SKELETONS[kind])
    vertices = len(arrays["v_template"]) if arrays["v_template"].ndim else 0
    components = arrays["shapedirs"].shape[-1] if arrays["shapedirs"].ndim == 3 else 0
    wanted: dict[str, tuple[int | str, ...]] = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, max(components, FEWEST_BETAS)),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
        "J_regressor": (joints, vertices),
        "kintree_table": (2, joints),
        "weights": (vertices, joints),
        "f": ("F", 3),
    }
    for key in ("kintree_table", *wanted):
        if key not in arrays:
            continue
        shape = arrays[key].shape
        fits = len(shape) == len(wanted[key]) and all(
            isinstance(want, str) or want == have
            for want, have in zip(wanted[key], shape, strict=True)
        )
        if not fits:
            words = "(" + ", ".join(str(n) for n in wanted[key]) + ")"
            raise BadBodyFile(
                f"`{path}` is no {kind} body: `{key}` must be {words}, not {shape}", _HINT
            )


def _check_values(path: Path, kind: str, arrays: dict[str, np.ndarray]) -> None:
    def wrong(key: str, what: str) -> InputError:
        return BadBodyFile(f"`{path}` is no {kind} body: `{key}` {what}", _HINT)

    for key in (key for key in _NEEDED if key in arrays):
        if arrays[key].dtype.kind not in "fiu":
            raise wrong(key, f"must hold numbers, not {arrays[key].dtype}")
        if not np.isfinite(arrays[key]).all():
            raise wrong(key, "holds values that are not finite")
    vertices = len(arrays["v_template"])
    faces = arrays["f"]
    if faces.size and not (faces.min() >= 0 and faces.max() < vertices):
        raise wrong("f", f"must hold vertices from 0 to {vertices - 1}")
    parents = tuple(arrays["kintree_table"][0].astype(np.int64)[1:])
    if parents != (MODEL_SKELETONS[kind].parents or ())[1:]:
        raise wrong("kintree_table", "does not hold the parents of that skeleton")
    if np.abs(arrays["weights"].sum(1) - 1).max() > 0.02:
        raise wrong("weights", "must sum to 1 for every vertex")
