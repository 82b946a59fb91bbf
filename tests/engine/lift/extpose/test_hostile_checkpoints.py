"""Nothing in a file is run, whatever it says, and no damage is any other error than ours."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import operator
import os
import pickle
import struct
import subprocess
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from extpose_blender.engine.lift.extpose.checkpoint import is_checkpoint, read_checkpoint
from extpose_blender.protocol.errors import BadModelFile

from .checkpoints import TINY, plain_network, save_lightning


class Call:
    """Pickles as a call of anything, with a state to set afterwards."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.answer = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.answer


ATTACKS: dict[str, Callable[[str], Any]] = {
    "os.system": lambda mark: Call(os.system, f"touch {mark}"),
    "eval": lambda mark: Call(eval, f"open({mark!r}, 'w')"),
    "exec": lambda mark: Call(exec, f"open({mark!r}, 'w')"),
    "open": lambda mark: Call(open, mark, "w"),
    "getattr": lambda mark: Call(getattr, "", "join"),
    "subprocess": lambda mark: Call(subprocess.check_call, ["touch", mark]),
    "nested": lambda mark: Call(functools.partial, Call(eval, f"open({mark!r}, 'w')")),
    "attrgetter": lambda mark: Call(operator.attrgetter, "system"),
    "numpy": lambda mark: Call(np.testing.measure, f"open({mark!r}, 'w')"),
    "numpy.save": lambda mark: Call(np.save, mark, 1),
    "torch.save": lambda mark: Call(torch.save, 1, mark),
    "torch.load": lambda mark: Call(torch.load, mark),
    "torch.from_file": lambda mark: Call(torch.from_file, mark, True, 1),
    "set state": lambda mark: Call(functools.partial, print, state={"__setstate__": os.system}),
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("place", ["options", "weight", "top"])
def test_a_call_is_refused_and_not_run(attack: str, place: str, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = ATTACKS[attack](str(mark))
    state: dict[str, Any] = dict(plain_network().state_dict())
    path = tmp_path / "a.ckpt"
    if place == "options":
        save_lightning(path, state, hyper_parameters={"cfg": evil})
    elif place == "weight":
        save_lightning(path, state | {"backbone.pos_embed": evil})
    else:
        torch.save(evil, path)
    assert is_checkpoint(path)
    with pytest.raises(BadModelFile, match=r"no checkpoint needs|damaged"):
        read_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "name",
    ["numpy.testing._private.utils runstring", "numpy.f2py compile", "numpy load", "torch load",
     "torch.hub load", "torch.utils.cpp_extension load_inline", "torch._utils _import_dotted_name",
     "builtins object.__subclasses__", "builtins eval", "__builtin__ apply", "posix system",
     "pathlib os.system", "omegaconf os.system", "pytorch_lightning.utilities os.system",
     "typing sys.modules", "collections namedtuple", "copyreg __newobj__", "omegaconfx x",
     "runpy run_path", "webbrowser open"],
)  # fmt: skip
@pytest.mark.parametrize("protocol", [2, 4])
def test_only_names_of_the_list_are_allowed(name: str, protocol: int, tmp_path: Path) -> None:
    module, attribute = name.encode().split()
    if protocol == 2:
        content = b"\x80\x02c" + module + b"\n" + attribute + b"\n)R."
    else:
        content = b"\x80\x04\x8c" + bytes([len(module)]) + module
        content += b"\x8c" + bytes([len(attribute)]) + attribute + b"\x93)R."
    with pytest.raises(BadModelFile, match="no checkpoint needs"):
        read_checkpoint(write_archive(tmp_path / "a.ckpt", {"data.pkl": content}))


def test_stand_ins_take_a_state_and_do_nothing(tmp_path: Path) -> None:
    # A real configuration would act on such a state; an OrderedDict takes it as attributes.
    content = (
        b"\x80\x02](ccollections\nOrderedDict\n)R}X\x0c\x00\x00\x00__setstate__cbuiltins\nint\nsb"
        b"comegaconf.dictconfig\nDictConfig\n)\x81X\x01\x00\x00\x00xbe."
    )
    with pytest.raises(BadModelFile, match="neither `smpl_head"):
        read_checkpoint(write_archive(tmp_path / "a.ckpt", {"data.pkl": content}))


@pytest.mark.parametrize(
    "content",
    [b"ctorch._utils\n_rebuild_parameter\nK\x01K\x02\x86R", b"comegaconf.nodes\nAnyNode\n)RK\x01K\x02s",
     b"ctorch\nTensor\n)RK\x01b", b"ctorch\nFloatTensor\n)R", b"cbuiltins\nbytearray\nK\x01\x85R",
     b"ctorch._utils\n_rebuild_device_tensor_from_cpu_tensor\n)R", b"K\x01)R", b"K\x01Q",
     b"(X\x07\x00\x00\x00storagecomegaconf.nodes\nAnyNode\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ",
     b"ctorch._tensor\n_rebuild_from_type_v2\n(comegaconf.nodes\nAnyNode\nctorch\nTensor\n)}tR"],
)  # fmt: skip
def test_junk_handed_to_what_torch_knows_is_damage(content: bytes, tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.ckpt", {"data.pkl": b"\x80\x02" + content + b"."})
    with pytest.raises(BadModelFile, match=r"damaged|no checkpoint needs") as caught:
        read_checkpoint(path)
    assert "weights_only" not in caught.value.message
    assert "\n" not in caught.value.message


def test_attributes_of_a_dictionary_are_not_called(tmp_path: Path) -> None:
    class Named(OrderedDict):
        """Pickles as an OrderedDict whose methods are covered up."""

        def __reduce__(self) -> tuple[Any, ...]:
            covers = dict.fromkeys(("get", "items", "keys", "__iter__", "__getitem__"), 3)
            return OrderedDict, (), covers, None, iter(OrderedDict.items(self))

    net = plain_network()
    path = tmp_path / "a.ckpt"
    torch.save(Named(state_dict=Named(net.state_dict()), hyper_parameters=Named(cfg=1)), path)
    found = read_checkpoint(path)
    for key, value in net.state_dict().items():
        assert torch.equal(found.tensors[key], value), key


def test_torch_knows_no_more_classes_afterwards(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    read_checkpoint(TINY)
    assert set(torch.serialization.get_safe_globals()) == before
    junk = b"\x80\x02comegaconf.nodes\nAnyNode\nK\x01R."
    with pytest.raises(BadModelFile):
        read_checkpoint(write_archive(tmp_path / "a.ckpt", {"data.pkl": junk}))
    assert set(torch.serialization.get_safe_globals()) == before


def test_files_may_be_read_at_the_same_time() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read_checkpoint, [TINY] * 24))
    assert {checkpoint.config for checkpoint in found} == {found[0].config}


def test_archives_that_torch_would_misread_are_refused(tmp_path: Path) -> None:
    good = {"data.pkl": b"\x80\x02}."}
    path = tmp_path / "a.ckpt"
    for records, words in (
        (good | {"DATA.PKL": b"\x80\x02]."}, "same name"),
        (good | {"byteorder": b"big"}, "order of bytes"),
        (good | {"constants.pkl": b""}, "torchscript"),
        ({"data/0": b""}, "holds no `data.pkl`|neither"),
        ({"data.pkl": bytes((1 << 25) + 1)}, "takes 33554433 bytes"),
    ):
        with pytest.raises(BadModelFile, match=words):
            read_checkpoint(write_archive(path, records))
    # By that name, torch.load would hand the file to another reader.
    with pytest.raises(BadModelFile, match="not by safetensors"):
        read_checkpoint(write_archive(tmp_path / "a.safetensors", good))


def test_older_formats_are_refused_unread(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    evil = Call(os.system, f"touch {mark}")
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": evil}, path, _use_new_zipfile_serialization=False)
    assert is_checkpoint(path)
    with pytest.raises(BadModelFile, match=r"before release 1\.6"):
        read_checkpoint(path)
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(evil)
            row = tarfile.TarInfo(name)
            row.size = len(content)
            archive.addfile(row, io.BytesIO(content))
    with pytest.raises(BadModelFile, match=r"before release 1\.6"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(evil))
    with pytest.raises(BadModelFile, match="neither"):
        read_checkpoint(path)
    assert not mark.exists()


def test_packed_records_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(50_000_000))
    with pytest.raises(BadModelFile, match="packed"):
        read_checkpoint(path)


def test_a_pickle_that_asks_for_memory_is_refused(tmp_path: Path) -> None:
    for content in (
        b"\x80\x02}r\xff\xff\xff\x7f.",  # Puts an object in place two thousand million.
        b"\x80\x02}p2000000000\n.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",  # Announces bytes that are not there.
        b"\x80\x02" + b"(" * 300_000 + b"t" * 300_000 + b".",
    ):
        with pytest.raises(BadModelFile):
            read_checkpoint(write_archive(tmp_path / "a.ckpt", {"data.pkl": content}))


@pytest.mark.parametrize(
    ("offset", "shape", "stride", "count"),
    [(0, (5,), (1,), 4), (1, (4,), (1,), 4), (0, (2, 2), (3, 2), 4), (0, (1 << 40,), (0,), 4),
     (0, (1 << 40, 1 << 40), (0, 0), 4), (0, (0, 1 << 40), (1, 1), 4), (0, (9,), (1,), 9),
     (0, (4,), (1, 1), 4), (0, (-4,), (1,), 4), (1 << 60, (1,), (1,), 4), (0, (4,), (-1,), 4),
     (0, (2, 4000), (3999, -1), 4)],
)  # fmt: skip
def test_a_tensor_must_fit_its_storage(
    offset: int, shape: tuple[int, ...], stride: tuple[int, ...], count: int, tmp_path: Path
) -> None:
    class Storage:
        """Stands for four numbers, whatever it announces."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            kept = isinstance(obj, Storage)
            return ("storage", torch.FloatStorage, "0", "cpu", count) if kept else None

    stream = io.BytesIO()
    tensor = Call(torch._utils._rebuild_tensor_v2, Storage(), offset, shape, stride, False, {})
    Pickler(stream, 2).dump({"smpl_head.init_cam": tensor})
    path = write_archive(tmp_path / "a", {"data.pkl": stream.getvalue(), "data/0": bytes(16)})
    with pytest.raises(BadModelFile, match="damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize("form", ["ckpt", "safetensors"])
def test_flipped_bytes_are_never_another_error(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if form == "ckpt":
        whole = TINY.read_bytes()
        start, end = 0, whole.index(b"PK\x03\x04", 100)
        tail = len(whole) - whole.index(b"PK\x01\x02")
    else:
        save_file(dict(plain_network().state_dict()), path, {"extpose": "{}"})
        whole = path.read_bytes()
        start, end, tail = 0, 8 + struct.unpack("<Q", whole[:8])[0], 0
    rng = np.random.default_rng(0)
    for _ in range(150):
        content = bytearray(whole)
        for at in rng.integers(start, end, 3):
            content[at] = rng.integers(256)
        if tail:
            content[len(content) - rng.integers(1, tail)] = rng.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(BadModelFile):
            read_checkpoint(path)


@pytest.mark.parametrize(
    "header",
    [
        b"{", b"[]", b"{}", b"null", b'{"smpl_head.a": 3}', b'{"smpl_head.a": {}}',
        b'{"smpl_head.a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 9]}}',
        b'{"smpl_head.a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, -8]}}',
        b'{"smpl_head.a": {"dtype": "F32", "shape": [1e3], "data_offsets": [0, 4000]}}',
        b'{"smpl_head.a": {"dtype": "X9", "shape": [2], "data_offsets": [0, 8]}}',
        b'{"smpl_head.a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}',
        b'{"smpl_head.a": {"dtype": "F32", "shape": [99], "data_offsets": [0, 396]}}',
        b'{"a":' * 20_000,
        b"\xff\xfe\xfd{",
    ],
)  # fmt: skip
def test_bad_safetensors_headers_are_refused(header: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(BadModelFile):
        read_checkpoint(path)
    path.write_bytes(struct.pack("<Q", 1 << 39) + header + bytes(16))
    with pytest.raises(BadModelFile):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("config", "{"), ("config", []), ("config", {"depth": 10**9}), ("frames", "x"),
     ("config", {"depth": 0}), ("config", {"layers": 3}), ("streams", "sound"), ("frames", 0),
     ("kind", "hamer"), ("format_version", 99), ("format_version", "one"), ("frames", None),
     ("config", {"embed_dim": 16 << 70}), ("config", {"body": "mano"}), ("kind", []),
     ("config", {"image_size": [16, 16]}), ("config", {"image_size": 3}), ("frames", 1e999)],
)  # fmt: skip
def test_wrong_metadata_is_refused(key: str, value: Any, tmp_path: Path) -> None:
    net = plain_network()
    good = {
        "format_version": 1, "kind": "extpose-smpl", "config": net.config.to_dict(),
        "streams": "both", "frames": 16, "body_id": "smpl", "licence": "CC0", "source": "here",
    }  # fmt: skip
    path = tmp_path / "a.safetensors"

    def save(about: Any) -> None:
        save_file(dict(net.state_dict()), path, {"extpose": json.dumps(about)})

    save(good)
    assert read_checkpoint(path).config == net.config
    save(good | {key: value})
    with pytest.raises(BadModelFile):
        read_checkpoint(path)
    for wrong in ({k: v for k, v in good.items() if k != key}, [], None, "x"):
        save(wrong)
        with pytest.raises(BadModelFile, match="metadata is damaged"):
            read_checkpoint(path)


def write_archive(path: Path, records: dict[str, bytes]) -> Path:
    """Write records in the form of torch's archives."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in ({"version": b"3\n"} | records).items():
            archive.writestr(f"archive/{name}", content)
    return path
