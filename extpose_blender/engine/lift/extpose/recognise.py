"""Tells by keys and shapes what a network file is, and holds it against the network it names.

The file's own name says nothing. Sizes are read off the shapes; what shapes cannot tell, the
number of attention heads, comes from the file's metadata or options, else from the published
models, else from their rule of 64 numbers a head.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import nn

from ....protocol.errors import BadModelFile, UsageError
from .config import ExtPoseConfig
from .discriminator import Discriminator
from .network import ExtPose

Shape = tuple[int, ...]

HEADS = {"smpl": "smpl_head", "mano": "mano_head"}
"""Prefix of the decoder's keys, for each body."""

_HEADS_OF_DIM = {1280: 16, 1024: 16, 768: 12, 384: 12}
"""Attention heads of the published ViTPose sizes H, L, B and S."""
_HEAD_DIM = 64
_PUBLISHED = ExtPoseConfig()


@dataclass(frozen=True)
class HeadCounts:
    """What shapes do not tell, where the file says it otherwise."""

    backbone: int | None = None
    """Attention heads of the backbone."""
    decoder: int | None = None
    """Attention heads of the decoder."""


class WrongKeys(Exception):
    """Keys or shapes are not those of the network; the message names the first wrong one."""


def body_of(keys: Iterable[str]) -> str | None:
    """`smpl` or `mano` by the head that is there; nothing for a backbone alone.

    Raises:
        WrongKeys: It is no network of this family.
    """
    keys = list(keys)
    bodies = [body for body, head in HEADS.items() if any(k.startswith(f"{head}.") for k in keys)]
    if len(bodies) == 1:
        return bodies[0]
    if bodies:
        raise WrongKeys("it has both `smpl_head.` and `mano_head.` keys, wanted one of them")
    if "pos_embed" in keys and "patch_embed.proj.weight" in keys:
        return None
    first = f"; its first key is `{keys[0]}`" if keys else ""
    raise WrongKeys(f"it has neither `smpl_head.` nor `mano_head.` keys{first}")


def infer_config(
    shapes: Mapping[str, Shape], body: str | None, heads: HeadCounts
) -> tuple[ExtPoseConfig, list[str]]:
    """Read the sizes of a network off its shapes.

    Args:
        shapes: Shape by key, backbone under `backbone.`.
        body: From `body_of`.
        heads: What the file says of its attention heads.

    Returns:
        The configuration, and notes on what was taken by rule.

    Raises:
        WrongKeys: A size cannot be told. The message names the key that should tell it.
    """
    notes: list[str] = []
    sizes = _backbone_sizes(shapes, heads, notes)
    if body is not None:
        sizes |= _decoder_sizes(shapes, HEADS[body], heads, notes)
    try:
        return ExtPoseConfig(body=body or "smpl", **sizes), notes
    except UsageError as reason:
        raise WrongKeys(f"its sizes do not go together: {reason.message}") from reason


def check_network(shapes: Mapping[str, Shape], config: ExtPoseConfig, whole: bool = True) -> None:
    """Hold keys and shapes against the network of a configuration.

    Args:
        shapes: Shape by key.
        config: Sizes of the network.
        whole: With its head; the backbone alone when not.

    Raises:
        WrongKeys: One differs. The message names the first, with wanted and actual shape.
    """
    announced = config.depth + config.decoder_depth * whole
    if announced > len(shapes):
        raise WrongKeys(
            f"its settings announce {announced} layers, more than its {len(shapes)} keys"
        )
    try:
        with torch.device("meta"):
            wanted = _shapes_of(ExtPose(config))
    except (RuntimeError, TypeError, OverflowError) as reason:
        raise WrongKeys("its settings announce more numbers than a network can have") from reason
    if not whole:
        wanted = {key: shape for key, shape in wanted.items() if key.startswith("backbone.")}
    check_shapes(shapes, wanted)


def check_discriminator(shapes: Mapping[str, Shape], config: ExtPoseConfig) -> None:
    """Hold a checkpoint's discriminator, keys without prefix, against ours. Raises WrongKeys."""
    with torch.device("meta"):
        wanted = _shapes_of(Discriminator(config.num_joints - 1))
    add = "discriminator.".__add__
    check_shapes({add(k): v for k, v in shapes.items()}, {add(k): v for k, v in wanted.items()})


def check_shapes(shapes: Mapping[str, Shape], wanted: Mapping[str, Shape]) -> None:
    """Compare keys and shapes in the order of the network. Raises WrongKeys at the first."""
    for key, shape in wanted.items():
        if key not in shapes:
            raise WrongKeys(f"`{key}` must be {shape}, and is missing")
        if shapes[key] != shape:
            raise WrongKeys(f"`{key}` must be {shape}, not {shapes[key]}")
    for key, shape in shapes.items():
        if key not in wanted:
            raise WrongKeys(f"`{key}` {shape} is no part of that network")


