"""The decoder of HMR2.0 and HaMeR: one query per frame reads tokens and becomes pose and camera.

Source: 4D-Humans:hmr2/models/heads/smpl_head.py, hmr2/models/components/pose_transformer.py;
hamer:hamer/models/heads/mano_head.py is the same with 16 rotations.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import fused_attention
from .config import ExtPoseConfig

BETAS = 10
"""Shape numbers of SMPL and MANO that the head predicts."""

CAMERA = (0.9, 0.0, 0.0)
"""Scale and shift a fresh head starts from; weights bring their own."""


def rot6d_to_rotmat(rot6d: Tensor) -> Tensor:
    """Two vectors to a rotation: the first three numbers give the first column.

    Args:
        rot6d: (..., 6), or (N, J * 6).

    Returns:
        (..., 3, 3), or (N, J, 3, 3).

    Source: Zhou et al. 2019; 4D-Humans:hmr2/utils/geometry.py. Other code bases interleave the two
    vectors. The reference names no axis for its cross product and so crosses along the batch where
    that has length three; this does not.
    """
    if rot6d.shape[-1] != 6:
        rot6d = rot6d.unflatten(-1, (-1, 6))
    first, second = rot6d.unflatten(-1, (2, 3)).unbind(-2)
    x = functional.normalize(first, dim=-1)
    along = (x * second).sum(-1, keepdim=True)
    y = functional.normalize(second - along * x, dim=-1)
    z = torch.linalg.cross(x, y, dim=-1)
    return torch.stack((x, y, z), dim=-1)


class QueryAttention(nn.Module):
    """Self-attention of the query: alone with itself, it gets its own value back.

    Queries and keys act on nothing while there is one query, but checkpoints have their weights.
    """

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        inner = config.decoder_heads * config.decoder_dim_head
        self.to_qkv = nn.Linear(config.decoder_dim, inner * 3, bias=False)
        self.to_out = _to_out(config)

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """(N, 1, E) → (N, 1, E); the context is for the other layers."""
        value_weight = self.to_qkv.weight.chunk(3)[2]
        return self.to_out(functional.linear(query, value_weight))


class ContextAttention(nn.Module):
    """Attention of the query to the backbone's tokens."""

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        inner = config.decoder_heads * config.decoder_dim_head
        self.heads = config.decoder_heads
        self.to_kv = nn.Linear(config.embed_dim, inner * 2, bias=False)
        self.to_q = nn.Linear(config.decoder_dim, inner, bias=False)
        self.to_out = _to_out(config)

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """(N, 1, E), (N, K, D) → (N, 1, E)."""
        keys = self.to_kv(context).unflatten(-1, (2, self.heads, -1))  # (N, K, 2, H, C)
        key, value = keys.transpose(1, 3).unbind(2)
        asked = self.to_q(query).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.to_out(fused_attention(asked, key, value).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two layers with GELU between them, at the places the checkpoints name."""

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(config.decoder_dim, config.decoder_mlp_dim),
            nn.GELU(),
            nn.Identity(),  # a dropout of rate 0 in the base models
            nn.Linear(config.decoder_mlp_dim, config.decoder_dim),
        )

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """(N, 1, E) → (N, 1, E); the context is for the other layers."""
        return self.net(query)


class PreNorm(nn.Module):
    """Normalise the query before a layer reads it."""

    def __init__(self, config: ExtPoseConfig, layer: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.decoder_dim)
        self.fn = layer

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """(N, 1, E), (N, K, D) → (N, 1, E)."""
        return self.fn(self.norm(query), context)


class CrossTransformer(nn.Module):
    """Layers of self-attention, attention to the context and feed-forward, each with a residual."""

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                PreNorm(config, layer(config))
                for layer in (QueryAttention, ContextAttention, FeedForward)
            )
            for _ in range(config.decoder_depth)
        )

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """(N, 1, E), (N, K, D) → (N, 1, E)."""
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            for part in layer:
                query = query + part(query, context)
        return query


class QueryDecoder(nn.Module):
    """A learned query, read through the layers."""

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.zeros(1, 1, config.decoder_dim))
        self.to_token_embedding = nn.Linear(1, config.decoder_dim)
        self.transformer = CrossTransformer(config)
        # Cut at four deviations: plain `normal_` on the meta device, where networks of weights files
        # are made, would import torch's compiler and take a second.
        nn.init.trunc_normal_(self.pos_embedding, a=-4.0, b=4.0)

    def forward(self, context: Tensor) -> Tensor:
        """(N, K, D) → (N, E). The query's input is zero, so of its embedding the bias acts."""
        nothing = context.new_zeros(context.shape[0], 1, 1)
        query = self.to_token_embedding(nothing) + self.pos_embedding
        return self.transformer(query, context)[:, 0]


class PoseHead(nn.Module):
    """Tokens to rotations, shape and camera, as offsets from the mean the checkpoint carries.

    Args:
        config: Sizes; `body` decides the number of rotations and the name of the mean pose.
    """

    init_betas: Tensor
    init_cam: Tensor

    def __init__(self, config: ExtPoseConfig) -> None:
        super().__init__()
        poses = config.num_joints * 6
        self.transformer = QueryDecoder(config)
        self.decpose = nn.Linear(config.decoder_dim, poses)
        self.decshape = nn.Linear(config.decoder_dim, BETAS)
        self.deccam = nn.Linear(config.decoder_dim, 3)
        self.mean_pose = "init_body_pose" if config.body == "smpl" else "init_hand_pose"
        identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        self.register_buffer(self.mean_pose, torch.tensor([identity * config.num_joints]))
        self.register_buffer("init_betas", torch.zeros(1, BETAS))
        self.register_buffer("init_cam", torch.tensor([CAMERA]))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read one answer per item.

        Args:
            tokens: What the backbone gave, after its last norm, (N, K, D); any K.

        Returns:
            Rotation matrices of each joint relative to its parent, the root first, (N, J, 3, 3);
            betas (N, 10); camera scale and shift in the crop (N, 3). In float32 or better, whatever
            the weights and the autocast region are.
        """
        token = self.transformer(tokens)
        with _without_autocast(token.device.type):
            pose = _readout(self.decpose, token, self.get_buffer(self.mean_pose))
            betas = _readout(self.decshape, token, self.get_buffer("init_betas"))
            camera = _readout(self.deccam, token, self.get_buffer("init_cam"))
            return rot6d_to_rotmat(pose), betas, camera


def _readout(layer: nn.Linear, token: Tensor, mean: Tensor) -> Tensor:
    """Apply a small last layer in float32 or better, and add the mean."""
    exact = torch.promote_types(token.dtype, torch.float32)
    offset = functional.linear(token.to(exact), layer.weight.to(exact), layer.bias.to(exact))
    return offset + mean.to(exact)


def _without_autocast(device: str) -> AbstractContextManager[bool | None]:
    if not torch.amp.is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def _to_out(config: ExtPoseConfig) -> nn.Module:
    """The output layer of an attention; the base models leave it out for one head of full size."""
    inner = config.decoder_heads * config.decoder_dim_head
    if config.decoder_heads == 1 and inner == config.decoder_dim:
        return nn.Identity()
    return nn.Sequential(nn.Linear(inner, config.decoder_dim))
