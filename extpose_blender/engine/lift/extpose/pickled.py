"""Lets torch load a checkpoint, and nothing that is in it run.

Lightning pickles the options of a training run beside the weights: OmegaConf, yacs, callbacks,
optimisers. The names in a pickle are held against one list before torch sees it; then torch makes
the tensors with its `weights_only` reader, and whatever it does not know itself becomes an inert
stand-in, never the class of that name.

Sources: torch:torch/_weights_only_unpickler.py for what that reader does with classes it is given;
omegaconf:omegaconf/basecontainer.py (`_content`) and omegaconf/nodes.py (`_val`) for what a
configuration is.
"""

from __future__ import annotations

import pickletools
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from textwrap import shorten
from typing import IO, Any

import torch

_INERT_MODULES = (
    "omegaconf", "yacs", "easydict", "pytorch_lightning", "lightning", "lightning_fabric",
)  # fmt: skip
"""Packages all of whose classes become stand-ins: what options and callbacks are made of."""

_ALLOWED_NAMES = {
    f"{module} {name}"
    for modules, names in (
        (
            "builtins __builtin__",
            "dict list tuple set frozenset int long float complex str unicode bytes bool object "
            "slice",
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
        (
            "torch",
            "FloatStorage HalfStorage BFloat16Storage DoubleStorage LongStorage IntStorage "
            "ShortStorage CharStorage ByteStorage BoolStorage",
        ),
        ("torch", "Size Tensor device float16 bfloat16 float32 float64 uint8 int32 int64 bool"),
        ("torch.nn.parameter", "Parameter"),
        (
            "torch._utils",
            "_rebuild_tensor _rebuild_tensor_v2 _rebuild_parameter _rebuild_parameter_with_state",
        ),
        ("torch._tensor", "_rebuild_from_type_v2"),
    )
    for module in modules.split()
    for name in names.split()
}
"""Names of other packages that options, counters and tensors need. Of those that torch's reader
knows itself, the ones that copy tensors or take memory by number are left out."""

_LOADING = threading.Lock()
"""Torch's list of allowed classes belongs to the process, and so do the filters of warnings."""


class RefusedPickle(Exception):
    """The pickle names something that no checkpoint needs, or is damaged."""


class Inert:
    """Stands for an object or a call: it keeps a state, and does nothing."""

    state: Any = None
    """What the object would have been made of."""

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Take any arguments."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _InertMapping:
    """Stands for a class derived from `dict`: torch puts items into its own kinds only."""

    def __new__(cls, *_: Any) -> Any:
        return OrderedDict()


class _InertList:
    """Stands for a sequence that is filled after it was made."""

    def __new__(cls, *_: Any) -> Any:
        return []


_FILLED = {
    "CfgNode": _InertMapping, "EasyDict": _InertMapping, "AttributeDict": _InertMapping,
    "defaultdict": _InertMapping, "deque": _InertList,
}  # fmt: skip
"""Stand-ins of classes that take items, by their names."""


def check_pickle(content: bytes) -> None:
    """Refuse a pickle that holds what no checkpoint needs. Nothing is loaded.

    Args:
        content: The pickle; what follows its end is left alone.

    Raises:
        RefusedPickle: It names something that is not on the list, or is damaged.
    """
    try:
        for operation, argument, _ in pickletools.genops(content):
            if operation.name == "GLOBAL" and not _is_allowed(str(argument)):
                name = str(argument).replace(" ", ".")
                raise RefusedPickle(f"it names `{name}`, which no checkpoint needs")
            if operation.name == "PROTO" and argument != 2:
                raise RefusedPickle(
                    f"its pickle is of protocol {argument}, which no checkpoint needs"
                )
    except (ValueError, OverflowError, MemoryError, DeprecationWarning) as reason:
        raise _damage(reason) from reason


def load_inert(file: str | IO[bytes], **options: Any) -> Any:
    """Load an archive of torch's whose pickle was checked, with stand-ins for all that is not torch.

    Args:
        file: Its path, or a stream.
        options: Those of `torch.load`, such as `mmap`.

    Raises:
        RefusedPickle: Torch cannot load it.
        OSError: It cannot be read.
    """
    try:
        with _LOADING, warnings.catch_warnings(action="ignore"):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(file)
            if not isinstance(file, str):
                file.seek(0)
            with torch.serialization.safe_globals([_stand_in(name) for name in names]):
                return torch.load(file, weights_only=True, **options)
    except OSError:
        raise
    except Exception as reason:  # From a damaged file torch raises whatever comes up.
        raise _damage(reason) from reason


def look_up(value: Any, *path: str) -> Any:
    """A value inside nested options: plain dictionaries, OmegaConf's and yacs's.

    Args:
        value: What `load_inert` returned, or a part of it.
        path: The names that lead to it.

    Returns:
        The value, plain where it is one; nothing where the path leads nowhere.
    """
    for name in path:
        value = named_values(value).get(name)
    if isinstance(value, Inert) and isinstance(value.state, dict):
        return dict.get(value.state, "_val", value)
    return value


def named_values(value: Any) -> dict[Any, Any]:
    """The items of a dictionary, whatever its class was; empty where it is none."""
    if isinstance(value, Inert) and isinstance(value.state, dict):
        value = dict.get(value.state, "_content")
    # By `dict` itself: a pickle may give an OrderedDict an attribute `items`.
    return dict(dict.items(value)) if isinstance(value, dict) else {}


def _is_allowed(name: str) -> bool:
    """Whether a name is on the list: module and class as a pickle has them, a blank between."""
    module, _, attribute = name.partition(" ")
    if name in _ALLOWED_NAMES:
        return True
    return module.partition(".")[0] in _INERT_MODULES and "." not in attribute


def _stand_in(name: str) -> tuple[Callable[..., Any], str]:
    return _FILLED.get(name.rpartition(".")[2], Inert), name


def _damage(reason: Exception) -> RefusedPickle:
    """Say what an error says, in short: torch puts advice before it, and a trace of calls behind."""
    words = str(reason).rpartition("WeightsUnpickler error:")[2].strip().splitlines()
    what = words[0] if words else type(reason).__name__
    return RefusedPickle(f"it is damaged: {shorten(what, 120, placeholder=' …')}")
