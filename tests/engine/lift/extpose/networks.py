"""Small networks, weights of the fixtures, and slow twins with dense masks and a plain softmax."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from extpose_blender.engine.lift.extpose.backbone import Backbone, Block
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig


def small_config(**changes: Any) -> ExtPoseConfig:
    """A network of a few thousand numbers that looks at 64×48 pictures, 12 tokens each."""
    sizes = {
        "image_size": (64, 48),
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 4,
        "decoder_dim": 16,
        "decoder_depth": 2,
        "decoder_heads": 2,
        "decoder_dim_head": 8,
        "decoder_mlp_dim": 24,
    }
    return ExtPoseConfig(**(sizes | changes))


def small_network(seed: int = 0, double: bool = True, **changes: Any) -> ExtPose:
    """A small network with lively random weights, in eval mode."""
    torch.manual_seed(seed)
    net = ExtPose(small_config(**changes)).eval()
    stir(net)
    return net.double() if double else net


def stir(module: torch.nn.Module) -> None:
    """Give norms, biases and positions values that a mistake would show."""
    with torch.no_grad():
        for value in module.parameters():
            value.add_(torch.randn_like(value) * 0.2)


def pictures(*shape: int, seed: int = 1, size: tuple[int, int] = (64, 48)) -> Tensor:
    """Random normalised pictures in double precision, (*shape, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 3, *size, generator=generator, dtype=torch.float64)


def below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, Tensor]:
    """The arrays whose names start so, as a state dict without that start."""
    names = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): torch.from_numpy(arrays[name]) for name in names}


def weight_by_recipe(name: str, shape: tuple[int, ...], salt: int) -> np.ndarray:
    """Draw a weight, bias or buffer as the fixtures' README describes; float32."""
    numbers = _whole_numbers(name, shape, salt)
    last = name.rsplit(".", 1)[-1]
    if last in ("pos_embed", "pos_embedding"):
        return (numbers / 512).astype(np.float32)
    if last == "init_cam":
        return (np.array([0.875, 0, 0]) + numbers / 4096).astype(np.float32)
    if last in ("init_betas", "init_body_pose", "init_hand_pose"):
        return (numbers / (256 if last == "init_betas" else 128)).astype(np.float32)
    if last == "bias":
        return (numbers / 2048).astype(np.float32)
    if len(shape) == 1:
        return (1 + numbers / 1024).astype(np.float32)
    exponent = round(0.5 * math.log2(3 / math.prod(shape[1:])))
    return (2.0**exponent * (numbers / 128)).astype(np.float32)


def input_by_recipe(name: str, shape: tuple[int, ...], salt: int) -> Tensor:
    """Draw an input as the fixtures' README describes."""
    return torch.from_numpy((_whole_numbers(name, shape, salt) / 64).astype(np.float32))


def _whole_numbers(name: str, shape: tuple[int, ...], salt: int) -> np.ndarray:
    seed = (zlib.crc32(name.encode()) + salt) % 2**32
    draws = np.random.RandomState(seed).random_sample(math.prod(shape))
    return (np.floor(255 * draws) - 127).reshape(shape)


def masks(
    streams: int, frames: int, patches: int, valid: Tensor | None = None
) -> dict[str, Tensor]:
    """Who may look at whom, (L, L) bool with L = S T M, tokens in the order of (S, T, M)."""
    axes = torch.arange(streams), torch.arange(frames), torch.arange(patches)
    stream, frame, _ = (axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij"))
    same_stream = stream[:, None] == stream
    same_frame = frame[:, None] == frame
    seen = torch.ones_like(same_frame) if valid is None else valid[frame][None, :] | same_frame
    return {
        "intra": same_stream & same_frame,
        "modal": same_frame,
        "frame": same_stream & seen,
        "union": (same_frame | same_stream) & seen,
        "full": torch.ones_like(same_frame),
    }


def masked_attention(block: Block, normed: Tensor, mask: Tensor) -> Tensor:
    """Attention over all tokens at once, (B, S, T, M, D), by a dense mask and a plain softmax."""
    shape = normed.shape
    heads, width = block.attn.num_heads, shape[-1] // block.attn.num_heads
    product = functional.linear(normed.flatten(1, 3), block.attn.qkv.weight, block.attn.qkv.bias)
    query, key, value = product.chunk(3, dim=-1)
    seen = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        scores = query[..., part] @ key[..., part].mT / math.sqrt(width)
        weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
        seen.append(weights @ value[..., part])
    joined = torch.cat(seen, dim=-1)
    return functional.linear(joined, block.attn.proj.weight, block.attn.proj.bias).view(shape)


STEPS = {
    "modal_then_frame": (("modal", "frame"), ("modal", "frame")),
    "frame_then_modal": (("frame", "modal"), ("frame", "modal")),
    "alternate": (("modal",), ("frame",)),
    "union": (("union",), ("union",)),
    "parallel_mean": (("mean",), ("mean",)),
}
"""Attention steps of the first and second block of two, where both axes are there."""


def masked_blocks(backbone: Backbone, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
    """Two blocks with dense masks. At least two streams and two seen frames in each sample.

    Args:
        backbone: Its two blocks are run.
        tokens: (B, 2, T, M, D).
        valid: One mask for all samples, (T,) bool: unseen frames are looked at by themselves only.
    """
    _, S, T, M, D = tokens.shape
    mask = masks(S, T, M, valid)
    position = torch.zeros(T, D, dtype=tokens.dtype)
    if backbone.config.temporal_position:
        position = torch.tensor([sinusoid_of(frame, D) for frame in range(T)], dtype=tokens.dtype)
    position = position[:, None]  # (T, 1, D)
    for block, steps in zip(backbone.blocks, STEPS[backbone.config.block_layout], strict=True):
        for step in steps:
            normed = block.norm1(tokens)
            if step == "mean":
                modal = masked_attention(block, normed, mask["modal"])
                frame = masked_attention(block, normed + position, mask["frame"])
                tokens = tokens + (modal + frame) / 2
            else:
                placed = normed if step == "modal" else normed + position
                tokens = tokens + masked_attention(block, placed, mask[step])
        tokens = tokens + block.mlp(block.norm2(tokens))
    return tokens


def sinusoid_of(frame: int, dim: int) -> list[float]:
    """The code of one frame, number by number."""
    values = []
    for channel in range(dim):
        angle = frame / 10000 ** ((channel - channel % 2) / dim)
        values.append(math.cos(angle) if channel % 2 else math.sin(angle))
    return values
