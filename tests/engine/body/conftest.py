"""Made-up bodies of every kind, and files as they are published."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extpose_blender.protocol.skeletons import MODEL_SKELETONS

Arrays = dict[str, np.ndarray]


def make_body(kind: str, vertices: int = 70, seed: int = 0) -> Arrays:
    """A random body of a kind, in the arrays of its published files."""
    rng = np.random.default_rng(seed)
    skeleton = MODEL_SKELETONS[kind]
    joints = len(skeleton)
    components = 400 if kind == "smplx" else 10
    weights = rng.random((vertices, joints)) ** 8
    regressor = rng.random((joints, vertices)) ** 8
    parents = np.array(skeleton.parents)
    tree = np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(joints)])
    arrays = {
        "v_template": rng.normal(0, 0.4, (vertices, 3)),
        "shapedirs": rng.normal(0, 0.02, (vertices, 3, components)),
        "posedirs": rng.normal(0, 0.004, (vertices, 3, 9 * (joints - 1))),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "kintree_table": tree.astype(np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
        "f": rng.integers(0, vertices, (90, 3)).astype(np.uint32),
    }
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in arrays.items()}


def shared_body(archive: np.lib.npyio.NpzFile) -> Arrays:
    """The body arrays of a fixture of ../shared."""
    names = ("v_template", "shapedirs", "posedirs", "J_regressor", "kintree_table", "weights", "f")
    return {name: archive[f"model/{name}"] for name in names}


@pytest.fixture
def chumpy_stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, type]]:
    """Classes that pickle exactly as chumpy's and as Python 2's scipy do."""
    made = {}
    for module, name in (
        ("chumpy.ch", "Ch"),
        ("chumpy.reordering", "Select"),
        ("scipy.sparse.csc", "csc_matrix"),
    ):
        kind = type(name, (), {"__module__": module})
        holder = types.ModuleType(module)
        setattr(holder, name, kind)
        monkeypatch.setitem(sys.modules, module, holder)
        made[name] = kind
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    yield made


@pytest.fixture
def write_published(tmp_path: Path, chumpy_stand_ins: dict[str, type]) -> Callable[..., Path]:
    """Writes arrays as SMPL's and MANO's authors do: chumpy arrays, a sparse regressor."""
    from scipy.sparse import csc_matrix

    def holding(name: str, **state: Any) -> Any:
        made = chumpy_stand_ins[name]()
        made.__dict__.update(state)
        return made

    def write(arrays: Arrays, name: str = "model.pkl", protocol: int = 2) -> Path:
        sparse = csc_matrix(arrays["J_regressor"])
        order = np.arange(arrays["shapedirs"].size)
        content: dict[str, Any] = dict(arrays)
        content["J_regressor"] = holding(
            "csc_matrix", data=sparse.data, indices=sparse.indices, indptr=sparse.indptr,
            _shape=sparse.shape, format="csc",
        )  # fmt: skip
        content["v_template"] = holding("Ch", x=arrays["v_template"], _dirty_vars=set())
        content["shapedirs"] = holding(
            "Select", a=holding("Ch", x=arrays["shapedirs"].ravel()), idxs=order,
            preferred_shape=arrays["shapedirs"].shape,
        )  # fmt: skip
        content["bs_style"] = "lbs"
        content["weights_prior"] = np.array([None], dtype=object)
        path = tmp_path / name
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    return write
