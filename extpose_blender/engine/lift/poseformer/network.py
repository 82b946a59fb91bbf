"""A small temporal transformer: one token per frame, attention across frames, SMPL out of each.

keypoints, hints, view ─▶ token per frame ─▶ blocks: attention over time, MLP ─▶ rotations, camera
    └─▶ turns that the hints alone give, evened out over time ───────────────────────▲
                                                                     mean of all ─▶ shape
Time is told in seconds, twice: as waves added to the tokens, and as a price on attention that grows
with the distance in time, one rate per head (Press et al. 2022, there for words). So any number of
frames at any rate will do, and frames that were not seen are simply not attended to.

What the network says of the rotations is added to what the detector's 3D points alone would give;
where none are shown, to a body at rest that faces the camera.

After PoseFormer (Zheng et al. 2021), whose spatial transformer over joints is an MLP here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, softplus

from ....protocol.skeletons import SMPL_24
from ..extpose.head import BETAS, rot6d_to_rotmat
from .config import PoseFormerConfig
from .features import POINTS, VIEW, Inputs
from .hinted import FEATURES, describe_hints, hinted_turns, joined_points

JOINTS = 24
"""Rotations of SMPL that the network predicts."""

_WAVES_HZ = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_RATES_PER_S = (0.5, 2.0, 8.0, 32.0)
"""Prices per second that heads begin with, in turn."""
_EVEN_RATE_PER_S = 25.0
"""How fast neighbours count less, at first, where the hinted turns are evened out."""
_NEVER = -1e4
"""Price of a frame that shows nothing; finite, so that a window of such frames stays a number."""
_UPRIGHT = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
"""Six numbers of a body that stands before the camera and faces it."""
_AT_REST = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_SMALL_START = 0.02


@dataclass(frozen=True)
class Prediction:
    """What the network says of B windows of T frames."""

    rotmat: Tensor
    """(B, T, 24, 3, 3) rotations; joint 0 from the rest frame to a camera that looks at the box."""
    betas: Tensor
    """(B, 10) shape of the open body, one per window."""
    log_scale: Tensor
    """(B, T) logarithm of the camera's scale."""
    shift: Tensor
    """(B, T, 2) where the body's origin lies in the box, box units."""

    @property
    def camera(self) -> Tensor:
        """(B, T, 3) s, tx, ty as of `extpose/camera.py`: a metre is s / 2 box units."""
        scale = self.log_scale.exp()[..., None]
        return torch.cat([scale, 2 * self.shift / scale], -1)


