"""Attention by collapsed axes equals attention by masks, in every layout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from extpose_blender.engine.lift.extpose.attention import sinusoid
from extpose_blender.engine.lift.extpose.backbone import Backbone, Block
from extpose_blender.engine.lift.extpose.config import BLOCK_LAYOUTS

from .networks import (
    below,
    masked_attention,
    masked_blocks,
    masks,
    sinusoid_of,
    small_config,
    stir,
)

Load = Callable[[str], np.lib.npyio.NpzFile]
NAMES = {"modal_then_frame": "seq_modal_frame", "frame_then_modal": "seq_frame_modal"}
"""Layouts that the fixtures call otherwise."""


def backbone_of(arrays: np.lib.npyio.NpzFile, layout: str = "modal_then_frame") -> Backbone:
    """The fixture's blocks. It has no patches and no last norm: `run_blocks` needs none."""
    config = small_config(
        embed_dim=int(arrays["cfg/D"]),
        depth=int(arrays["cfg/depth"]),
        num_heads=int(arrays["cfg/heads"]),
        block_layout=layout,
    )
    backbone = Backbone(config).eval()
    missing, unknown = backbone.load_state_dict(below(arrays, "sd/"), strict=False)
    assert not unknown and not [name for name in missing if name.startswith("blocks.")]
    return backbone


def attention_of(block: Block, tokens: Tensor, position: Tensor | None = None) -> Tensor:
    """What the attention of a whole block adds: its feed-forward layer is silenced."""
    with torch.no_grad():
        block.mlp.fc2.weight.zero_()
        block.mlp.fc2.bias.zero_()
        return block(tokens.clone(), position) - tokens


def assert_close(got: Tensor, wanted: np.ndarray) -> None:
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-5, rtol=0)


def test_attention_over_each_axis(shared_fixture: Load) -> None:
    arrays = shared_fixture("ext_attention.npz")
    tokens = torch.from_numpy(arrays["in/tokens"])  # (1, 2, 3, 12, 32)
    block = backbone_of(arrays).blocks[0]
    singles = tokens.flatten(0, 2)[:, None, None]
    assert_close(attention_of(block, singles).view(tokens.shape), arrays["attn/intra"])
    per_frame = tokens.transpose(1, 2).flatten(0, 1)[:, :, None]  # (3, 2, 1, 12, 32)
    across = attention_of(block, per_frame).squeeze(2).transpose(0, 1)[None]
    assert_close(across, arrays["attn/cross_modal"])
    assert_close(across, arrays["attn/cross_modal_via_mask"])
    per_stream = tokens.transpose(0, 1)  # (2, 1, 3, 12, 32)
    along = attention_of(block, per_stream).transpose(0, 1)
    assert_close(along, arrays["attn/cross_frame"])
    assert_close(along, arrays["attn/cross_frame_via_mask_eq11"])
    table = torch.from_numpy(arrays["pe/table_32xD"])[:3]
    placed = attention_of(block, per_stream, table[None, None, :, None]).transpose(0, 1)
    assert_close(placed, arrays["attn/cross_frame_with_sinusoid_added_after_norm1"])
    union = backbone_of(arrays, "union").blocks[0]
    assert_close(attention_of(union, tokens), arrays["attn/union_mask"])
    with torch.no_grad():
        normed = block.norm1(tokens)
        assert_close(normed, arrays["attn/norm1"])
        full = block.attn(normed.flatten(1, 3)).view(tokens.shape)
    assert_close(full, arrays["attn/full"])


def test_the_masked_twin_agrees_with_the_fixtures_too(shared_fixture: Load) -> None:
    arrays = shared_fixture("ext_attention.npz")
    block = backbone_of(arrays).blocks[0]
    normed = torch.from_numpy(arrays["attn/norm1"])
    names = {
        "intra": "intra",
        "modal": "cross_modal",
        "frame": "cross_frame",
        "union": "union_mask",
        "full": "full",
    }
    with torch.no_grad():
        for kind, mask in masks(2, 3, 12).items():
            assert_close(masked_attention(block, normed, mask), arrays[f"attn/{names[kind]}"])


@pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
def test_whole_blocks_in_every_layout(shared_fixture: Load, layout: str) -> None:
    arrays = shared_fixture("ext_attention.npz")
    tokens = torch.from_numpy(arrays["in/tokens"])
    backbone = backbone_of(arrays, layout)
    with torch.no_grad():
        assert_close(backbone.run_blocks(tokens), arrays[f"stack/{NAMES.get(layout, layout)}"])
        per_frame = tokens.transpose(1, 2).flatten(0, 1)[:, :, None]
        modal = backbone.run_blocks(per_frame).squeeze(2).transpose(0, 1)[None]
        assert_close(modal, arrays["stack/modal_only"])
        frame = backbone.run_blocks(tokens.transpose(0, 1)).transpose(0, 1)
        assert_close(frame, arrays["stack/frame_only"])


def test_a_still_video_attends_like_its_picture(shared_fixture: Load) -> None:
    arrays = shared_fixture("ext_attention.npz")
    tokens = torch.from_numpy(arrays["static/in"])
    block = backbone_of(arrays).blocks[0]
    assert_close(attention_of(block, tokens), arrays["static/cross_frame_attn"])
    alone = attention_of(block, tokens.transpose(0, 2)).transpose(0, 2)
    assert_close(alone, arrays["static/intra_attn"])


def test_sinusoid_is_the_published_one(shared_fixture: Load) -> None:
    arrays = shared_fixture("ext_attention.npz")
    assert_close(sinusoid(torch.arange(32), 32, torch.float32), arrays["pe/table_32xD"])


def test_sinusoid_of_any_frame_and_type() -> None:
    frames = torch.tensor([[0, 1], [15, 400]])
    code = sinusoid(frames, 20, torch.float64)
    wanted = [[sinusoid_of(int(frame), 20) for frame in row] for row in frames]
    torch.testing.assert_close(code, torch.tensor(wanted, dtype=torch.float64))
    half = sinusoid(frames, 20, torch.bfloat16)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.double(), code, atol=5e-3, rtol=0)


@pytest.mark.parametrize("temporal", [False, True], ids=["unplaced", "placed"])
@pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
def test_collapsed_axes_equal_dense_masks_and_so_do_gradients(layout: str, temporal: bool) -> None:
    torch.manual_seed(3)
    backbone = Backbone(small_config(block_layout=layout, temporal_position=temporal)).double()
    stir(backbone)
    tokens = torch.randn(2, 2, 5, 7, 32, dtype=torch.float64, requires_grad=True)
    weights = torch.randn_like(tokens)
    runs = []
    for run in (backbone.run_blocks, lambda given: masked_blocks(backbone, given)):
        backbone.zero_grad()
        moved = run(tokens)
        (moved * weights).sum().backward()
        gradients = [value.grad for value in backbone.blocks.parameters()]
        runs.append((moved.detach(), tokens.grad.clone(), gradients))
        tokens.grad = None
    for ours, twin in zip(*runs, strict=True):
        torch.testing.assert_close(ours, twin, rtol=1e-9, atol=1e-9)
    with torch.inference_mode():
        torch.testing.assert_close(backbone.run_blocks(tokens), runs[1][0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
def test_leaving_frames_out_equals_masking_them(layout: str) -> None:
    torch.manual_seed(4)
    backbone = Backbone(small_config(block_layout=layout, temporal_position=True)).double()
    stir(backbone)
    tokens = torch.randn(2, 2, 6, 12, 32, dtype=torch.float64)
    valid = torch.tensor([False, True, True, False, True, False])
    with torch.no_grad():
        ours = backbone.run_blocks(tokens, valid.expand(2, -1))
        twin = masked_blocks(backbone, tokens, valid)
    torch.testing.assert_close(ours[:, :, valid], twin[:, :, valid], rtol=1e-9, atol=1e-9)
    assert torch.equal(ours[:, :, ~valid], tokens[:, :, ~valid])
