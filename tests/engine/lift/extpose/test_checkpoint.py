"""A checkpoint is told by keys and shapes, read whole, and refused at its first wrong key."""

from __future__ import annotations

import shutil
import sys
import types
import zipfile
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from extpose_blender.engine.lift.extpose.checkpoint import is_checkpoint, read_checkpoint
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig
from extpose_blender.engine.lift.extpose.weights_file import network_of
from extpose_blender.protocol.errors import BadModelFile

from .checkpoints import (
    TINY,
    plain_config,
    plain_network,
    save_lightning,
    whole_state,
    write_sparse,
)

LAST_BLOCK = "backbone.blocks.1.mlp.fc1.weight"
QKV = "smpl_head.transformer.transformer.layers.0.0.fn.to_qkv.weight"


@pytest.mark.parametrize(("body", "kind"), [("smpl", "hmr2"), ("mano", "hamer")])
@pytest.mark.parametrize("form", ["lightning", "bare", "safetensors"])
def test_every_number_comes_back(body: str, kind: str, form: str, tmp_path: Path) -> None:
    net = plain_network(body=body)
    state, path = whole_state(net), tmp_path / "misnamed.pkl"
    if form == "lightning":
        save_lightning(path, state)
    elif form == "bare":
        torch.save(state, path)
    else:
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    assert is_checkpoint(path)
    found = read_checkpoint(path)
    assert (found.kind, found.config) == (kind, net.config)
    assert found.trained is None
    assert set(found.other) == {"initialized"}
    for key, value in net.state_dict().items():
        assert torch.equal(found.tensors[key], value), key
    for key, value in found.discriminator.items():
        assert torch.equal(state[f"discriminator.{key}"], value), key
    assert len(found.tensors) + len(found.discriminator) + 1 == len(state)


def test_the_network_says_what_it_said_before(tmp_path: Path) -> None:
    net = plain_network()
    again = network_of(read_checkpoint(save_lightning(tmp_path / "a.ckpt", whole_state(net))))
    picture = torch.randn(1, 2, 3, 32, 24)
    with torch.no_grad():
        before, after = net(image=picture, skeleton=picture), again(image=picture, skeleton=picture)
    assert torch.equal(before.rotmat, after.rotmat)
    assert torch.equal(before.camera, after.camera)
    assert not again.training


def test_options_of_a_real_omegaconf_object_are_read() -> None:
    found = read_checkpoint(TINY)
    assert found.kind == "hmr2"
    # Two heads of 16 numbers: shapes alone would not tell, and the rule would refuse.
    assert (found.config.decoder_heads, found.config.decoder_dim_head) == (2, 16)
    assert (found.config.image_size, found.config.patch_size) == ((32, 24), 8)
    out = network_of(found)(image=torch.zeros(1, 1, 3, 32, 24))
    assert out.rotmat.shape == (1, 1, 24, 3, 3)
    # The maker draws whole numbers from -8 to 8 over 64.
    assert torch.equal((found.tensors[QKV] * 64).round(), found.tensors[QKV] * 64)


def test_options_in_classes_derived_from_dictionaries_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As yacs keeps them: a class of its own with items, and flags as attributes.
    module = types.ModuleType("yacs.config")
    node = type("CfgNode", (dict,), {"__module__": "yacs.config"})
    monkeypatch.setattr(module, "CfgNode", node, raising=False)
    monkeypatch.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
    monkeypatch.setitem(sys.modules, "yacs.config", module)
    cfg = node(TRANSFORMER_DECODER=node(heads=4))
    vars(cfg)["__immutable__"] = True
    options = {
        "cfg": node(MODEL=node(SMPL_HEAD=cfg)),
        "counts": defaultdict(dict, a={}),
        "queue": deque([1, 2], 3),
        "path": Path("a"),
        "number": np.float64(3),
        "array": np.arange(3),
    }
    net = plain_network(decoder_heads=4, decoder_dim_head=16)
    path = save_lightning(tmp_path / "a.ckpt", net.state_dict(), hyper_parameters=options)
    assert read_checkpoint(path).config == net.config


def test_parameters_and_buffers_are_read_as_plain_tensors(tmp_path: Path) -> None:
    net = plain_network()
    state: dict[str, torch.Tensor] = dict(net.named_parameters())
    state |= {k: torch.nn.Buffer(v) for k, v in net.state_dict().items() if k not in state}
    state[LAST_BLOCK].note = "attributes go with the tensor"
    found = read_checkpoint(save_lightning(tmp_path / "a.ckpt", state))
    for key, value in net.state_dict().items():
        assert type(found.tensors[key]) is torch.Tensor
        assert not found.tensors[key].requires_grad
        assert torch.equal(found.tensors[key], value), key


