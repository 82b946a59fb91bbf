"""The network's weights in a .safetensors file, and how they are found."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ....protocol.errors import BadModelFile, UsageError
from ....protocol.files import written_aside
from ....protocol.resources import find_resource
from ..extpose.safetensors_file import is_safetensors, read_safetensors, write_safetensors
from .config import PoseFormerConfig
from .network import PoseFormer

SHIPPED = "weights/poseformer.safetensors"
"""Where the shipped weights lie below `models/`."""

METADATA_KEY = "extpose"
"""Where the metadata of our own files holds its JSON."""
KIND = "poseformer"
FORMAT_VERSION = 1
"""Counts up when older readers would misread a file."""


@dataclass(frozen=True)
class TrainedFor:
    """What a file says of its weights beside their sizes."""

    body_id: str
    """Whose shape numbers the network gives: the name of a body."""
    skeleton: str
    """Whose keypoints it was trained to be shown: the name of a detector's skeleton."""
    licence: str
    """What the licence of the weights permits, in short."""
    source: str
    """Where the weights come from."""


@dataclass(frozen=True)
class PoseFormerWeights:
    """A network that has been read, in eval mode, fp32 on the CPU."""

    network: PoseFormer
    trained: TrainedFor


def find_weights(name_or_file: str | None = None) -> Path:
    """The file of some weights: the shipped ones when left out.

    Raises:
        MissingModel: The shipped ones are not there.
        BadModelFile: A file that was named does not exist.
    """
    if name_or_file in (None, KIND):
        return find_resource(SHIPPED)
    path = Path(name_or_file or "").expanduser()
    if not path.is_file():
        raise BadModelFile(
            f"`{name_or_file}` does not exist", "Name a file of `poseformer` weights"
        )
    return path


def read_weights(path: Path) -> PoseFormerWeights:
    """Make the network of a file.

    Raises:
        BadModelFile: It is damaged, or holds another network.
    """
    if not is_safetensors(path):
        raise BadModelFile(
            f"`{path}` is no .safetensors file", "Name a file of `poseformer` weights"
        )
    tensors, metadata = read_safetensors(path)
    about = _about(path, metadata)
    try:
        config = PoseFormerConfig.from_dict(about["config"])
        trained = TrainedFor(**about["trained"])
        network = PoseFormer(config)
        network.load_state_dict({key: tensor.float() for key, tensor in tensors.items()})
    except (KeyError, TypeError, UsageError, RuntimeError) as reason:
        raise BadModelFile(f"`{path}` is damaged: {reason}", "Get the file again") from reason
    return PoseFormerWeights(network.eval(), trained)


def write_weights(
    path: Path,
    network: PoseFormer,
    trained: TrainedFor,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write weights with all that has to be known about them, aside and renamed.

    Args:
        path: A .safetensors file.
        network: The network.
        trained: What it is for.
        dtype: Type of the numbers in the file.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    about = {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "config": network.config.to_dict(),
        "trained": vars(trained),
    }
    tensors = {key: tensor.detach().cpu().to(dtype) for key, tensor in network.state_dict().items()}
    with written_aside(path) as aside:
        write_safetensors(aside, tensors, {METADATA_KEY: json.dumps(about)})


def _about(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(metadata[METADATA_KEY])
        kind, version = about["kind"], int(about["format_version"])
    except (KeyError, ValueError, TypeError) as reason:
        raise BadModelFile(
            f"`{path}` does not say which network it is for", "Name a file of `poseformer` weights"
        ) from reason
    if kind != KIND:
        raise BadModelFile(
            f"`{path}` holds weights of `{kind}`, not of `{KIND}`", "Choose others with `--weights`"
        )
    if version > FORMAT_VERSION:
        raise BadModelFile(
            f"`{path}` has format {version}, this version reads up to {FORMAT_VERSION}",
            "Install a newer ExtPose",
        )
    return about
