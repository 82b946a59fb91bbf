"""Finds weights by name or file, and makes a network of them.

Our own files are .safetensors whose metadata says what the weights are: sizes, streams and frames
they were trained with, the body of their shape numbers, licence and source. Checkpoints of HMR2.0
and HaMeR are read as published, or added once with `extpose models add`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ....protocol.catalog import load_catalog
from ....protocol.errors import BadModelFile, MissingModel, UsageError
from ....protocol.files import sha256_of, written_aside
from ....protocol.resources import resource_root
from ...weights import added_models, find_added_model, model_folder
from .checkpoint import FORMAT_VERSION, METADATA_KEY, Checkpoint, TrainedFor, read_checkpoint
from .config import ExtPoseConfig
from .network import ExtPose
from .safetensors_file import write_safetensors

KIND = "weights"
"""What the user's model folder calls such files."""

_HOW_TO_ADD = "Get a checkpoint, then run `extpose models add FILE`, or name one with `--weights`"
_PEOPLE = {"smpl": "bodies", "mano": "hands"}


@dataclass(frozen=True)
class WeightsInfo:
    """Weights that were found, and what they are for."""

    name: str
    """Word for the command line and for reports."""
    path: Path
    """The file."""
    sha256: str
    """Its hash."""
    kind: str
    """`hmr2`, `hamer`, `extpose-smpl` or `extpose-mano`."""
    config: ExtPoseConfig
    """Sizes and choices of the network."""
    streams: str
    """What it was trained to be shown: `image`, `skeleton` or `both`."""
    frames: int
    """Frames in a window of training; 1 for a network of single pictures."""
    body_id: str
    """Whose shape numbers it gives."""
    licence: str
    """What the licence permits, in short."""
    source: str
    """Where it comes from."""


def find_weights(name_or_file: str | None, body: str = "smpl") -> WeightsInfo:
    """Find weights for a body.

    Args:
        name_or_file: Name of added or shipped weights, or a file. When left out: those that ship,
            else the only ones of that body that were added.
        body: `smpl` or `mano`: what the network must predict.

    Raises:
        MissingModel: There are none, or none of that name.
        UsageError: Several would do and none is named, or those named are for another body.
        BadModelFile: The file cannot be used; a backbone alone cannot either.
    """
    info = _only_weights(body) if name_or_file is None else named_weights(name_or_file)
    if info.config.body != body:
        raise UsageError(
            f"The weights `{info.name}` are for {_PEOPLE[info.config.body]}, wanted some for "
            f"{_PEOPLE[body]}",
            "Choose others with `--weights`; `extpose models list` shows what there is",
        )
    return info


def named_weights(name_or_file: str) -> WeightsInfo:
    """Find weights by their name, or in a file, for bodies or hands.

    Raises:
        MissingModel: There are none of that name.
        BadModelFile: The file cannot be used; a backbone alone cannot either.
    """
    shipped = {path.stem: path for path in _shipped_weights("")}
    if name_or_file in shipped:
        path = shipped[name_or_file]
        return _info(name_or_file, path, sha256_of(path))
    if any(m.kind == KIND and m.name == name_or_file for m in added_models()):
        return _added(name_or_file)
    path = Path(name_or_file).expanduser()
    if path.is_file():
        checkpoint = read_checkpoint(path)
        return _described(path.stem, checkpoint, sha256_of(path))
    if any(mark in name_or_file for mark in "/\\."):
        raise BadModelFile(f"`{name_or_file}` does not exist", "Name added weights or a file")
    return _added(name_or_file)


