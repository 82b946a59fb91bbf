"""Reads the pickles in which SMPL and MANO are published, and runs nothing that is in them.

Every class that such a pickle may name is replaced by an inert stand-in that only keeps its
arguments. numpy, scipy and chumpy are never called by the pickle; arrays are made afterwards, from
bytes whose number and type were checked. A pickle that names anything else is refused at that name.

Sources: numpy's `ndarray.__reduce__` and `dtype.__reduce__`; scipy's compressed matrices keep
`data`, `indices`, `indptr`, `_shape`; chumpy:chumpy/ch.py (`Ch` keeps `x`) and chumpy/reordering.py
(`Select`, `Reshape`, `transpose`).
"""

from __future__ import annotations

import pickle
import re
import struct
from typing import IO, Any

import numpy as np

_PLAIN_DTYPE = re.compile(r"[<>=|]?(f[248]|i[1248]|u[1248]|b1|\?|[dfilqbBIL])")


class RefusedPickle(Exception):
    """The pickle names something that an array file has no use for, or is damaged."""


class _StandIn:
    """Keeps what a pickle hands to a class, and does nothing with it."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def plain(self) -> Any:
        """What it stands for, as arrays and plain values."""
        raise RefusedPickle(f"a {type(self).__name__.lstrip('_')} holds no array")


class _Class(_StandIn):
    """A class that is only named, such as the one that `_reconstruct` is told to make."""


class _Dtype(_StandIn):
    def code(self) -> str:
        """The code of numpy with the byte order, such as `<f8`; `O` for objects."""
        name = _text(self.arguments[0]) if self.arguments else ""
        given = isinstance(self.state, tuple) and len(self.state) > 1
        order = _text(self.state[1]) if given else "|"
        if name[:1] == "O":
            return "O"
        if not _PLAIN_DTYPE.fullmatch(name) or order not in "<>=|":
            raise RefusedPickle(f"an array of type {name!r} is not made of numbers")
        return name if name[0] in "<>=|" else order + name


class _Array(_StandIn):
    """`numpy.core.multiarray._reconstruct`; state: version, shape, type, order and bytes."""

    def plain(self) -> Any:
        _, shape, dtype, column_major, content = self.state
        return _make_array(dtype, shape, content, "F" if column_major else "C")


class _Buffer(_StandIn):
    """`numpy.core.numeric._frombuffer` of newer pickles: bytes, type, shape, order."""

    def plain(self) -> Any:
        content, dtype, shape, order = self.arguments
        return _make_array(dtype, shape, content, "F" if order == "F" else "C")


class _Scalar(_StandIn):
    def plain(self) -> Any:
        dtype, content = self.arguments
        return _make_array(dtype, (), content, "C")[()]


class _Sparse(_StandIn):
    """A compressed matrix of scipy; made dense."""

    by_rows = False

    def plain(self) -> np.ndarray:
        kept = self.state
        rows, columns = (int(n) for n in kept["_shape"])
        data, inner, starts = (np.asarray(plain(kept[k])) for k in ("data", "indices", "indptr"))
        if rows * columns > 1 << 27:
            raise RefusedPickle(f"a sparse matrix of {rows} × {columns} is too large")
        outer = np.repeat(np.arange(rows if self.by_rows else columns), np.diff(starts))
        dense = np.zeros((rows, columns), data.dtype)
        np.add.at(dense, (outer, inner) if self.by_rows else (inner, outer), data)
        return dense


class _SparseRows(_Sparse):
    by_rows = True


class _Chumpy(_StandIn):
    def plain(self) -> np.ndarray:
        return np.asarray(plain(self.state["x"]))


class _ChumpySelect(_StandIn):
    def plain(self) -> np.ndarray:
        picked = np.asarray(plain(self.state["a"])).ravel()[np.asarray(plain(self.state["idxs"]))]
        shape = self.state.get("preferred_shape")
        return picked if shape is None else picked.reshape(plain(shape))


class _ChumpyReshape(_StandIn):
    def plain(self) -> np.ndarray:
        return np.asarray(plain(self.state["a"])).reshape(plain(self.state["newshape"]))


class _ChumpyTranspose(_StandIn):
    def plain(self) -> np.ndarray:
        return np.transpose(np.asarray(plain(self.state["a"])), plain(self.state.get("axes")))


class _Encoded(_StandIn):
    """`_codecs.encode`, with which Python 3 writes bytes in old pickles."""

    def plain(self) -> bytes:
        text, *codec = self.arguments
        if codec not in ([], ["latin1"]):
            raise RefusedPickle(f"bytes are encoded with {codec}")
        return str(text).encode("latin1")


class _Rebuilt(_StandIn):
    """`copy_reg._reconstructor(class, object, None)` of the oldest pickles."""

    def plain(self) -> Any:
        wanted = self.arguments[0]
        if not (isinstance(wanted, type) and issubclass(wanted, _StandIn)):
            raise RefusedPickle("an object of an unknown class")
        made = wanted()
        made.state = self.state
        return made.plain()


class _Collection(_StandIn):
    """A set or an ordered dictionary, in which chumpy keeps nothing that a body needs."""


_SPARSE_MODULES = ("scipy.sparse.csc", "scipy.sparse._csc", "scipy.sparse.csr", "scipy.sparse._csr")
_ALLOWED: dict[tuple[str, str], type] = {
    ("numpy", "ndarray"): _Class,
    ("numpy", "dtype"): _Dtype,
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy.reordering", "Select"): _ChumpySelect,
    ("chumpy.reordering", "Reshape"): _ChumpyReshape,
    ("chumpy.reordering", "transpose"): _ChumpyTranspose,
    ("copy_reg", "_reconstructor"): _Rebuilt,
    ("copyreg", "_reconstructor"): _Rebuilt,
    ("__builtin__", "object"): _Class,
    ("builtins", "object"): _Class,
    ("_codecs", "encode"): _Encoded,
    ("collections", "OrderedDict"): _Collection,
    ("__builtin__", "set"): _Collection,
    ("builtins", "set"): _Collection,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _Array
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _Scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = _Buffer
for _module in _SPARSE_MODULES:
    _kind = _module[-3:]
    _ALLOWED[_module, f"{_kind}_matrix"] = _SparseRows if _kind == "csr" else _Sparse
    _ALLOWED[_module, f"{_kind}_array"] = _SparseRows if _kind == "csr" else _Sparse


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        """The stand-in of an allowed name; exact pairs only."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise RefusedPickle(f"it names `{module}.{name}`, which no body model needs") from None


