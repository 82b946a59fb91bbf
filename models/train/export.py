"""`python -m models.train.export STATE FILE`: the averaged weights of a run, for the lifter.

Needs nothing that the run was trained on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from extpose_blender.engine.lift.poseformer.config import PoseFormerConfig
from extpose_blender.engine.lift.poseformer.network import PoseFormer
from extpose_blender.engine.lift.poseformer.weights_file import TrainedFor, write_weights
from extpose_blender.protocol.errors import UsageError
from extpose_blender.protocol.skeletons import MEDIAPIPE_33

from .state import read_about, read_average

_LICENCE = "CC0-1.0"


def main(arguments: list[str] | None = None) -> int:
    """Write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.train.export", description=__doc__)
    parser.add_argument("state", type=Path, help="folder of the run")
    parser.add_argument("file", type=Path, help="the .safetensors to write")
    options = parser.parse_args(arguments)
    about = read_about(options.state)
    if about is None:
        raise UsageError(f"`{options.state}` holds no run yet")
    network = PoseFormer(PoseFormerConfig.from_dict(about["config"]["model"]))
    read_average(options.state, network)
    source = (
        f"models/train, seed {about['config']['seed']}, {about['step']} steps of "
        f"{about['config']['batch']} clips; models/cards/poseformer.md"
    )
    write_weights(options.file, network, TrainedFor("open", MEDIAPIPE_33.name, _LICENCE, source))
    print(f"{options.file}: {options.file.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
