"""Sizes and choices of an ExtPose network: what a weights file records beside its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from ....protocol.errors import UsageError

BODIES = {"smpl": 24, "mano": 16}
"""Rotations that each head predicts, the root's first."""

BLOCK_LAYOUTS = ("modal_then_frame", "frame_then_modal", "alternate", "union", "parallel_mean")
"""Readings of the paper: how a block's attention covers streams and frames."""

CONTEXTS = ("both", "image")
"""Which streams the decoder reads."""

PATCH_PADDING = 2
"""Pixels of border that the patch convolution adds on each side, as the base models do."""


@dataclass(frozen=True)
class ExtPoseConfig:
    """Everything that decides the shapes of the weights and how blocks use them.

    The defaults are those of HMR2.0 and HaMeR. No choice below `decoder_mlp_dim` changes a key or a
    shape, so one checkpoint runs under each of them.

    Raises:
        UsageError: A value is of the wrong kind, out of range, or does not fit another.
    """

    body: str = "smpl"
    """`smpl`: 24 rotations of a body; `mano`: 16 of a right hand."""
    image_size: tuple[int, int] = (256, 192)
    """Height and width of a picture in pixels."""
    patch_size: int = 16
    """Side of a square patch in pixels; each patch becomes a token."""
    embed_dim: int = 1280
    """Numbers in a token of the backbone."""
    depth: int = 32
    """Blocks of the backbone."""
    num_heads: int = 16
    """Attention heads of the backbone."""
    decoder_dim: int = 1024
    """Numbers in the decoder's query."""
    decoder_depth: int = 6
    """Layers of the decoder."""
    decoder_heads: int = 8
    """Attention heads of the decoder."""
    decoder_dim_head: int = 64
    """Numbers in a head of the decoder."""
    decoder_mlp_dim: int = 1024
    """Hidden size of the decoder's feed-forward layers."""
    block_layout: str = "modal_then_frame"
    """One of `BLOCK_LAYOUTS`."""
    temporal_position: bool = False
    """Add a fixed sinusoid of the frame's place to what cross-frame attention reads."""
    context: str = "both"
    """One of `CONTEXTS`."""
    drop_path: float = 0.0
    """Chance that a sample skips the last block's residuals in training; linear over the blocks."""

    def __post_init__(self) -> None:
        """Check each value, then those that belong together."""
        for name, kind in _KINDS.items():
            _check_kind(name, getattr(self, name), kind)
        _check_choice("body", self.body, tuple(BODIES))
        _check_choice("block_layout", self.block_layout, BLOCK_LAYOUTS)
        _check_choice("context", self.context, CONTEXTS)
        if not 0 <= self.drop_path < 1:
            raise UsageError(f"`drop_path` must lie in 0 to 1, 1 excluded, not {self.drop_path}")
        self._check_grid()
        self._check_dims()

    def _check_grid(self) -> None:
        if self.patch_size <= 2 * PATCH_PADDING:
            raise UsageError(
                f"`patch_size` must be above {2 * PATCH_PADDING}, not {self.patch_size}",
                "Smaller patches than the border would add a row to the grid",
            )
        if any(side % self.patch_size for side in self.image_size):
            raise UsageError(
                f"`image_size` {self.image_size} must be multiples of `patch_size` "
                f"{self.patch_size}"
            )

    def _check_dims(self) -> None:
        if self.embed_dim % self.num_heads:
            raise UsageError(
                f"`embed_dim` {self.embed_dim} must be a multiple of `num_heads` {self.num_heads}"
            )
        if self.temporal_position and self.embed_dim % 2:
            raise UsageError(
                f"`temporal_position` needs an even `embed_dim`, not {self.embed_dim}",
                "Each frequency takes a sine and a cosine",
            )

    @property
    def grid_hw(self) -> tuple[int, int]:
        """Rows and columns of patches in a picture."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size

    @property
    def tokens(self) -> int:
        """Tokens of one picture."""
        return self.grid_hw[0] * self.grid_hw[1]

    @property
    def num_joints(self) -> int:
        """Rotations the head predicts, the root included."""
        return BODIES[self.body]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values as JSON takes them; `from_dict` reads them back."""
        return asdict(self) | {"image_size": list(self.image_size)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExtPoseConfig:
        """Read what `to_dict` wrote; fields that are absent keep their defaults.

        Raises:
            UsageError: A key is unknown, or a value cannot be used.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"Unknown network setting {', '.join(f'`{key}`' for key in unknown)}")
        known = dict(values)
        if isinstance(known.get("image_size"), list):
            known["image_size"] = tuple(known["image_size"])
        return cls(**known)


_KINDS: dict[str, str] = {
    "image_size": "two positive whole numbers",
    **dict.fromkeys(
        (
            "patch_size", "embed_dim", "depth", "num_heads", "decoder_dim", "decoder_depth",
            "decoder_heads", "decoder_dim_head", "decoder_mlp_dim",
        ),
        "a positive whole number",
    ),
    "temporal_position": "true or false",
    "drop_path": "a number",
}  # fmt: skip


def _check_kind(name: str, value: object, kind: str) -> None:
    fits = {
        "two positive whole numbers": isinstance(value, tuple)
        and len(value) == 2
        and all(_is_positive_whole(side) for side in value),
        "a positive whole number": _is_positive_whole(value),
        "true or false": isinstance(value, bool),
        "a number": isinstance(value, int | float) and not isinstance(value, bool),
    }[kind]
    if not fits:
        raise UsageError(f"`{name}` must be {kind}, not `{value}`")


def _is_positive_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        wanted = ", ".join(f"`{choice}`" for choice in choices)
        raise UsageError(f"`{name}` must be one of {wanted}, not `{value}`")
