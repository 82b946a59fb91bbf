"""What tokens look at: attention weights of one block, computed for that block alone.

The network itself never holds these weights: its fused kernels do without them.

Source: ExtPose (ICML 2025), Fig. 4 and Eq. 7.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ....protocol.errors import BadShape, UsageError
from .backbone import Block
from .network import ExtPose


@torch.no_grad()
def cross_modal_attention(
    net: ExtPose, image: Tensor | None, skeleton: Tensor | None, block: int = -1
) -> Tensor:
    """Weights of the attention across the streams of one frame.

    Args:
        net: The network, in any block layout: for one frame they are all the same.
        image: A normalised crop, (1, 1, 3, H, W), or None.
        skeleton: Its normalised skeleton image, same shape, or None.
        block: Which block, from 0; negative numbers count from the last.

    Returns:
        Softmax weights in float32 or better, (heads, 2M, 2M): row asks, column is looked at; the
        image's tokens come first, row by row of the grid. (heads, M, M) where one stream is given.

    Raises:
        BadShape: No stream is given, or one is not a single picture of the network's size.
        UsageError: There is no such block.
    """
    streams = [stream for stream in (image, skeleton) if stream is not None]
    wanted, shapes = (1, 1, 3, *net.config.image_size), [tuple(stream.shape) for stream in streams]
    if not shapes or any(shape != wanted for shape in shapes):
        raise BadShape(f"Wanted one or two pictures of shape {wanted}, got {shapes}")
    blocks = net.backbone.blocks
    if not -len(blocks) <= block < len(blocks):
        raise UsageError(f"There is no block {block}", f"The network has {len(blocks)}")
    tokens = net.backbone.embed(torch.cat(streams, dim=1)[0])[None, :, None]  # (1, S, 1, M, D)
    for earlier in blocks[: block % len(blocks)]:
        tokens = earlier(tokens)
    return _weights(blocks[block], tokens)


def _weights(block: torch.nn.Module, tokens: Tensor) -> Tensor:
    """Softmax weights of a block over all tokens of (1, S, 1, M, D): (heads, S M, S M)."""
    assert isinstance(block, Block)
    query, key, _ = block.attn.split(block.norm1(tokens).flatten(1, 3))  # (1, H, S M, C)
    exact = torch.promote_types(query.dtype, torch.float32)
    query, key = query[0].to(exact), key[0].to(exact)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    return scores.softmax(dim=-1)
