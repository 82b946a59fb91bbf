"""Attention maps are the weights that the network's own attention uses."""

from __future__ import annotations

import pytest
import torch

from extpose_blender.engine.lift.extpose.attention_map import cross_modal_attention
from extpose_blender.engine.lift.extpose.config import BLOCK_LAYOUTS
from extpose_blender.protocol.errors import BadShape, UsageError

from .networks import pictures, small_network


@pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
@pytest.mark.parametrize("block", [-1, 0, 1, 2])
@pytest.mark.parametrize("streams", [1, 2])
def test_weights_give_what_the_block_attends_to(layout: str, block: int, streams: int) -> None:
    net = small_network(depth=3, block_layout=layout)
    image, skeleton = pictures(1, 1, seed=1), pictures(1, 1, seed=2)
    given = (image, skeleton if streams == 2 else None)
    weights = cross_modal_attention(net, *given, block=block)
    L = 12 * streams
    assert weights.shape == (4, L, L) and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, L).double())
    attention, heard = net.backbone.blocks[block].attn, []
    attention.register_forward_hook(lambda _part, given, got: heard.append((given[0], got)))
    with torch.no_grad():
        net(image=given[0], skeleton=given[1])
        value = attention.split(heard[0][0])[2][0]  # (heads, L, C)
        mixed = attention.proj((weights @ value).transpose(0, 1).flatten(1))
    torch.testing.assert_close(mixed, heard[0][1][0])


def test_a_skeleton_alone_has_weights_too() -> None:
    net, skeleton = small_network(), pictures(1, 1)
    alone = cross_modal_attention(net, None, skeleton)
    assert torch.equal(alone, cross_modal_attention(net, skeleton, None))


def test_what_cannot_be_shown_is_refused() -> None:
    net, image = small_network(), pictures(1, 1)
    with pytest.raises(BadShape, match="one or two"):
        cross_modal_attention(net, None, None)
    with pytest.raises(BadShape, match="2, 1"):
        cross_modal_attention(net, pictures(2, 1), None)
    with pytest.raises(BadShape):
        cross_modal_attention(net, image, pictures(1, 1, size=(48, 64)))
    for block in (2, -3):
        with pytest.raises(UsageError, match=str(block)):
            cross_modal_attention(net, image, image, block=block)
