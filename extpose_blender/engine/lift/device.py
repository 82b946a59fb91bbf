"""Which device the optimiser and the networks run on."""

from __future__ import annotations

import torch

from ...protocol.errors import MissingPackage


def choose_device(wanted: str) -> str:
    """Torch's word for the device: `cuda` or `cpu`.

    Args:
        wanted: `auto` (CUDA where there is one), `cpu` or `cuda`.

    Raises:
        MissingPackage: `cuda` was asked for, and torch finds none.
    """
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise MissingPackage(
            "`--device cuda` was asked for, but torch finds no CUDA device",
            "Install a CUDA build of torch and a driver, or use `--device cpu`",
        )
    return "cuda" if found and wanted != "cpu" else "cpu"
