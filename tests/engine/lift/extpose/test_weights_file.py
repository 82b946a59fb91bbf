"""Weights are found by name or file, kept with all that is known of them, and loaded once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine import weights as folder
from extpose_blender.engine.add_model import add_model, body_arrays
from extpose_blender.engine.body.files import read_body_file
from extpose_blender.engine.body.licensed import make_smplx_model
from extpose_blender.engine.lift.extpose import weights_file
from extpose_blender.engine.lift.extpose.checkpoint import TrainedFor, read_checkpoint
from extpose_blender.engine.lift.extpose.weights_file import (
    find_weights,
    load_network,
    write_weights,
)
from extpose_blender.protocol.errors import (
    BadModelFile,
    MissingModel,
    OutputNotWritable,
    UsageError,
)
from extpose_blender.protocol.files import sha256_of

from ...body.conftest import make_body
from .checkpoints import TINY, plain_network, save_lightning, whole_state

OURS = TrainedFor("both", 16, "open", "CC0-1.0", "made by a test")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model folder."""
    monkeypatch.setenv(folder.FOLDER_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    net = plain_network(block_layout="union", temporal_position=True, context="image")
    path = tmp_path / "deep" / "own.safetensors"
    write_weights(path, net, OURS)
    info = find_weights(str(path))
    assert (info.name, info.kind, info.sha256) == ("own", "extpose-smpl", sha256_of(path))
    assert info.config == net.config
    assert TrainedFor(info.streams, info.frames, info.body_id, info.licence, info.source) == OURS
    again = load_network(info)
    assert not again.training
    for key, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    assert path.stat().st_mode == TINY.stat().st_mode


def test_sizes_that_shapes_do_not_tell_come_from_the_metadata(tmp_path: Path) -> None:
    net = plain_network(embed_dim=48, num_heads=6, decoder_heads=8, decoder_dim_head=4)
    write_weights(tmp_path / "a.safetensors", net, OURS)
    assert read_checkpoint(tmp_path / "a.safetensors").config == net.config


def test_tensors_are_written_as_a_network_is(tmp_path: Path) -> None:
    net = plain_network(body="mano")
    tensors = dict(net.state_dict())
    tensors["backbone.pos_embed"] = tensors["backbone.pos_embed"].double()
    tensors["backbone.last_norm.bias"] = tensors["backbone.last_norm.weight"]  # Shares its numbers.
    write_weights(tmp_path / "a.safetensors", tensors, OURS, config=net.config, kind="hamer")
    found = read_checkpoint(tmp_path / "a.safetensors")
    assert found.kind == "hamer"
    assert found.tensors["backbone.pos_embed"].dtype == torch.float32
    assert torch.equal(found.tensors["backbone.last_norm.bias"], tensors["backbone.last_norm.bias"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_networks_are_made_in_the_type_that_is_asked_for(dtype: torch.dtype) -> None:
    net = load_network(find_weights(str(TINY)), dtype=dtype)
    assert {value.dtype for value in net.state_dict().values()} == {dtype}


def test_added_checkpoint_keeps_its_numbers_and_its_purpose(home: Path, tmp_path: Path) -> None:
    net = plain_network()
    file = save_lightning(tmp_path / "epoch=35.ckpt", whole_state(net))
    added = add_model(file)
    assert (added.model.name, added.model.kind, added.body) == ("hmr2", "weights", None)
    assert "SMPL" in added.model.licence
    kept = read_checkpoint(home / added.model.file)
    assert (kept.kind, kept.config) == ("hmr2", net.config)
    for key, value in whole_state(net).items():
        if key != "initialized":
            group = kept.discriminator if key.startswith("discriminator.") else kept.tensors
            assert torch.equal(group[key.removeprefix("discriminator.")], value)
    for name in (None, "hmr2"):
        info = find_weights(name)
        assert (info.streams, info.frames, info.body_id) == ("image", 1, "smpl")
        assert info.sha256 == added.model.sha256
    assert not [fault for _, fault in folder.verify_added() if fault]


def test_our_own_weights_keep_their_purpose_when_added(home: Path, tmp_path: Path) -> None:
    net = plain_network(block_layout="alternate")
    write_weights(tmp_path / "a.safetensors", net, OURS)
    added = add_model(tmp_path / "a.safetensors")
    assert (added.model.name, added.model.licence) == ("extpose-smpl", OURS.licence)
    info = find_weights("extpose-smpl")
    assert TrainedFor(info.streams, info.frames, info.body_id, info.licence, info.source) == OURS
    assert info.config == net.config
    again = add_model(home / added.model.file)  # Onto itself.
    assert again.model.sha256 == added.model.sha256


def test_hash_of_added_weights_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    add_model(TINY, "mine")

    def refuse(path: Path) -> str:
        raise AssertionError(f"{path} was read whole")

    monkeypatch.setattr(weights_file, "sha256_of", refuse)
    assert find_weights(None).name == "mine"


def test_weights_are_chosen_by_body_and_by_name(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match="No weights for bodies"):
        find_weights(None)
    with pytest.raises(MissingModel, match="`hmr2` were not added"):
        find_weights("hmr2")
    with pytest.raises(BadModelFile, match="does not exist"):
        find_weights("absent.ckpt")
    add_model(TINY, "first")
    hands = save_lightning(tmp_path / "hands.ckpt", plain_network(body="mano").state_dict())
    add_model(hands)
    assert find_weights(None).name == "first"
    assert find_weights(None, "mano").name == "hamer"
    with pytest.raises(UsageError, match="are for hands, wanted some for bodies"):
        find_weights("hamer")
    with pytest.raises(UsageError, match="are for hands"):
        find_weights(str(hands))
    add_model(TINY, "second")
    with pytest.raises(UsageError, match="`first`, `second`"):
        find_weights(None)
    assert find_weights("second").name == "second"


def test_weights_that_ship_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_model(TINY)
    monkeypatch.setattr(weights_file, "resource_root", lambda: tmp_path / "shipped")
    assert find_weights(None).name == "hmr2"
    write_weights(
        tmp_path / "shipped" / "weights" / "extpose-smpl-small.safetensors", plain_network(), OURS
    )
    assert find_weights(None).name == "extpose-smpl-small"
    assert find_weights("extpose-smpl-small").streams == "both"
    assert find_weights("hmr2").kind == "hmr2"


def test_numbers_that_are_not_finite_are_refused_when_added(home: Path, tmp_path: Path) -> None:
    state = dict(plain_network().state_dict())
    state["backbone.last_norm.bias"] = torch.full((64,), float("nan"))
    with pytest.raises(BadModelFile, match=r"`backbone.last_norm.bias` holds values"):
        add_model(save_lightning(tmp_path / "a.ckpt", state))
    assert not home.exists()


def test_a_backbone_alone_is_not_added(home: Path, tmp_path: Path) -> None:
    state = {
        k.removeprefix("backbone."): v for k, v in plain_network().backbone.state_dict().items()
    }
    file = save_lightning(tmp_path / "vitpose_backbone.pth", state)
    for use in (add_model, lambda path: find_weights(str(path))):
        with pytest.raises(BadModelFile, match="backbone without a head"):
            use(file)
    assert not home.exists()


@pytest.mark.parametrize("body", ["smpl", "mano"])
def test_the_body_in_a_checkpoint_is_kept(body: str, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("smplx", reason="needs the extra `smpl`")
    arrays = make_body(body)
    np.savez(tmp_path / "body.npz", **arrays)
    buffers = make_smplx_model(read_body_file(tmp_path / "body.npz")).state_dict()
    plain = {key: tensor.numpy() for key, tensor in buffers.items()}
    for name, array in body_arrays(plain).items():
        if name not in ("kintree_table", "hands_mean"):
            np.testing.assert_array_equal(array, arrays[name])
    state = dict(plain_network(body=body).state_dict())
    state |= {f"{body}.{key}": value for key, value in buffers.items()}
    extra = torch.rand(19, len(arrays["v_template"]))
    state[f"{body}.joint_regressor_extra"] = extra
    added = add_model(save_lightning(tmp_path / "a.ckpt", state))
    assert added.body is not None
    assert (added.body.kind, added.body.name) == ("body", body)
    assert f"kept as `{body}`" in added.notes[-1]
    kept = read_body_file(home / added.body.file, body)
    np.testing.assert_array_equal(kept.arrays["posedirs"], arrays["posedirs"])
    np.testing.assert_array_equal(kept.arrays["joint_regressor_extra"], extra)
    again = add_model(tmp_path / "a.ckpt", "other")
    assert again.body is None
    assert "stays" in again.notes[-1]


def test_a_body_that_does_not_suffice_is_left_out(tmp_path: Path) -> None:
    state = dict(plain_network().state_dict())
    state["smpl.v_template"] = torch.zeros(7, 3)
    added = add_model(save_lightning(tmp_path / "a.ckpt", state))
    assert added.body is None
    assert "left out" in added.notes[-1]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputNotWritable):
        write_weights(tmp_path / "file" / "a.safetensors", plain_network(), OURS)


MEMORY_PROBE = """
import sys
from pathlib import Path
from extpose_blender.engine.lift.extpose.weights_file import find_weights, load_network

def kilobytes(word):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(word))

load_network(find_weights(sys.argv[1]))  # What loading once leaves behind for good.
before = kilobytes("RssAnon")
nets = [load_network(find_weights(sys.argv[2])) for _ in range(3)]
total = sum(float(value.detach().sum()) for net in nets for value in net.parameters())
print(kilobytes("RssAnon") - before, total)
"""


@pytest.mark.parametrize("form", ["ckpt", "safetensors"])
def test_loaded_weights_are_not_copied(form: str, tmp_path: Path) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc, which says how much memory is a process's own")
    net = plain_network(embed_dim=768, num_heads=12, depth=4)
    path = tmp_path / f"a.{form}"
    if form == "ckpt":
        save_lightning(path, net.state_dict())
    else:
        write_weights(path, net, OURS)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, str(TINY), str(path)],
        cwd=Path(__file__).resolve().parents[4], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    grown = 1024 * int(done.stdout.split()[0])
    assert path.stat().st_size > 100_000_000
    assert grown < 0.2 * path.stat().st_size


def test_configuration_of_tensors_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="config"):
        write_weights(tmp_path / "a.safetensors", dict(plain_network().state_dict()), OURS)