@pytest.mark.parametrize(
    ("name", "kind", "count"), [("hmr2", "hmr2", 576), ("hamer", "hamer", 563)]
)
def test_published_key_lists_load_at_real_size(
    name: str, kind: str, count: int, shared_path: Callable[[str], Path], tmp_path: Path
) -> None:
    path = write_sparse(tmp_path / "a.ckpt", shared_path(f"fixtures/state_dict_{name}.json"))
    found = read_checkpoint(path)
    body = "smpl" if kind == "hmr2" else "mano"
    assert (found.kind, found.config) == (kind, ExtPoseConfig(body=body))
    groups = (found.tensors, found.discriminator, found.body, found.other)
    assert sum(len(group) for group in groups) == count
    assert set(found.other) == {"initialized"}
    assert not found.notes
    net = network_of(found)
    optimised = {"smpl": 630_912_000 + 39_547_037, "mano": 630_912_000 + 39_497_837}
    assert sum(p.numel() for p in net.parameters()) == optimised[body]


def test_sizes_are_read_off_the_shapes(tmp_path: Path) -> None:
    for number, changes in enumerate(
        (
            {"embed_dim": 768, "num_heads": 12, "depth": 1},
            {"embed_dim": 384, "num_heads": 12, "depth": 1},
            {"image_size": (64, 48), "patch_size": 16},
            {"image_size": (40, 40), "patch_size": 8},
            {"decoder_dim": 48, "decoder_heads": 3, "decoder_depth": 1, "decoder_mlp_dim": 20},
        )
    ):
        net = ExtPose(plain_config(**changes))
        path = save_lightning(tmp_path / f"{number}.ckpt", net.state_dict())
        assert read_checkpoint(path).config == net.config


def test_an_archive_in_another_order_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(TINY) as source, zipfile.ZipFile(path, "w") as target:
        for name in reversed(source.namelist()):
            target.writestr(name, source.read(name))
    assert is_checkpoint(path)
    tensors = read_checkpoint(TINY).tensors
    for key, value in read_checkpoint(path).tensors.items():
        assert torch.equal(value, tensors[key]), key


def test_half_precision_files_are_read(tmp_path: Path) -> None:
    net = plain_network()
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        state = {key: value.to(dtype) for key, value in net.state_dict().items()}
        found = read_checkpoint(save_lightning(tmp_path / "a.ckpt", state))
        assert torch.equal(found.tensors[LAST_BLOCK], state[LAST_BLOCK])
        assert network_of(found).backbone.pos_embed.dtype == torch.float32


def test_views_and_shared_storages_are_read(tmp_path: Path) -> None:
    net = plain_network()
    state = net.state_dict()
    whole = torch.randn(4 * 64 + 3, 64)
    state[LAST_BLOCK] = whole[3:]
    state["backbone.blocks.1.mlp.fc2.weight"] = whole[3:].T
    found = read_checkpoint(save_lightning(tmp_path / "a.ckpt", state))
    assert torch.equal(found.tensors[LAST_BLOCK], whole[3:])
    assert torch.equal(found.tensors["backbone.blocks.1.mlp.fc2.weight"], whole[3:].T)


def test_training_on_mapped_weights_leaves_the_file_alone(tmp_path: Path) -> None:
    path = save_lightning(tmp_path / "a.ckpt", plain_network().state_dict())
    before = path.read_bytes()
    net = network_of(read_checkpoint(path))
    with torch.no_grad():
        for value in net.parameters():
            value.zero_()
    assert path.read_bytes() == before


@pytest.mark.parametrize("key", ["backbone.pos_embed", "backbone.blocks.1.norm1.weight",
    LAST_BLOCK, "backbone.last_norm.bias", "smpl_head.init_cam", QKV,
    "smpl_head.decpose.weight"])  # fmt: skip
@pytest.mark.parametrize("form", ["ckpt", "safetensors"])
def test_first_wrong_key_is_named_with_both_shapes(key: str, form: str, tmp_path: Path) -> None:
    state = dict(plain_network(depth=3, decoder_depth=3).state_dict())
    right = tuple(state[key].shape)
    state[key] = torch.cat([state[key]] * 2, dim=-1)
    path = tmp_path / "a"
    save_lightning(path, state) if form == "ckpt" else save_file(state, path)
    with pytest.raises(BadModelFile) as caught:
        read_checkpoint(path)
    words = caught.value.message
    # A wrong number of positions is seen before a grid is made of it.
    assert f"`{key}`" in words
    assert str(tuple(state[key].shape)) in words
    assert key == "backbone.pos_embed" or f"must be {right}" in words
    assert caught.value.exit_code == 3


