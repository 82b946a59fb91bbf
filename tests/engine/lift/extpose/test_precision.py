"""Precision is chosen by what a device can do; half precision keeps what adds up in fp32."""

from __future__ import annotations

import pytest
import torch

from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig
from extpose_blender.engine.lift.extpose.precision import (
    cast_products,
    choose_dtype,
    computing,
    word_of,
)
from extpose_blender.protocol.errors import UsageError
from extpose_blender.protocol.options import PRECISIONS

CONFIG = ExtPoseConfig(
    image_size=(64, 48), embed_dim=64, depth=3, num_heads=4, decoder_dim=32, decoder_depth=2
)
IN_FP32 = ("norm", "pos_embed", "decpose", "decshape", "deccam", "init_")


@pytest.mark.parametrize("wanted", PRECISIONS[1:])
def test_a_named_precision_is_taken_on_any_device(wanted: str) -> None:
    assert word_of(choose_dtype(wanted, "cpu")) == word_of(choose_dtype(wanted, "cuda")) == wanted


def test_an_unknown_precision_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="auto, fp32, bf16, fp16, not `fp8`"):
        choose_dtype("fp8", "cpu")


@pytest.mark.parametrize(
    ("units", "word"),
    [
        ({}, "fp32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, "fp32"),
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
    ],
)
def test_a_processor_takes_bf16_where_it_multiplies_it(
    units: dict[str, bool], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert word_of(choose_dtype("auto", "cpu")) == word


def test_this_processor_says_which_units_it_has() -> None:
    """The two names that the choice asks for are ones that torch knows, on x86."""
    units = torch.cpu.get_capabilities()
    if units.get("architecture") == "x86_64":
        assert {"amx_bf16", "avx512_bf16"} <= set(units)


@pytest.mark.parametrize(
    ("capability", "word"),
    [((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")],
)
def test_a_gpu_takes_what_its_generation_multiplies(
    capability: tuple[int, int], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert word_of(choose_dtype("auto", "cuda")) == word


@pytest.mark.parametrize("body", ["smpl", "mano"])
def test_products_are_halved_and_the_rest_stays(body: str) -> None:
    net = ExtPose(ExtPoseConfig.from_dict(CONFIG.to_dict() | {"body": body})).eval()
    keys = list(net.state_dict())
    cast_products(net, torch.bfloat16)
    assert list(net.state_dict()) == keys
    for key, tensor in net.state_dict().items():
        exact = any(word in key for word in IN_FP32) or key.endswith(".pos_embedding")
        assert tensor.dtype == (torch.float32 if exact else torch.bfloat16), key


def test_fp32_changes_nothing() -> None:
    net = ExtPose(CONFIG).eval()
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    cast_products(net, torch.float32)
    assert all(torch.equal(before[key], tensor) for key, tensor in net.state_dict().items())


@pytest.mark.parametrize(("word", "degrees"), [("bf16", 2.0), ("fp16", 0.25)])
@pytest.mark.parametrize("frames", [1, 3])
def test_half_precision_is_near_and_its_rotations_are_exact(
    word: str, degrees: float, frames: int
) -> None:
    torch.manual_seed(1)
    net = ExtPose(CONFIG).eval()
    pictures = torch.randn(2, 2, frames, 3, 64, 48)
    with computing("cpu", torch.float32):
        exact = net(image=pictures[0], skeleton=pictures[1])
    dtype = choose_dtype(word, "cpu")
    cast_products(net, dtype)
    with computing("cpu", dtype):
        near = net(image=pictures[0], skeleton=pictures[1])
    assert near.rotmat.dtype == near.camera.dtype == near.betas.dtype == torch.float32
    turned = near.rotmat @ near.rotmat.transpose(-1, -2)
    assert torch.allclose(turned, torch.eye(3).expand_as(turned), atol=1e-5)
    traces = (near.rotmat * exact.rotmat).sum((-1, -2))
    angles = torch.rad2deg(torch.arccos(((traces - 1) / 2).clamp(-1, 1)))
    assert angles.max() < degrees
    assert torch.allclose(near.camera, exact.camera, atol=0.02)


def test_computing_keeps_no_gradients() -> None:
    net = ExtPose(CONFIG).eval()
    with computing("cpu", torch.float32):
        output = net(image=torch.zeros(1, 1, 3, 64, 48))
    assert not output.rotmat.requires_grad
