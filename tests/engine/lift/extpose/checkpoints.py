"""Makes checkpoints: small ones as Lightning saves them, and sparse ones of real size."""

from __future__ import annotations

import io
import json
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from extpose_blender.engine.lift.extpose.discriminator import Discriminator
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig

from .networks import stir

TINY = Path(__file__).resolve().parents[3] / "data" / "checkpoints" / "tiny_hmr2.ckpt"
"""A file with a real OmegaConf object; see tests/data/README.md."""


def plain_config(**changes: Any) -> ExtPoseConfig:
    """A network all of whose sizes can be read off its shapes."""
    sizes = {
        "image_size": (32, 24),
        "patch_size": 8,
        "embed_dim": 64,
        "depth": 2,
        "num_heads": 1,
        "decoder_dim": 32,
        "decoder_depth": 2,
        "decoder_heads": 1,
        "decoder_dim_head": 64,
        "decoder_mlp_dim": 24,
    }
    return ExtPoseConfig(**(sizes | changes))


def plain_network(seed: int = 0, **changes: Any) -> ExtPose:
    """A network of `plain_config` with random weights."""
    torch.manual_seed(seed)
    net = ExtPose(plain_config(**changes)).eval()
    stir(net)
    return net


def whole_state(net: ExtPose) -> dict[str, Tensor]:
    """What Lightning would save of a model with this network: discriminator and flag included."""
    torch.manual_seed(1)
    judge = Discriminator(net.config.num_joints - 1).state_dict()
    return {
        "initialized": torch.tensor(True),
        **net.state_dict(),
        **{f"discriminator.{key}": value for key, value in judge.items()},
    }


def save_lightning(path: Path, state: Mapping[str, Tensor], **more: Any) -> Path:
    """Save tensors as Lightning does, with counters and options beside them."""
    content = {
        "epoch": 1,
        "global_step": 2,
        "state_dict": OrderedDict(state),
        "hyper_parameters": {"cfg": {"MODEL": {"IMAGE_SIZE": 256}}},
    }
    torch.save(content | more, path)
    return path


def write_sparse(path: Path, table: Path) -> Path:
    """Write a checkpoint with the keys and shapes of a table, whose numbers are holes in the file.

    Args:
        path: The checkpoint.
        table: `state_dict_*.json` of the shared fixtures.
    """
    rows = json.loads(table.read_text())["state_dict"]
    stream = io.BytesIO()
    pickler = _Pickler(stream, protocol=2)
    tensors = {
        key: _Tensor(str(number), row["dtype"], tuple(row["shape"]))
        for number, (key, row) in enumerate(rows.items())
    }
    pickler.dump({"epoch": 0, "state_dict": tensors})
    with open(path, "wb") as out:
        index = [_record(out, "archive/data.pkl", stream.getvalue())]
        index.append(_record(out, "archive/version", b"3\n"))
        for tensor in tensors.values():
            index.append(_record(out, f"archive/data/{tensor.key}", None, tensor.size))
        start = out.tell()
        for name, offset, size in index:
            out.write(struct.pack(
                "<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, size, size, len(name), 0, 0,
                0, 0, 0, offset,
            ) + name)  # fmt: skip
        length = out.tell() - start
        out.write(
            struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, len(index), len(index), length, start, 0)
        )
    return path


class _Storage:
    def __init__(self, key: str, dtype: str, count: int) -> None:
        kinds = {"float32": "FloatStorage", "int64": "LongStorage", "bool": "BoolStorage"}
        self.pid = ("storage", getattr(torch, kinds[dtype]), key, "cuda:0", count)


class _Tensor:
    """Pickles as a tensor does, without numbers."""

    def __init__(self, key: str, dtype: str, shape: tuple[int, ...]) -> None:
        self.key, self.shape = key, shape
        self.storage = _Storage(key, dtype, math.prod(shape))
        self.size = math.prod(shape) * getattr(torch, dtype).itemsize

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        stride = torch.empty(self.shape, device="meta").stride()
        return torch._utils._rebuild_tensor_v2, (
            self.storage, 0, self.shape, stride, False, OrderedDict(),
        )  # fmt: skip


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return obj.pid if isinstance(obj, _Storage) else None


def _record(out: Any, name: str, content: bytes | None, size: int = 0) -> tuple[bytes, int, int]:
    size = size if content is None else len(content)
    offset, encoded = out.tell(), name.encode()
    padding = -(offset + 30 + len(encoded)) % 64
    out.write(struct.pack(
        "<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, size, size, len(encoded), padding,
    ) + encoded + bytes(padding))  # fmt: skip
    if content is None:
        out.seek(size, 1)
    else:
        out.write(content)
    return encoded, offset, size
