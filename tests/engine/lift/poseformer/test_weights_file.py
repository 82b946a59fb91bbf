"""Weights of `poseformer`: what is written is what is read, and nothing else will do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from extpose_blender.engine.lift.extpose.safetensors_file import write_safetensors
from extpose_blender.engine.lift.poseformer.config import PoseFormerConfig
from extpose_blender.engine.lift.poseformer.network import PoseFormer
from extpose_blender.engine.lift.poseformer.weights_file import (
    TrainedFor,
    find_weights,
    read_weights,
    write_weights,
)
from extpose_blender.protocol.errors import BadModelFile
from extpose_blender.protocol.files import sha256_of

TRAINED = TrainedFor("open", "mediapipe33", "CC0-1.0", "a test")


def small(dim: int = 32) -> PoseFormer:
    torch.manual_seed(0)
    return PoseFormer(PoseFormerConfig(frames=9, dim=dim, depth=1, heads=2))


def test_weights_come_back_rounded_to_their_type(tmp_path: Path) -> None:
    net = small()
    write_weights(tmp_path / "a.safetensors", net, TRAINED)
    found = read_weights(tmp_path / "a.safetensors")
    assert found.trained == TRAINED
    assert found.network.config == net.config
    assert not found.network.training
    for key, value in net.state_dict().items():
        torch.testing.assert_close(found.network.state_dict()[key], value.half().float())


def test_the_same_weights_make_the_same_file(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for path in paths:
        write_weights(path, small(), TRAINED)
    assert sha256_of(paths[0]) == sha256_of(paths[1])


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(BadModelFile, match=r"no \.safetensors"):
        read_weights(path)
    tensors = {key: value.half() for key, value in small().state_dict().items()}
    write_safetensors(path, tensors, {})
    with pytest.raises(BadModelFile, match="does not say"):
        read_weights(path)
    about = {"format_version": 1, "kind": "extpose-smpl"}
    write_safetensors(path, tensors, {"extpose": json.dumps(about)})
    with pytest.raises(BadModelFile, match="extpose-smpl"):
        read_weights(path)
    about = {"format_version": 99, "kind": "poseformer"}
    write_safetensors(path, tensors, {"extpose": json.dumps(about)})
    with pytest.raises(BadModelFile, match="format 99"):
        read_weights(path)
    about = {
        "format_version": 1,
        "kind": "poseformer",
        "config": small(dim=64).config.to_dict(),
        "trained": vars(TRAINED),
    }
    write_safetensors(path, tensors, {"extpose": json.dumps(about)})
    with pytest.raises(BadModelFile, match="damaged"):
        read_weights(path)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(BadModelFile, match="nowhere"):
        find_weights("nowhere.safetensors")