class PoseFormer(nn.Module):
    """The network.

    Args:
        config: Its sizes.
    """

    def __init__(self, config: PoseFormerConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.keypoints = nn.Linear(POINTS * 3, 2 * dim)
        self.hints = nn.Linear(POINTS * 4 + FEATURES, 2 * dim)
        self.view = nn.Linear(VIEW, 2 * dim)
        self.no_keypoints = nn.Parameter(torch.zeros(2 * dim))
        self.no_hints = nn.Parameter(torch.zeros(2 * dim))
        self.time = nn.Linear(2 * len(_WAVES_HZ), dim)
        self.frame = nn.Sequential(nn.GELU(), nn.Linear(2 * dim, dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(dim)
        self.pose = nn.Linear(dim, JOINTS * 6)
        self.camera = nn.Linear(dim, 3)
        self.shape = nn.Linear(dim, BETAS)
        self.even_rate = nn.Parameter(torch.tensor(_EVEN_RATE_PER_S))
        self._start()

    def _start(self) -> None:
        for head in (self.pose, self.camera, self.shape):
            nn.init.normal_(head.weight, std=_SMALL_START / self.config.dim**0.5)
            nn.init.zeros_(head.bias)

    def forward(self, inputs: Inputs) -> Prediction:
        """Predict every frame, seen or not."""
        distance = (inputs.time_s[:, :, None] - inputs.time_s[:, None]).abs()
        with torch.autocast(inputs.time_s.device.type, enabled=False):  # Angles need their digits.
            points = _points_of(inputs)
            described = describe_hints(points)
            begun = self._hinted(inputs, points, distance)
        shows = inputs.shows_keypoints | inputs.shows_hints
        tokens = self.frame(self._tokens(inputs, described)) + self.time(_waves(inputs.time_s))
        hidden = torch.where(shows, 0.0, _NEVER)[:, None, None]  # (B, 1, 1, T)
        for block in self.blocks:
            tokens = block(tokens, distance, hidden)
        tokens = self.norm(tokens)
        share = shows.to(tokens) + 1e-6
        mean = (tokens * share[..., None]).sum(1) / share.sum(1, keepdim=True)
        camera = self.camera(tokens).float()
        turns = begun + self.pose(tokens).float().unflatten(-1, (JOINTS, 6))
        shape = self.shape(mean).float()
        return Prediction(rot6d_to_rotmat(turns), shape, camera[..., 0], camera[..., 1:])

    def _tokens(self, inputs: Inputs, described: Tensor) -> Tensor:
        """(B, T, 2 D) what each frame shows."""
        keypoints = self.keypoints(inputs.keypoints.flatten(2))
        hints = self.hints(torch.cat([inputs.hints.flatten(2), described], -1))
        return (
            torch.where(inputs.shows_keypoints[..., None], keypoints, self.no_keypoints)
            + torch.where(inputs.shows_hints[..., None], hints, self.no_hints)
            + self.view(inputs.view)
        )

    def _hinted(self, inputs: Inputs, points: Tensor, distance: Tensor) -> Tensor:
        """(B, T, 24, 6) first two columns of the turns that hints alone give, evened out."""
        turns = hinted_turns(points)[..., :2].mT.flatten(-2)
        usual = turns.new_tensor([_UPRIGHT, *[_AT_REST] * (JOINTS - 1)])
        hidden = torch.where(inputs.shows_hints, 0.0, _NEVER)[:, None]
        share = (hidden - self.even_rate.abs() * distance).softmax(-1)  # (B, T, T)
        even = (share @ turns.flatten(2)).unflatten(-1, (JOINTS, 6))
        any_shown = inputs.shows_hints.any(-1)[:, None, None, None]
        return torch.where(any_shown, even, usual)


class Block(nn.Module):
    """Attention across frames, then an MLP on each frame, both with a residual."""

    def __init__(self, config: PoseFormerConfig) -> None:
        super().__init__()
        dim, self.heads = config.dim, config.heads
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, config.mlp_ratio * dim),
            nn.GELU(),
            nn.Linear(config.mlp_ratio * dim, dim),
        )
        rates = [_RATES_PER_S[head % len(_RATES_PER_S)] for head in range(self.heads)]
        # Softplus of the parameter is the rate.
        self.rate = nn.Parameter(torch.tensor(rates).expm1().log())

    def forward(self, tokens: Tensor, distance: Tensor, hidden: Tensor) -> Tensor:
        """(B, T, D), distances in time (B, T, T), price of each frame (B, 1, 1, T) → (B, T, D)."""
        parts = self.qkv(self.norm1(tokens)).unflatten(-1, (3, self.heads, -1))
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)  # (B, H, T, C)
        bias = hidden - softplus(self.rate)[:, None, None] * distance[:, None]
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        tokens = tokens + self.out(mixed.transpose(1, 2).flatten(2))
        return tokens + self.mlp(self.norm2(tokens))


def mirror_prediction(prediction: Prediction) -> Prediction:
    """What a prediction of the mirrored picture says of the picture itself."""
    order = list(SMPL_24.mirror)
    signs = prediction.rotmat.new_tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
    shift = prediction.shift * prediction.shift.new_tensor([-1.0, 1.0])
    return Prediction(
        prediction.rotmat[:, :, order] * signs, prediction.betas, prediction.log_scale, shift
    )


def _points_of(inputs: Inputs) -> Tensor:
    """(B, T, 33, 3) the detector's 3D points, laid over its picture points where those are shown."""
    joined = joined_points(inputs.keypoints, inputs.hints, inputs.view[..., 2])
    shown = inputs.shows_keypoints[..., None, None]
    return torch.where(shown, joined, inputs.hints[..., :3])


def _waves(time_s: Tensor) -> Tensor:
    """(B, T) → (B, T, 2 F): sines and cosines of time."""
    angle = time_s[..., None] * (2 * torch.pi * time_s.new_tensor(_WAVES_HZ))
    return torch.cat([angle.sin(), angle.cos()], -1)
