"""Running the .tflite models that lie inside the mediapipe wheel.

Only the files of that wheel are used: importing mediapipe itself would load its whole graph engine.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...protocol.errors import BadModelFile, MissingModel, MissingPackage

_INSTALL = (
    "Install the worker's environment again, or "
    "`pip install mediapipe==0.10.21 ai-edge-litert==2.3.0`"
)


def find_model(name: str) -> Path:
    """Path of a model in the wheel.

    Args:
        name: Path below `mediapipe/modules/`, with forward slashes.

    Raises:
        MissingPackage: mediapipe is not installed.
        MissingModel: This version of mediapipe does not hold the model.
    """
    spec = importlib.util.find_spec("mediapipe")  # does not import it
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage("Package `mediapipe` is not installed", _INSTALL)
    path = Path(spec.submodule_search_locations[0], "modules", *name.split("/"))
    if not path.is_file():
        raise MissingModel(f"The installed mediapipe has no `modules/{name}`", _INSTALL)
    return path


class TfliteModel:
    """One network on the CPU, with a fixed square input."""

    def __init__(self, name: str, threads: int) -> None:
        """Load a model of the wheel.

        Args:
            name: As for `find_model`.
            threads: CPU threads, 0 for all cores.

        Raises:
            MissingPackage, MissingModel: As `find_model`, and for ai-edge-litert.
            BadModelFile: The file is damaged.
        """
        path = find_model(name)
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise MissingPackage(
                "Package `ai-edge-litert` is not installed: it runs the default 2D models", _INSTALL
            ) from None
        try:
            with runtime_hushed():
                self._net: Any = Interpreter(str(path), num_threads=threads or os.cpu_count() or 1)
                self._net.allocate_tensors()
        except (ValueError, RuntimeError) as reason:
            raise BadModelFile(f"`{path}` cannot be loaded: {reason}", _INSTALL) from reason
        details = self._net.get_input_details()[0]
        self._input = int(details["index"])
        self.side = int(details["shape"][1])
        """Side of the input picture, pixels."""
        self._outputs = [int(output["index"]) for output in self._net.get_output_details()]

    def __call__(self, crop_rgb: np.ndarray, low: float, high: float) -> list[np.ndarray]:
        """Run the network.

        Args:
            crop_rgb: (side, side, 3) uint8.
            low: Input value that stands for 0.
            high: Input value that stands for 255.

        Returns:
            The outputs in the model's order, batch axis removed.
        """
        tensor = self._net.tensor(self._input)()[0]
        np.multiply(crop_rgb, np.float32((high - low) / 255.0), out=tensor)
        if low:
            tensor += np.float32(low)
        del tensor  # the interpreter does not run while its memory is lent
        self._net.invoke()
        return [self._net.get_tensor(index)[0] for index in self._outputs]


@contextmanager
def runtime_hushed() -> Iterator[None]:
    """Keep the runtime's greeting off stderr, which is for our own words. Real failures raise."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), with logits clipped to ±80 so that float32 does not overflow."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -80.0, 80.0))))