def test_a_missing_or_foreign_key_is_named(tmp_path: Path) -> None:
    state = dict(plain_network().state_dict())
    path = tmp_path / "a.ckpt"
    save_lightning(path, {k: v for k, v in state.items() if k != LAST_BLOCK})
    with pytest.raises(BadModelFile, match=rf"`{LAST_BLOCK}` must be \(256, 64\), and is missing"):
        read_checkpoint(path)
    save_lightning(path, state | {"backbone.blocks.0.gamma": torch.zeros(64)})
    with pytest.raises(BadModelFile, match=r"`backbone.blocks.0.gamma` \(64,\) is no part"):
        read_checkpoint(path)
    save_lightning(path, state | {"keypoint_head.x": torch.zeros(3)})
    assert "keypoint_head" in read_checkpoint(path).notes[-1]
    save_lightning(path, state | {"discriminator.D_conv1.bias": torch.zeros(3)})
    with pytest.raises(BadModelFile, match=r"`discriminator.D_conv1.weight`"):
        read_checkpoint(path)


def test_a_published_network_that_lost_its_last_block_is_no_smaller_network(
    shared_path: Callable[[str], Path], tmp_path: Path
) -> None:
    import json

    table = json.loads(shared_path("fixtures/state_dict_hmr2.json").read_text())
    rows = table["state_dict"]
    table["state_dict"] = {k: v for k, v in rows.items() if ".blocks.31." not in k}
    (tmp_path / "table.json").write_text(json.dumps(table))
    path = write_sparse(tmp_path / "a.ckpt", tmp_path / "table.json")
    with pytest.raises(BadModelFile, match=r"`backbone.blocks.31.norm1.weight` must be \(1280,\)"):
        read_checkpoint(path)


def test_unknown_head_counts_are_refused_and_rules_are_told(tmp_path: Path) -> None:
    net = ExtPose(plain_config(embed_dim=32))
    with pytest.raises(BadModelFile, match="cannot be told from 32 numbers"):
        read_checkpoint(save_lightning(tmp_path / "a.ckpt", net.state_dict()))
    net = ExtPose(plain_config(embed_dim=192, num_heads=3))
    found = read_checkpoint(save_lightning(tmp_path / "a.ckpt", net.state_dict()))
    assert found.config == net.config
    assert "heads: 3 of 64 numbers" in found.notes[0]


def test_a_backbone_alone_is_known_as_one(tmp_path: Path) -> None:
    net = plain_network()
    state = {k.removeprefix("backbone."): v for k, v in net.backbone.state_dict().items()}
    found = read_checkpoint(save_lightning(tmp_path / "vit.pth", state))
    assert found.kind == "vit-backbone"
    net.backbone.load_state_dict(
        {k.removeprefix("backbone."): v for k, v in found.tensors.items()}, strict=True
    )
    with pytest.raises(BadModelFile, match="backbone without a head"):
        network_of(found)


@pytest.mark.parametrize("form", ["ckpt", "safetensors"])
def test_an_incomplete_file_names_the_first_tensor_that_is_lost(form: str, tmp_path: Path) -> None:
    state = dict(plain_network().state_dict())
    path = tmp_path / "a"
    save_lightning(path, state) if form == "ckpt" else save_file(state, path)
    content = path.read_bytes()
    place = content.index(state[LAST_BLOCK].numpy().tobytes()) + 1000
    path.write_bytes(content[:place])
    assert is_checkpoint(path)
    with pytest.raises(BadModelFile) as caught:
        read_checkpoint(path)
    assert f"`{LAST_BLOCK}` (256, 64) takes 65536 bytes, 1000 are there" in caught.value.message


@pytest.mark.parametrize("form", ["ckpt", "safetensors"])
def test_files_cut_anywhere_are_refused(form: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    if form == "ckpt":
        shutil.copy(TINY, path)
    else:
        save_file(dict(plain_network().state_dict()), path)
    content = path.read_bytes()
    for kept in [0, 1, 4, 8, 9, 30, 60, 200, 3000, *range(9000, len(content), 21111)]:
        path.write_bytes(content[:kept])
        with pytest.raises(BadModelFile):
            read_checkpoint(path)


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    with pytest.raises(BadModelFile, match="cannot be read"):
        read_checkpoint(path)
    with pytest.raises(BadModelFile, match="cannot be read"):
        read_checkpoint(tmp_path)
    for content in (b"", b"hello", b"PK\x03\x04" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(BadModelFile):
            read_checkpoint(path)
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(BadModelFile, match="first key is `a`"):
        read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(BadModelFile, match="neither `smpl_head"):
        read_checkpoint(path)
