"""A pickle runs nothing, whatever it says; arrays come out as they went in."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from extpose_blender.engine.body.unpickle import RefusedPickle, plain, read_pickle


class _Call:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


def _read(content: bytes) -> Any:
    return read_pickle(io.BytesIO(content))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["f4", "f8", ">f4", "i2", "i8", "u4", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_survive_in_every_protocol(protocol: int, dtype: str, order: str) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4) % 5, dtype=dtype, order=order)  # type: ignore[call-overload]
    content = pickle.dumps({"a": array, "n": 3}, protocol)
    result = _read(content)
    got = plain(result["a"])
    np.testing.assert_array_equal(got, array)
    assert got.dtype == array.dtype
    assert result["n"] == 3


def test_scalars_and_lone_objects_survive() -> None:
    assert plain(_read(pickle.dumps(np.float64(2.5)))) == 2.5
    boxed = np.array(None, dtype=object)
    boxed[()] = np.arange(3.0)
    np.testing.assert_array_equal(plain(_read(pickle.dumps(boxed))), np.arange(3.0))


def test_an_array_of_python_2_is_read() -> None:
    # Protocol 2 of Python 2: bytes are text there, written as BINSTRING.
    values = np.array([1.5, -2.0, 3.25])
    raw = values.tobytes()
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", len(raw)) + raw + b"tb."
    )
    np.testing.assert_array_equal(plain(_read(content)), values)


@pytest.mark.parametrize("kind", ["csc", "csr"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_sparse_matrices_become_dense(kind: str, protocol: int) -> None:
    import scipy.sparse

    dense = np.array([[0, 1.5, 0, 0], [0, 0, 0, 2.0], [3.0, 0, 0, 4.0]])
    matrix = getattr(scipy.sparse, f"{kind}_matrix")(dense)
    np.testing.assert_array_equal(plain(_read(pickle.dumps(matrix, protocol))), dense)


def test_a_call_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for attack in (
        _Call(os.system, f"touch {mark}"),
        _Call(exec, f"open({str(mark)!r}, 'w')"),
        _Call(eval, f"open({str(mark)!r}, 'w')"),
        _Call(np.testing.measure, f"open({str(mark)!r}, 'w')"),
        _Call(np.save, str(mark), np.zeros(1)),
        _Call(np.ndarray.tofile, np.zeros(1), str(mark)),
        _Call(getattr, "", "join"),
    ):
        with pytest.raises(RefusedPickle, match=r"names|damaged"):
            _read(pickle.dumps({"v_template": attack}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "numpy.testing._private.utils runstring",
        "numpy.f2py compile",
        "numpy.f2py.crackfortran myeval",
        "numpy.core.multiarray fromfile",
        "numpy.core.multiarray _reconstruct.__globals__",
        "numpy load",
        "numpy.lib.npyio load",
        "scipy.sparse load_npz",
        "scipy.sparse.csc sys",
        "chumpy.ch os",
        "chumpy.ch Ch.__init__",
        "builtins object.__subclasses__",
        "collections namedtuple",
    ],
)
def test_only_exact_names_are_allowed(name: str) -> None:
    module, attribute = name.split()
    content = b"\x80\x04\x8c" + bytes([len(module)]) + module.encode()
    content += b"\x8c" + bytes([len(attribute)]) + attribute.encode() + b"\x93."
    with pytest.raises(RefusedPickle, match="no body model needs"):
        _read(content)


def test_object_pointers_cannot_be_smuggled_in() -> None:
    # numpy's own reader takes the flags of a type from the pickle; with those of an object type
    # cleared, raw bytes would be read as pointers.
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08AAAAAAAAtb."
    )
    with pytest.raises(RefusedPickle):
        plain(_read(content))


@pytest.mark.parametrize("kept", [0, 1, 10, 50, 200])
def test_a_truncated_pickle_is_refused(kept: int) -> None:
    content = pickle.dumps({"a": np.arange(100.0), "b": OrderedDict()}, 2)
    with pytest.raises(RefusedPickle, match="damaged"):
        _read(content[:kept])


def test_wrong_sizes_are_refused() -> None:
    content = pickle.dumps(np.arange(4.0), 2).replace(b"K\x04\x85", b"K\x09\x85")
    with pytest.raises(RefusedPickle, match="damaged"):
        plain(_read(content))
