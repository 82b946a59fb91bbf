"""Reads a checkpoint of HMR2.0, HaMeR, ExtPose, or a ViTPose backbone: what it is, and its tensors.

Nothing in a file is run, and nothing is read that is not needed: tensors are mapped, and their
pages come from the disk when they are used.

    kind            recognised by
    `hmr2`          `backbone.…` and `smpl_head.…`, from anybody's training
    `hamer`         `backbone.…` and `mano_head.…`
    `extpose-smpl`  the same keys as `hmr2`, and our own metadata that says so
    `extpose-mano`  the same keys as `hamer`, and our own metadata that says so
    `vit-backbone`  `pos_embed`, `patch_embed.…`, `blocks.…` without a prefix
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ....protocol.errors import BadModelFile, UsageError
from .config import ExtPoseConfig
from .pickled import look_up
from .recognise import (
    HEADS,
    HeadCounts,
    Shape,
    WrongKeys,
    bad_model,
    body_of,
    check_discriminator,
    check_network,
    infer_config,
)
from .safetensors_file import is_safetensors, read_safetensors
from .torch_file import is_torch_file, read_torch_file

KINDS = ("hmr2", "hamer", "extpose-smpl", "extpose-mano", "vit-backbone")
"""What a file can be."""

STREAMS = ("image", "skeleton", "both")
"""What a network was trained to be shown."""

METADATA_KEY = "extpose"
"""Where the metadata of our own files holds its JSON. One key: several would be written in an order
that changes, and the hash of the file with it."""
FORMAT_VERSION = 1
"""Counts up when older readers would misread a file."""

_BASE_KIND = {"smpl": "hmr2", "mano": "hamer"}
_BODY_GROUPS = ("smpl", "mano")


@dataclass(frozen=True)
class TrainedFor:
    """What our own files say of the weights beside their sizes."""

    streams: str
    """`image`, `skeleton` or `both`."""
    frames: int
    """Frames in a window of training."""
    body_id: str
    """Whose shape numbers the network gives: the name of a body."""
    licence: str
    """What the licence of the weights permits, in short."""
    source: str
    """Where the weights come from."""

    def __post_init__(self) -> None:
        """Check each value."""
        if self.streams not in STREAMS:
            raise UsageError(f"`streams` must be one of {', '.join(STREAMS)}, not `{self.streams}`")
        if self.frames < 1:
            raise UsageError(f"`frames` must be positive, not {self.frames}")


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds."""

    path: Path
    """Where it was read."""
    kind: str
    """One of `KINDS`."""
    config: ExtPoseConfig
    """Sizes and choices of the network."""
    tensors: dict[str, Tensor]
    """The network's own, by the keys of `ExtPose`; mapped."""
    discriminator: dict[str, Tensor] = field(default_factory=dict)
    """By the keys of `Discriminator`; empty where the file has none."""
    body: dict[str, Tensor] = field(default_factory=dict)
    """Buffers of the licensed body, in smplx's names; empty where the file has none."""
    other: dict[str, Tensor] = field(default_factory=dict)
    """What is left, such as `initialized`."""
    trained: TrainedFor | None = None
    """What our own files say; nothing for files of others."""
    notes: tuple[str, ...] = ()
    """What a person should know: sizes taken by rule, keys that were left out."""