def read_pickle(stream: IO[bytes]) -> Any:
    """Read a pickle of plain values and arrays. Arrays are stand-ins until `plain` makes them.

    Raises:
        RefusedPickle: It names anything beyond array classes, or is damaged. Nothing was run.
    """
    try:
        return _Reader(stream, encoding="latin1").load()
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError,
        AttributeError, ImportError, MemoryError, OverflowError, RecursionError, struct.error,
    ) as reason:  # fmt: skip
        raise RefusedPickle(f"it is damaged: {reason or type(reason).__name__}") from reason


def plain(value: Any) -> Any:
    """Make arrays and plain values of what `read_pickle` returned.

    Raises:
        RefusedPickle: The pieces do not fit together.
    """
    try:
        if isinstance(value, _StandIn):
            return value.plain()
        if isinstance(value, list | tuple):
            return type(value)(plain(item) for item in value)
        return value
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError,
            MemoryError) as reason:  # fmt: skip
        raise RefusedPickle(f"an array in it is damaged: {reason}") from reason


def _make_array(dtype: Any, shape: Any, content: Any, order: str) -> Any:
    if not isinstance(dtype, _Dtype):
        raise RefusedPickle("an array without a type")
    code = dtype.code()
    sizes = tuple(int(n) for n in shape)
    content = plain(content)
    if code == "O":
        # A lone object in an array, as numpy wraps a matrix or a dictionary when it saves one.
        if sizes not in ((), (1,)) or not isinstance(content, list):
            raise RefusedPickle("an array of objects")
        return plain(content[0])
    raw = content.encode("latin1") if isinstance(content, str) else bytes(content)
    return np.frombuffer(raw, np.dtype(code)).reshape(sizes, order=order)  # type: ignore[call-overload]


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
