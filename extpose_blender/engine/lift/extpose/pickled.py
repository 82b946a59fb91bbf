"""Reads the pickle inside a checkpoint, and runs nothing that is in it.

Lightning pickles the options of a training run beside the weights: OmegaConf, yacs, callbacks,
optimisers. Every name that such a pickle may hold becomes an inert stand-in, which only keeps what
it is handed; torch, numpy and OmegaConf are never called by it. A name outside the allow-list is
refused. Tensors are references into the archive until `torch_file` maps them.

Sources: torch:torch/_utils.py (`_rebuild_tensor_v2`, `_rebuild_parameter`) and
torch/serialization.py (`persistent_id`) for what a tensor is; omegaconf:omegaconf/basecontainer.py
(`_content`) and omegaconf/nodes.py (`_val`) for what a configuration is.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from dataclasses import dataclass
from typing import Any

_STORAGE_DTYPES = {
    "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool",
}  # fmt: skip
"""Storage classes that a checkpoint may name, with the type of their numbers."""

_INERT_MODULES = (
    "omegaconf", "yacs", "easydict", "pytorch_lightning", "lightning", "lightning_fabric",
)  # fmt: skip
"""Packages all of whose classes become stand-ins: what options and callbacks are made of."""

_INERT_NAMES = {
    f"{module}.{name}"
    for modules, names in (
        (
            "builtins __builtin__",
            "dict list tuple set frozenset int long float complex str unicode bytes bytearray bool "
            "object slice",
        ),
        ("copyreg copy_reg", "_reconstructor"),
        ("_codecs", "encode"),
        ("collections", "OrderedDict defaultdict Counter deque"),
        ("typing", "Any Union Optional List Dict Tuple Set Sequence Mapping Callable"),
        ("argparse", "Namespace"),
        ("pathlib", "Path PosixPath WindowsPath PurePath PurePosixPath PureWindowsPath"),
        ("datetime", "datetime date time timedelta timezone"),
        ("numpy", "dtype ndarray float16 float32 float64 int32 int64 bool_ bool"),
        ("numpy.core.multiarray numpy._core.multiarray", "scalar _reconstruct"),
        ("numpy.core.numeric numpy._core.numeric", "_frombuffer"),
        ("torch", " ".join(_STORAGE_DTYPES)),
        ("torch", "Size Tensor device float16 bfloat16 float32 float64 uint8 int32 int64 bool"),
        ("torch.nn.parameter", "Parameter Buffer"),
        (
            "torch._utils",
            "_rebuild_tensor _rebuild_tensor_v2 _rebuild_parameter _rebuild_parameter_with_state",
        ),
        ("torch._tensor", "_rebuild_from_type_v2"),
    )
    for module in modules.split()
    for name in names.split()
}
"""Names of other packages that options, counters and tensors need."""

_DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
    ImportError, MemoryError, OverflowError, RecursionError, struct.error,
)  # fmt: skip
"""What the unpickler raises on damaged input."""


class RefusedPickle(Exception):
    """The pickle names something that no checkpoint needs, or is damaged."""


class Inert:
    """Stands for an object or a call: it keeps arguments, items and state, and does nothing."""

    name = ""
    """What the pickle called it, with its module."""

    def __new__(cls, *arguments: Any, **_: Any) -> Inert:
        """Keep the arguments; a pickle may make an object without initialising it."""
        made = super().__new__(cls)
        made.arguments = arguments
        made.items = {}
        made.state = None
        return made

    arguments: tuple[Any, ...]
    items: dict[Any, Any]
    state: Any

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, _: Any) -> None:
        """Take an item of a list of another class; nothing here needs it."""


@dataclass(frozen=True)
class StorageRef:
    """A block of numbers in the archive."""

    key: str
    """Name of its record below `data/`."""
    dtype: str
    """Name of a torch type, such as `float32`."""
    count: int
    """How many numbers."""


@dataclass(frozen=True)
class TensorRef:
    """A tensor as a view of a storage."""

    storage: StorageRef
    """Where its numbers are."""
    offset: int
    """First number."""
    shape: tuple[int, ...]
    """Its shape."""
    stride: tuple[int, ...]
    """Steps in the storage, in numbers, one for each axis."""


class _Reader(pickle.Unpickler):
    """Answers every name with a stand-in, and every storage with a reference."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, encoding="latin1")
        self._classes: dict[str, type[Inert]] = {}

    def find_class(self, module: str, name: str) -> type[Inert]:
        """The stand-in of an allowed name."""
        full = f"{module}.{name}"
        known = full in _INERT_NAMES or module.partition(".")[0] in _INERT_MODULES
        if not known or "." in name:
            raise RefusedPickle(f"it names `{full}`, which no checkpoint needs")
        if full not in self._classes:
            self._classes[full] = type("Inert", (Inert,), {"name": full})
        return self._classes[full]

    def persistent_load(self, pid: Any) -> StorageRef:
        """A reference to a block of numbers."""
        if not (isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage"):
            raise RefusedPickle("it refers to something that is no storage")
        _, kind, key, _, count = pid
        name = kind.name if isinstance(kind, type) and issubclass(kind, Inert) else ""
        dtype = _STORAGE_DTYPES.get(name.removeprefix("torch."))
        if dtype is None or not isinstance(key, str) or not _is_count(count):
            raise RefusedPickle(f"it holds numbers of an unknown kind `{name}`")
        return StorageRef(key, dtype, count)


def read_pickle(content: bytes) -> Any:
    """Read the pickle of a checkpoint. Tensors stay `Inert`: `tensor_of` says where they are.

    Args:
        content: The pickle; what follows its end is left alone.

    Returns:
        Plain values and containers, and `Inert` for everything else.

    Raises:
        RefusedPickle: It names what no checkpoint needs, or is damaged. Nothing was run.
    """
    try:
        _check_operations(content)
        return _Reader(io.BytesIO(content)).load()
    except _DAMAGE as reason:
        raise RefusedPickle(f"it is damaged: {reason or type(reason).__name__}") from reason


def tensor_of(value: Any) -> TensorRef | None:
    """The tensor that a stand-in is, or nothing where it is no plain tensor."""
    if not isinstance(value, Inert):
        return None
    kind, arguments = value.name.rpartition(".")[2], value.arguments
    if value.name == "torch._tensor._rebuild_from_type_v2":
        return _typed_tensor(arguments)
    if not value.name.startswith("torch._utils."):
        return None
    if kind in ("_rebuild_parameter", "_rebuild_parameter_with_state"):
        return tensor_of(arguments[0]) if arguments else None
    if kind in ("_rebuild_tensor", "_rebuild_tensor_v2"):
        return _plain_tensor(arguments)
    return None


def look_up(value: Any, *path: str) -> Any:
    """A value inside nested options: plain dictionaries, OmegaConf's and yacs's.

    Args:
        value: What `read_pickle` returned, or a part of it.
        path: The names that lead to it.

    Returns:
        The value, plain where it is one; nothing where the path leads nowhere.
    """
    for name in path:
        value = named_values(value).get(name)
    if isinstance(value, Inert) and isinstance(value.state, dict):
        return value.state.get("_val", value)
    return value


def named_values(value: Any) -> dict[Any, Any]:
    """The items of a dictionary, whatever its class was; empty where it is none."""
    if isinstance(value, Inert):
        content = value.state.get("_content") if isinstance(value.state, dict) else None
        return content if isinstance(content, dict) else value.items
    return value if isinstance(value, dict) else {}


def _typed_tensor(arguments: tuple[Any, ...]) -> TensorRef | None:
    """A tensor with attributes: the function that makes it, its class, arguments, attributes."""
    if len(arguments) < 3 or not isinstance(arguments[0], type):
        return None
    if not issubclass(arguments[0], Inert) or not isinstance(arguments[2], tuple):
        return None
    inner = arguments[0](*arguments[2])
    return tensor_of(inner) if inner.name.startswith("torch._utils.") else None


def _plain_tensor(arguments: tuple[Any, ...]) -> TensorRef | None:
    if len(arguments) < 4:
        return None
    storage, offset = arguments[:2]
    shape, stride = _sizes(arguments[2]), _sizes(arguments[3])
    if shape is None or stride is None or len(shape) != len(stride):
        return None
    if not isinstance(storage, StorageRef) or not _is_count(offset):
        return None
    return TensorRef(storage, offset, shape, stride)


def _sizes(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Inert) and value.name == "torch.Size" and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, tuple | list) or not all(_is_count(size) for size in value):
        return None
    return tuple(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _check_operations(content: bytes) -> None:
    """Refuse operations that take memory out of proportion, or names from outside the pickle."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name.startswith("EXT"):
            raise RefusedPickle("it names classes by number, which no checkpoint does")
        if "PUT" in operation.name and isinstance(argument, int) and argument > len(content):
            raise RefusedPickle("it is damaged: it numbers more objects than it has")
