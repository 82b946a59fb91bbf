"""`python -m models.mocap`: motion-capture sequences onto the open body's joints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from extpose_blender.protocol.files import write_npz
from extpose_blender.protocol.resources import find_resource

from .retarget import RetargetedMotion, retarget
from .sequence import read_sequences

BODY = "bodies/open/model.npz"


def main(arguments: list[str] | None = None) -> int:
    """Write one AMASS-like .npz per sequence; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.mocap", description=__doc__)
    parser.add_argument("motion", type=Path, help="folder that holds motion_30fps.zip")
    parser.add_argument("--out", type=Path, required=True, help="folder for group/name.npz")
    parser.add_argument("--only", nargs="+", metavar="KEY", help="these sequences alone")
    options = parser.parse_args(arguments)
    rest, sole = rest_joints_and_sole(find_resource(BODY))
    count = 0
    for sequence in read_sequences(options.motion, set(options.only) if options.only else None):
        motion = retarget(sequence, rest, sole)
        write_motion(options.out / f"{motion.key}.npz", motion)
        count += 1
        print(f"{motion.key}: {len(motion.transl_m)} frames, {(~motion.steady).sum()} unsteady")
    print(f"{count} sequences in {options.out}", file=sys.stderr)
    return 0


def rest_joints_and_sole(body: Path) -> tuple[np.ndarray, float]:
    """Rest joints (52, 3) and height of the soles of a body file at its mean shape, metres."""
    with np.load(body, allow_pickle=False) as data:
        vertices = data["v_template"].astype(np.float64)
        return data["J_regressor"] @ vertices, float(vertices[:, 1].min())


def write_motion(path: Path, motion: RetargetedMotion) -> None:
    """Write `poses` (T, 156), `trans`, `mocap_framerate`, `steady`: Z up, keys as in AMASS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_npz(
        path,
        {
            "poses": motion.rotvec.reshape(len(motion.rotvec), -1),
            "trans": motion.transl_m,
            "betas": np.zeros(10, np.float32),
            "gender": np.asarray("neutral"),
            "surface_model_type": np.asarray("smplh"),
            "mocap_framerate": np.asarray(motion.fps),
            "steady": motion.steady,
            "source": np.asarray(motion.key),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
