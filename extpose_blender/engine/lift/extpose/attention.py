"""Attention within a picture, across streams and across frames, with one set of weights.

Tokens are (B, S, T, M, D): samples, streams (image first), frames, patches, numbers. An attention
step sees some axes as one sequence and takes the others as batch; no step needs a mask, so the
fused kernels apply to each of them.

Source: ExtPose (ICML 2025), Eqs. 4 to 11; the weights are those of a ViT block of
4D-Humans:hmr2/models/backbones/vit.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LONGEST_PERIOD = 10000.0
"""Base of the sinusoid's periods."""


class Attention(nn.Module):
    """Multi-head self-attention; keys and values are computed once per call.

    Args:
        dim: Numbers in a token.
        num_heads: Heads; must divide `dim`.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Each token attends to all of its sequence: (N, L, D) → (N, L, D)."""
        return self.proj(_join_heads(fused_attention(*self.split(tokens))))

    def union(self, tokens: Tensor) -> Tensor:
        """One softmax over the own frame in both streams and the own stream in all frames.

        The own picture counts once. A frame's keys are its stream's and, behind them, those of the
        same frame in the other stream: there is no (T M) × (T M) mask and no second softmax.

        Args:
            tokens: (B, 2, T, M, D).

        Returns:
            (B, 2, T, M, D).
        """
        B, S, T, M, D = tokens.shape
        qkv = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1))  # (B, S, T, M, 3, H, C)
        kv = qkv[..., 1:, :, :]
        tails = kv.flip(1).flatten(0, 1).unbind(1)  # T of (B S, M, 2, H, C)
        keys = torch.cat((kv.flatten(2, 3).flatten(0, 1), tails[0]), dim=1)
        seen = []
        for frame, tail in enumerate(tails):
            keys = _with_tail(keys, tail) if frame else keys
            query = qkv[:, :, frame, :, 0].flatten(0, 1).transpose(1, 2)  # (B S, H, M, C)
            key, value = keys.transpose(1, 3).unbind(2)  # (B S, H, T M + M, C)
            seen.append(_join_heads(fused_attention(query, key, value)))
        return self.proj(torch.stack(seen, dim=1).view(B, S, T, M, D))

    def split(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of (N, L, D): views of one product, each (N, H, L, C)."""
        query, key, value = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1)).unbind(2)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)


def fused_attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax of scaled products over the keys: (N, H, L, C), (N, H, K, C) twice → (N, H, L, C)."""
    return functional.scaled_dot_product_attention(query, key, value)


def sinusoid(positions: Tensor, dim: int, dtype: torch.dtype) -> Tensor:
    """Fixed code of whole numbers: sines on even channels, cosines on odd ones.

    Args:
        positions: Frame numbers, any shape (...).
        dim: Channels; even.
        dtype: Type of the result; computed in float32 or better.

    Returns:
        (..., dim).

    Source: Vaswani et al. 2017; Moore-AnimateAnyone:src/models/motion_module.py.
    """
    exact = torch.promote_types(dtype, torch.float32)
    channels = torch.arange(0, dim, 2, device=positions.device, dtype=exact)
    angles = positions[..., None].to(exact) * LONGEST_PERIOD ** (-channels / dim)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).to(dtype)


def _join_heads(seen: Tensor) -> Tensor:
    """(N, H, L, C) → (N, L, H C); a view of what the fused kernels give."""
    return seen.transpose(1, 2).flatten(2)


def _with_tail(keys: Tensor, tail: Tensor) -> Tensor:
    """Put other keys at the end of the sequence; in place where nobody will differentiate."""
    kept = keys.shape[1] - tail.shape[1]
    if torch.is_grad_enabled():
        return torch.cat((keys[:, :kept], tail), dim=1)
    keys[:, kept:] = tail
    return keys