def is_checkpoint(path: Path) -> bool:
    """Whether a file looks like a network's, whole or not, rather than a body's."""
    return path.is_file() and (is_torch_file(path) or is_safetensors(path))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: .ckpt, .pth or .safetensors; which of them is seen from the contents.

    Returns:
        What it holds, checked key by key. Its tensors are mapped from the file.

    Raises:
        BadModelFile: It is missing, damaged, incomplete, hostile or of another kind. The message
            names the first wrong key with wanted and actual shape. Nothing in the file is run.
    """
    try:
        tensors, metadata, heads = _open(path)
    except OSError as error:
        raise BadModelFile(
            f"`{path}` cannot be read: {error.strerror or error}", "Name a checkpoint file"
        ) from error
    try:
        return _recognised(path, tensors, metadata, heads)
    except WrongKeys as reason:
        raise bad_model(path, reason) from reason


def _open(path: Path) -> tuple[dict[str, Tensor], dict[str, str], HeadCounts]:
    """Tensors, metadata, and what the options of a training run say of attention heads."""
    if is_safetensors(path):
        tensors, metadata = read_safetensors(path)
        return tensors, metadata, HeadCounts()
    if not is_torch_file(path):
        raise BadModelFile(
            f"`{path}` is neither a torch checkpoint nor a .safetensors file",
            "Give a checkpoint of HMR2.0, HaMeR or ExtPose as published",
        )
    tensors, content = read_torch_file(path)
    return tensors, {}, HeadCounts(decoder=_decoder_heads(content))


def _decoder_heads(content: Any) -> int | None:
    """Heads of the decoder, where the options of the training run name them."""
    options = look_up(content, "hyper_parameters")
    for root in (look_up(options, "cfg"), options):
        for part in ("SMPL_HEAD", "MANO_HEAD"):
            heads = look_up(root, "MODEL", part, "TRANSFORMER_DECODER", "heads")
            if type(heads) is int and heads > 0:
                return heads
    return None


def _recognised(
    path: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str], heads: HeadCounts
) -> Checkpoint:
    body = body_of(tensors)
    if body is None:
        return _backbone_alone(path, tensors, heads)
    groups: dict[str, dict[str, Tensor]] = {}
    network: dict[str, Tensor] = {}
    other: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        group, _, rest = key.partition(".")
        if group in ("backbone", HEADS[body]):
            network[key] = tensor
        elif group in ("discriminator", *_BODY_GROUPS):
            groups.setdefault(group, {})[rest] = tensor
        else:
            other[key] = tensor
    kind, config, trained, notes = _described(path, body, _shapes(network), metadata, heads)
    check_network(_shapes(network), config)
    _check_numbers(network)
    discriminator = groups.get("discriminator", {})
    if discriminator:
        check_discriminator(_shapes(discriminator), config)
    unknown = sorted({key.partition(".")[0] for key in other} - {"initialized"})
    if unknown:
        notes += (f"Left out, as no part of the network: {', '.join(f'`{u}`' for u in unknown)}",)
    return Checkpoint(
        path, kind, config, network, discriminator, groups.get(body, {}), other, trained, notes
    )


def _described(
    path: Path, body: str, shapes: dict[str, Shape], metadata: Mapping[str, str], heads: HeadCounts
) -> tuple[str, ExtPoseConfig, TrainedFor | None, tuple[str, ...]]:
    """Kind, configuration and purpose: from our metadata, else from the shapes."""
    if METADATA_KEY not in metadata:
        config, notes = infer_config(shapes, body, heads)
        return _BASE_KIND[body], config, None, tuple(notes)
    try:
        about = json.loads(metadata[METADATA_KEY])
        version = int(about["format_version"])
        if version > FORMAT_VERSION:
            raise BadModelFile(
                f"`{path}` is of format {version}, this release reads up to {FORMAT_VERSION}",
                "Install a newer ExtPose",
            )
        config = ExtPoseConfig.from_dict(about["config"])
        trained = TrainedFor(
            str(about["streams"]), int(about["frames"]), str(about["body_id"]),
            str(about["licence"]), str(about["source"]),
        )  # fmt: skip
        kind = str(about["kind"])
    except UsageError as reason:
        raise WrongKeys(f"its metadata is wrong: {reason.message}") from reason
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as reason:
        raise WrongKeys(f"its metadata is damaged: {reason}") from reason
    if config.body != body or kind not in (_BASE_KIND[body], f"extpose-{body}"):
        raise WrongKeys(
            f"its metadata says `{kind}` with a head for {config.body}, its keys {body}"
        )
    return kind, config, trained, ()


def _backbone_alone(path: Path, tensors: dict[str, Tensor], heads: HeadCounts) -> Checkpoint:
    named = {f"backbone.{key}": tensor for key, tensor in tensors.items()}
    config, notes = infer_config(_shapes(named), None, heads)
    check_network(_shapes(named), config, whole=False)
    _check_numbers(named)
    return Checkpoint(path, "vit-backbone", config, named, notes=tuple(notes))


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def _check_numbers(tensors: Mapping[str, Tensor]) -> None:
    for key, tensor in tensors.items():
        if not tensor.dtype.is_floating_point:
            raise WrongKeys(f"`{key}` must hold floating-point numbers, not {tensor.dtype}")
