"""The decoder heads are the public ones, and their rotations are rotations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from extpose_blender.engine.lift.extpose.head import PoseHead, rot6d_to_rotmat
from extpose_blender.engine.lift.extpose.network import ExtPoseConfig

from .networks import below, small_config, stir

Load = Callable[[str], np.lib.npyio.NpzFile]


def head_of(arrays: np.lib.npyio.NpzFile, body: str) -> PoseHead:
    config = ExtPoseConfig(
        body=body,
        embed_dim=int(arrays["cfg/context_dim"]),
        decoder_dim=int(arrays["cfg/dim"]),
        decoder_depth=int(arrays["cfg/depth"]),
        decoder_heads=int(arrays["cfg/heads"]),
        decoder_dim_head=int(arrays["cfg/dim_head"]),
        decoder_mlp_dim=int(arrays["cfg/mlp_dim"]),
    )
    head = PoseHead(config).eval()
    head.load_state_dict(below(arrays, "sd/"), strict=True)
    return head


@pytest.mark.parametrize(
    ("name", "body", "part"),
    [
        ("smpl_head_tiny.npz", "smpl", "body_pose"),
        ("smpl_head_two_stream_context.npz", "smpl", "body_pose"),
        ("mano_head_tiny.npz", "mano", "hand_pose"),
    ],
)
def test_every_answer_of_the_public_heads(
    shared_fixture: Load, name: str, body: str, part: str
) -> None:
    arrays = shared_fixture(name)
    head = head_of(arrays, body)
    tokens = torch.from_numpy(arrays["in/feat"]).flatten(2).transpose(1, 2)
    with torch.no_grad():
        rotmat, betas, camera = head(tokens)
        token = head.transformer(tokens)
    near = {"rtol": 0, "atol": 1e-5}
    np.testing.assert_allclose(token.numpy(), arrays["out/token0"][:, 0], **near)
    np.testing.assert_allclose(betas.numpy(), arrays["out/betas"], **near)
    np.testing.assert_allclose(camera.numpy(), arrays["out/cam"], **near)
    np.testing.assert_allclose(betas.numpy(), arrays["out_iters/betas"], **near)
    np.testing.assert_allclose(camera.numpy(), arrays["out_iters/cam"], **near)
    turned = {"rtol": 0, "atol": 5e-5}
    np.testing.assert_allclose(rotmat[:, :1].numpy(), arrays["out/global_orient"], **turned)
    np.testing.assert_allclose(rotmat[:, 1:].numpy(), arrays[f"out/{part}"], **turned)
    np.testing.assert_allclose(rotmat[:, 1:].numpy(), arrays[f"out_iters/{part}"], **turned)


def test_six_numbers_become_the_published_rotations(shared_fixture: Load) -> None:
    arrays = shared_fixture("geometry.npz")
    for given, wanted in (("in", "out"), ("in_b144", "out_b144")):
        rotmat = rot6d_to_rotmat(torch.from_numpy(arrays[f"rot6d/{given}"]))
        np.testing.assert_allclose(rotmat.numpy(), arrays[f"rot6d/{wanted}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (3, 3, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_rotation_survives_its_first_two_columns(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    torch.manual_seed(len(shape))
    whole, _ = torch.linalg.qr(torch.randn(*shape, 3, 3, dtype=dtype))
    whole = whole * torch.linalg.det(whole)[..., None, None].sign()
    rot6d = torch.cat((whole[..., 0], whole[..., 1]), dim=-1)
    torch.testing.assert_close(rot6d_to_rotmat(rot6d), whole)
    stretched = torch.cat((2 * whole[..., 0], whole[..., 1] + 3 * whole[..., 0]), dim=-1)
    torch.testing.assert_close(rot6d_to_rotmat(stretched), whole)


def test_three_rotations_are_no_special_case() -> None:
    rot6d = torch.randn(5, 6, dtype=torch.float64)
    for count in range(1, 6):
        together = rot6d_to_rotmat(rot6d[:count])
        assert torch.equal(together, rot6d_to_rotmat(rot6d)[:count])


def test_a_fresh_head_says_no_rotation_and_mean_shape() -> None:
    head = PoseHead(small_config())
    for layer in (head.decpose, head.decshape, head.deccam):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    rotmat, betas, camera = head(torch.randn(2, 12, 32))
    assert torch.equal(rotmat, torch.eye(3).expand(2, 24, 3, 3))
    assert not betas.any() and camera[0].tolist() == pytest.approx([0.9, 0, 0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_weights_and_autocast_give_full_rotations(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head = PoseHead(small_config()).eval()
    stir(head)
    tokens = torch.randn(3, 24, 32)
    with torch.no_grad():
        wanted, _, _ = head(tokens)
        with torch.autocast("cpu", dtype=dtype):
            mixed = head(tokens.to(dtype))
        cast = head.to(dtype)(tokens.to(dtype))
    for rotmat, betas, camera in (mixed, cast):
        assert {rotmat.dtype, betas.dtype, camera.dtype} == {torch.float32}
        torch.testing.assert_close(rotmat.mT @ rotmat, torch.eye(3).expand(3, 24, 3, 3))
        torch.testing.assert_close(rotmat, wanted, atol=0.15, rtol=0)


def test_one_head_of_full_size_has_no_output_layer() -> None:
    head = PoseHead(small_config(decoder_dim=16, decoder_heads=1, decoder_dim_head=16))
    assert not [name for name in head.state_dict() if "to_out" in name]
    assert head(torch.randn(1, 5, 32))[0].shape == (1, 24, 3, 3)
