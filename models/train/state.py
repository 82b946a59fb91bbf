"""A run on disk: weights, their average, the optimiser, in pieces that travel well.

    STATE/latest.json            which folder is the newest whole one
    STATE/step_00012000/         about.json: step, configuration, which piece holds which tensors
                                 pieces of at most 16 MB, each a .pt read with `weights_only=True`

A folder is written whole before `latest.json` names it; then the ones before it go.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from extpose_blender.protocol.errors import BadModelFile
from extpose_blender.protocol.files import read_json, write_json, written_aside

PIECE_BYTES = 15_000_000
"""Most bytes of tensors in one file."""
_FORMAT = 1


@dataclass
class RunState:
    """Everything that a run needs to go on as if it had never stopped."""

    step: int
    """Steps done."""
    network: nn.Module
    average: nn.Module
    """The same network with averaged weights."""
    optimizer: torch.optim.Optimizer


def write_state(folder: Path, state: RunState, config: Mapping[str, Any]) -> None:
    """Keep a run.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    name = f"step_{state.step:08d}"
    pieces = []
    for number, piece in enumerate(_pieces(_tensors(state))):
        file = f"piece_{number:02d}.pt"
        with written_aside(folder / name / file) as aside:
            torch.save(piece, aside)
        pieces.append(file)
    about = {
        "format": _FORMAT, "step": state.step, "config": dict(config), "pieces": pieces,
        "torch": torch.__version__,
    }  # fmt: skip
    write_json(folder / name / "about.json", about)
    write_json(folder / "latest.json", {"folder": name})
    for other in folder.glob("step_*"):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)


def read_about(folder: Path) -> dict[str, Any] | None:
    """Step and configuration of the newest state, or `None` where there is none yet.

    Raises:
        BadModelFile: It is damaged.
    """
    latest = folder / "latest.json"
    if not latest.exists():
        return None
    about: dict[str, Any] = read_json(_newest(folder) / "about.json", BadModelFile)
    return about


def read_state(folder: Path, state: RunState) -> None:
    """Bring a run to where its newest state left it.

    Args:
        folder: Of `write_state`.
        state: Fresh; its parts are overwritten.

    Raises:
        BadModelFile: The state is damaged, or of another network.
    """
    path = _newest(folder)
    about = read_json(path / "about.json", BadModelFile)
    tensors: dict[str, Tensor] = {}
    try:
        for piece in about["pieces"]:
            tensors |= torch.load(path / piece, map_location="cpu", weights_only=True)
        state.network.load_state_dict(_below(tensors, "network."))
        state.average.load_state_dict(_below(tensors, "average."))
        _read_optimizer(state, tensors)
        state.step = int(about["step"])
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as reason:
        raise BadModelFile(
            f"The state in `{path}` cannot be used: {reason}", "Begin anew with another `--state`"
        ) from reason


def read_average(folder: Path, network: nn.Module) -> None:
    """Load the averaged weights of the newest state alone. Raises BadModelFile."""
    path = _newest(folder)
    tensors: dict[str, Tensor] = {}
    for piece in read_json(path / "about.json", BadModelFile)["pieces"]:
        tensors |= torch.load(path / piece, map_location="cpu", weights_only=True)
    network.load_state_dict(_below(tensors, "average."))


def _newest(folder: Path) -> Path:
    return folder / str(read_json(folder / "latest.json", BadModelFile)["folder"])


def _tensors(state: RunState) -> Iterator[tuple[str, Tensor]]:
    for prefix, module in (("network.", state.network), ("average.", state.average)):
        for name, tensor in module.state_dict().items():
            yield prefix + name, tensor.detach().cpu()
    moments = state.optimizer.state_dict()["state"]
    for number, values in moments.items():
        for name, value in values.items():
            yield f"optimizer.{number}.{name}", torch.as_tensor(value).detach().cpu()


def _pieces(tensors: Iterator[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    piece: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors:
        weight = tensor.numel() * tensor.element_size()
        if piece and size + weight > PIECE_BYTES:
            yield piece
            piece, size = {}, 0
        piece[name] = tensor.clone()  # A view would be saved with all it is a view of.
        size += weight
    if piece:
        yield piece


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _read_optimizer(state: RunState, tensors: Mapping[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(tensors, "optimizer.").items():
        number, _, key = name.partition(".")
        moments.setdefault(int(number), {})[key] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": moments, "param_groups": groups})