def bad_model(path: object, reason: WrongKeys) -> BadModelFile:
    """The error for a file whose keys are wrong."""
    return BadModelFile(
        f"`{path}` cannot be used: {reason}",
        "Give a checkpoint of HMR2.0, HaMeR or ExtPose as published, whole",
    )


def _backbone_sizes(
    shapes: Mapping[str, Shape], heads: HeadCounts, notes: list[str]
) -> dict[str, Any]:
    dim = _usual(shapes, r"backbone\.blocks\.\d+\.norm\d\.weight", 0)
    patch = _usual(shapes, r"backbone\.patch_embed\.proj\.weight", 2)
    tokens = _usual(shapes, r"backbone\.pos_embed", 1) - 1
    # A file of the published width is held against the published depth: one that lost its last
    # blocks must not pass for a smaller network.
    published = dim == _PUBLISHED.embed_dim
    depth = _PUBLISHED.depth if published else _count(shapes, r"backbone\.blocks\.(\d+)\.")
    count = heads.backbone or _HEADS_OF_DIM.get(dim)
    if count is None:
        count = _by_rule(dim, "backbone.blocks.0.attn.qkv.weight", notes)
    rows, columns = (16, 12) if published else _grid(tokens)
    return {
        "image_size": (rows * patch, columns * patch),
        "patch_size": patch,
        "embed_dim": dim,
        "depth": depth,
        "num_heads": count,
    }


def _decoder_sizes(
    shapes: Mapping[str, Shape], head: str, heads: HeadCounts, notes: list[str]
) -> dict[str, Any]:
    layers = rf"{head}\.transformer\.transformer\.layers\.\d+"
    dim = _usual(shapes, rf"{layers}\.\d\.norm\.weight", 0)
    inner = _usual(shapes, rf"{layers}\.0\.fn\.to_qkv\.weight", 0) // 3
    count = heads.decoder
    if count is None:
        count = _by_rule(
            inner, f"{head}.transformer.transformer.layers.0.0.fn.to_qkv.weight", notes
        )
    if inner % count:
        raise WrongKeys(f"its decoder has {inner} numbers for {count} attention heads")
    published = dim == _PUBLISHED.decoder_dim
    depth = _count(shapes, rf"{head}\.transformer\.transformer\.layers\.(\d+)\.")
    return {
        "decoder_dim": dim,
        "decoder_depth": _PUBLISHED.decoder_depth if published else depth,
        "decoder_heads": count,
        "decoder_dim_head": inner // count,
        "decoder_mlp_dim": _usual(shapes, rf"{layers}\.2\.fn\.net\.0\.weight", 0),
    }


def _usual(shapes: Mapping[str, Shape], pattern: str, axis: int) -> int:
    """The size that most keys of a pattern have on an axis, so one wrong shape misleads nobody."""
    found = Counter(
        shape[axis]
        for key, shape in shapes.items()
        if re.fullmatch(pattern, key) and len(shape) > axis
    )
    if not found or min(found) < 1:
        readable = pattern.replace(r"\d+", "0").replace(r"\d", "0").replace("\\", "")
        raise WrongKeys(f"`{readable}` is missing, and tells the network's size")
    return found.most_common(1)[0][0]


def _count(shapes: Mapping[str, Shape], pattern: str) -> int:
    numbers = [int(found[1]) for key in shapes if (found := re.match(pattern, key))]
    # A number beyond the count of keys would announce a network that cannot be there.
    return min(max(numbers, default=0) + 1, len(shapes))


def _grid(tokens: int) -> tuple[int, int]:
    """Rows and columns of patches: pictures of people are 4 high and 3 wide, else square."""
    columns = isqrt(tokens * 3 // 4)
    if columns and columns * 4 % 3 == 0 and columns * columns * 4 // 3 == tokens:
        return columns * 4 // 3, columns
    side = isqrt(tokens)
    if side and side * side == tokens:
        return side, side
    raise WrongKeys(f"`backbone.pos_embed` holds {tokens} patches, no picture of 4 to 3 or square")


def _by_rule(dim: int, key: str, notes: list[str]) -> int:
    if dim < _HEAD_DIM or dim % _HEAD_DIM:
        raise WrongKeys(
            f"the attention heads of `{key}` cannot be told from {dim} numbers, and the file does "
            "not name them"
        )
    if dim != _PUBLISHED.decoder_heads * _PUBLISHED.decoder_dim_head:
        notes.append(
            f"Taken for `{key}`, by rule, heads: {dim // _HEAD_DIM} of {_HEAD_DIM} numbers"
        )
    return dim // _HEAD_DIM


def _shapes_of(module: nn.Module) -> dict[str, Shape]:
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}