def load_network(
    info: WeightsInfo, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> ExtPose:
    """Make the network of some weights, in eval mode.

    On the CPU in the type of the file the weights stay mapped: they are in memory once, and
    writing to them leaves the file as it is.

    Args:
        info: From `find_weights`.
        device: Where it shall run.
        dtype: Type of its numbers.

    Raises:
        BadModelFile: The file has been damaged or replaced since it was found.
    """
    return network_of(read_checkpoint(info.path), device, dtype)


def network_of(
    checkpoint: Checkpoint, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> ExtPose:
    """Make the network of a checkpoint that has been read; arguments as of `load_network`.

    Raises:
        BadModelFile: It holds a backbone alone.
    """
    _refuse_backbone(checkpoint)
    with torch.device("meta"):
        net = ExtPose(checkpoint.config)
    net.load_state_dict(checkpoint.tensors, strict=True, assign=True)
    return net.to(device=device, dtype=dtype).eval()


def trained_for(checkpoint: Checkpoint) -> TrainedFor:
    """What a checkpoint was trained for; files of others saw single pictures.

    Raises:
        BadModelFile: It holds a backbone alone.
    """
    if checkpoint.trained is not None:
        return checkpoint.trained
    _refuse_backbone(checkpoint)
    entry = load_catalog().find(KIND, checkpoint.kind)
    return TrainedFor("image", 1, checkpoint.config.body, entry.licence, entry.url)


def check_finite(checkpoint: Checkpoint) -> None:
    """Read all numbers of a network once. Raises BadModelFile naming the first bad key."""
    for key, tensor in checkpoint.tensors.items():
        # The extremes are not finite where any number is not: one pass, and no copy.
        if tensor.numel() and not bool(torch.stack(torch.aminmax(tensor)).isfinite().all()):
            raise BadModelFile(
                f"`{checkpoint.path}` is damaged: `{key}` holds values that are not finite",
                "Download it again",
            )


def write_weights(
    path: Path,
    network: ExtPose | Mapping[str, Tensor],
    trained: TrainedFor,
    *,
    config: ExtPoseConfig | None = None,
    kind: str | None = None,
) -> None:
    """Write weights with all that has to be known about them, aside and renamed.

    Args:
        path: A .safetensors file.
        network: A network, or tensors by its keys; keys under `discriminator.` may be among them.
        trained: What they are for.
        config: Sizes and choices; those of the network when left out.
        kind: `hmr2` or `hamer` for weights as published; `extpose-smpl` or `extpose-mano` when
            left out.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    with written_aside(path) as aside:
        write_weights_to(aside, network, trained, config=config, kind=kind)


def write_weights_to(
    path: Path,
    network: ExtPose | Mapping[str, Tensor],
    trained: TrainedFor,
    *,
    config: ExtPoseConfig | None = None,
    kind: str | None = None,
) -> None:
    """Write weights straight to a path; arguments as of `write_weights`. Raises OSError."""
    if isinstance(network, ExtPose):
        config, network = config or network.config, network.state_dict()
    if config is None:
        raise TypeError("tensors alone do not say their `config`")
    tensors = {key: _narrow(tensor.detach()) for key, tensor in network.items()}
    about = {
        "format_version": FORMAT_VERSION,
        "kind": kind or f"extpose-{config.body}",
        "config": config.to_dict(),
        **asdict(trained),
    }
    write_safetensors(path, tensors, {METADATA_KEY: json.dumps(about)})


def _narrow(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float64 else tensor


def _only_weights(body: str) -> WeightsInfo:
    shipped = _shipped_weights(body)
    if shipped:
        return _info(shipped[0].stem, shipped[0], sha256_of(shipped[0]))
    added = [_added(model.name) for model in added_models() if model.kind == KIND]
    fitting = [info for info in added if info.config.body == body]
    if not fitting:
        raise MissingModel(f"No weights for {_PEOPLE[body]} were added", _HOW_TO_ADD)
    if len(fitting) > 1:
        names = ", ".join(f"`{info.name}`" for info in fitting)
        raise UsageError(f"Several weights would do: {names}", "Choose one with `--weights`")
    return fitting[0]


def _shipped_weights(body: str) -> list[Path]:
    return sorted((resource_root() / "weights").glob(f"extpose-{body}*.safetensors"))


def _added(name: str) -> WeightsInfo:
    model = find_added_model(KIND, name)
    return _info(name, model_folder() / model.file, model.sha256)


def _info(name: str, path: Path, sha256: str) -> WeightsInfo:
    return _described(name, read_checkpoint(path), sha256)


def _described(name: str, checkpoint: Checkpoint, sha256: str) -> WeightsInfo:
    _refuse_backbone(checkpoint)
    trained = trained_for(checkpoint)
    return WeightsInfo(
        name, checkpoint.path, sha256, checkpoint.kind, checkpoint.config, trained.streams,
        trained.frames, trained.body_id, trained.licence, trained.source,
    )  # fmt: skip


def _refuse_backbone(checkpoint: Checkpoint) -> None:
    if checkpoint.kind == "vit-backbone":
        raise BadModelFile(
            f"`{checkpoint.path}` holds a backbone without a head: training can start from it, a "
            "capture cannot use it",
            "Give a checkpoint of HMR2.0, HaMeR or ExtPose",
        )
