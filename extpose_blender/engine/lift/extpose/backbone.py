"""The vision transformer of HMR2.0 and HaMeR, its blocks extended over streams and frames.

Source: 4D-Humans:hmr2/models/backbones/vit.py (HaMeR's file is identical) for arithmetic and names;
ExtPose (ICML 2025), sections 4.4 and 4.5, for the attention across streams and frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ....protocol.errors import BadShape
from .attention import Attention, sinusoid
from .config import PATCH_PADDING, ExtPoseConfig
from .seen_frames import SeenFrames, check_valid

NORM_EPS = 1e-6
"""What the base models add to a variance before they divide by its root."""

MLP_RATIO = 4
"""Hidden size of a block's feed-forward layer per number of a token."""


class Mlp(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., D) → (..., D)."""
        return self.fc2(_gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Attention steps, each with its residual, then one feed-forward layer with its own.

    Every step uses the block's one norm, one `qkv` and one `proj`, so a block has the weights of
    the base model however many axes it attends over.

    Args:
        config: Sizes, and the layout.
        index: Which block of the backbone this is; the drop rate and `alternate` depend on it.
    """

    def __init__(self, config: ExtPoseConfig, index: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.embed_dim, eps=NORM_EPS)
        self.attn = Attention(config.embed_dim, config.num_heads)
        self.norm2 = nn.LayerNorm(config.embed_dim, eps=NORM_EPS)
        self.mlp = Mlp(config.embed_dim, config.embed_dim * MLP_RATIO)
        self.steps_of_both = _steps_of_both_axes(config.block_layout, index)
        self.drop_rate = config.drop_path * index / max(config.depth - 1, 1)

    def forward(self, tokens: Tensor, position: Tensor | None = None) -> Tensor:
        """Run the block.

        Args:
            tokens: (B, S, T, M, D). Overwritten where gradients are off.
            position: What cross-frame attention adds to its normalised tokens, broadcast to them.

        Returns:
            (B, S, T, M, D).
        """
        for step in self.steps(tokens.shape[1], tokens.shape[2]):
            tokens = _add(tokens, self._drop(self._attend(step, tokens, position)))
        return _add(tokens, self._drop(self.mlp(self.norm2(tokens))))

    def steps(self, streams: int, frames: int) -> tuple[str, ...]:
        """Attention steps in their order; an axis of length one is none, whatever the layout."""
        if streams == 1 or frames == 1:
            return ("modal",) if frames == 1 else ("frame",)
        return self.steps_of_both

    def _attend(self, step: str, tokens: Tensor, position: Tensor | None) -> Tensor:
        """What one step adds to the tokens, (B, S, T, M, D), before it may be dropped."""
        if step == "modal":
            return self._across_streams(tokens)
        if step == "frame":
            return self._across_frames(tokens, position)
        if step == "union":
            return self.attn.union(self._placed(tokens, position))
        both = self._across_streams(tokens) + self._across_frames(tokens, position)
        return both / 2

    def _across_streams(self, tokens: Tensor) -> Tensor:
        """Both streams of a frame as one sequence. One stream: the base model's attention."""
        normed = self.norm1(tokens.transpose(1, 2))  # (B, T, S, M, D)
        seen = self.attn(normed.flatten(2, 3).flatten(0, 1))  # (B T, S M, D)
        return seen.view(normed.shape).transpose(1, 2)

    def _across_frames(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        """All frames of a stream as one sequence."""
        placed = self._placed(tokens, position)
        seen = self.attn(placed.flatten(2, 3).flatten(0, 1))  # (B S, T M, D)
        return seen.view(placed.shape)

    def _placed(self, tokens: Tensor, position: Tensor | None) -> Tensor:
        normed = self.norm1(tokens)
        return normed if position is None else normed + position

    def _drop(self, residual: Tensor) -> Tensor:
        """Leave the residual of some samples out in training, and scale up those of the others.

        One draw serves all streams and frames of a sample: they see the same network.
        """
        if not self.training or self.drop_rate == 0:
            return residual
        kept = 1 - self.drop_rate
        draws = torch.rand(residual.shape[0], 1, 1, 1, 1, device=residual.device) < kept
        return residual * (draws.to(residual.dtype) / kept)


class PatchEmbed(nn.Module):
    """Cut a picture into patches and make a token of each."""

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        patch = config.patch_size
        self.proj = nn.Conv2d(3, config.embed_dim, patch, stride=patch, padding=PATCH_PADDING)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) → (N, M, D), row by row."""
        return self.proj(image.to(self.proj.weight.dtype)).flatten(2).transpose(1, 2)


class Backbone(nn.Module):
    """Pictures to features; the blocks also run over streams and frames.

    Args:
        config: Sizes and choices.
    """

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.tokens, config.embed_dim))
        self.blocks = nn.ModuleList(Block(config, index) for index in range(config.depth))
        self.last_norm = nn.LayerNorm(config.embed_dim, eps=NORM_EPS)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, image: Tensor) -> Tensor:
        """Features of single pictures, as the base models give them.

        Args:
            image: Normalised pictures, (N, 3, H, W).

        Returns:
            (N, D, H / patch, W / patch).

        Raises:
            BadShape: `image` is not of the configured size.
        """
        tokens = self._run(self.embed(image)[:, None, None], None)
        features = self.last_norm(tokens[:, 0, 0])  # (N, M, D)
        return features.transpose(1, 2).unflatten(2, self.config.grid_hw).contiguous()

    def embed(self, image: Tensor) -> Tensor:
        """Patches and their positions: (N, 3, H, W) → (N, M, D).

        Row 0 of the positions belonged to a class token once; the base models add it everywhere.

        Raises:
            BadShape: `image` is not of the configured size.
        """
        if image.dim() != 4 or image.shape[1:] != (3, *self.config.image_size):
            wanted = f"(N, 3, {self.config.image_size[0]}, {self.config.image_size[1]})"
            raise BadShape(f"Wanted pictures of shape {wanted}, got {tuple(image.shape)}")
        position = self.pos_embed[:, 1:] + self.pos_embed[:, :1]
        return (self.patch_embed(image) + position).contiguous()

    def run_blocks(self, tokens: Tensor, valid: Tensor | None = None) -> Tensor:
        """Run the blocks alone: neither positions of patches before nor `last_norm` after.

        Args:
            tokens: (B, S, T, M, D); one or two streams, the image's first. Left as they are.
            valid: Which frames were seen, (B, T) bool; None means all. The result for the frames
                that were seen is that of running them without the others. Unseen frames come back
                as they went in.

        Returns:
            (B, S, T, M, D).

        Raises:
            BadShape: `tokens` or `valid` have another shape.
        """
        D = self.config.embed_dim
        if tokens.dim() != 5 or tokens.shape[1] not in (1, 2) or tokens.shape[-1] != D:
            raise BadShape(f"Wanted tokens (B, 1 or 2, T, M, {D}), got {tuple(tokens.shape)}")
        check_valid(valid, tokens.shape[0], tokens.shape[2])
        if valid is None or bool(valid.all()):
            return self._run(tokens.clone(), None)
        result = tokens.clone()
        for seen in SeenFrames.groups_of(valid.to(tokens.device)):
            run = self._run(seen.take(tokens.transpose(1, 2)).transpose(1, 2), seen.frames)
            result = seen.put(result.transpose(1, 2), run.transpose(1, 2)).transpose(1, 2)
        return result

    def encode(self, tokens: Tensor, frames: Tensor | None = None) -> Tensor:
        """Blocks and last norm over frames that were all seen.

        Args:
            tokens: (B, S, T, M, D). Overwritten where gradients are off.
            frames: Place of each frame in its clip, (B, T); None counts from 0.

        Returns:
            What the decoder reads per frame, (B, T, S M, D) or (B, T, M, D) as `context` says.
        """
        tokens = self._run(tokens, frames)
        if self.config.context == "image":
            tokens = tokens[:, :1]
        return self.last_norm(tokens.transpose(1, 2)).flatten(2, 3)

    def _run(self, tokens: Tensor, frames: Tensor | None) -> Tensor:
        position = self.frame_position(tokens, frames)
        tokens = tokens.contiguous()
        for block in self.blocks:
            tokens = block(tokens, position)
        return tokens

    def frame_position(self, tokens: Tensor, frames: Tensor | None) -> Tensor | None:
        """Sinusoids of the frames' places for (B, S, T, M, D), or None where there are none."""
        T, D = tokens.shape[2], tokens.shape[4]
        if not self.config.temporal_position or T == 1:
            return None
        if frames is None:
            frames = torch.arange(T, device=tokens.device)[None]
        return sinusoid(frames, D, tokens.dtype)[:, None, :, None]  # (B or 1, 1, T, 1, D)


def _steps_of_both_axes(layout: str, index: int) -> tuple[str, ...]:
    """Attention steps of a block where there are two streams and several frames.

    Chosen when the block is made, not when it runs: blocks that run alike compile to one program.
    """
    return {
        "modal_then_frame": ("modal", "frame"),
        "frame_then_modal": ("frame", "modal"),
        "alternate": (("modal", "frame")[index % 2],),
        "union": ("union",),
        "parallel_mean": ("mean",),
    }[layout]


def _gelu(hidden: Tensor) -> Tensor:
    """Act in place where nobody will differentiate: these are the network's largest tensors."""
    if torch.is_grad_enabled():
        return functional.gelu(hidden)
    return torch.ops.aten.gelu_(hidden)


def _add(tokens: Tensor, residual: Tensor) -> Tensor:
    """Add in place where nobody will differentiate: it saves a pass over memory."""
    if torch.is_grad_enabled():
        return tokens + residual
    return tokens.add_(residual)
