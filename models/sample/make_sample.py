"""`python -m models.sample.make_sample MOTION`: renders the sample clip and writes its truth.

Needs bpy and the motion archive; the result is committed, so nobody needs to run it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from extpose_blender.protocol.resources import find_resource
from models.evaluate.posed_body import read_body_model
from models.evaluate.rendered_set import BODY, make_clips
from models.evaluate.scene import TakePlan, make_take
from models.mocap.sequence import read_sequences

PLAN = TakePlan(
    key="cmu_bvh/10_04",
    start=15,
    frames=100,
    cameras=1,
    size=(1280, 720),
    seed=15,
    first_yaw_deg=62.0,
)
"""A person walks past, seen from the front and a little from the side. Not a held-out sequence."""

CRF = 18
"""H.264 quality: the clip stays under 600 kB."""


def main(arguments: list[str] | None = None) -> int:
    """Write `clip.mp4` and `truth.npz` beside this file, or where `--out` says."""
    parser = argparse.ArgumentParser(
        prog="python -m models.sample.make_sample", description=__doc__
    )
    parser.add_argument("motion", type=Path, help="folder that holds motion_30fps.zip")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args(arguments)
    (sequence,) = read_sequences(options.motion, {PLAN.key})
    take = make_take(sequence, read_body_model(find_resource(BODY)), PLAN)
    make_clips(take, [options.out], crf=CRF)
    return 0


if __name__ == "__main__":
    sys.exit(main())
