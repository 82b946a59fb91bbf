"""`python -m models.data.render_sightings MOTION --out DIR`: short videos with exact truth, to
measure a detector's errors by.

Layout as that of `python -m models.evaluate render`. No sequence of its lists `held_out` and
`development` is used, so what is learned from these videos may be trained with and judged there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from models.evaluate.rendered_set import make_set
from models.evaluate.scene import TakePlan
from models.mocap.sequence import read_sequences
from models.priors.render_views import choose_sequences

from .motion import is_judged

FRAMES = 30
CAMERAS = 2
SEED = 3011


def main(arguments: list[str] | None = None) -> int:
    """Render; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m models.data.render_sightings", description=__doc__
    )
    parser.add_argument("motion", type=Path, help="folder that holds motion_30fps.zip")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sequences", type=int, default=24, help="how many sequences")
    options = parser.parse_args(arguments)
    for key in choose_sequences(options.motion, options.sequences):
        if is_judged(key):
            continue
        (sequence,) = read_sequences(options.motion, {key})
        start = max(0, (len(sequence.root_pos_m) - FRAMES) // 2)
        plan = TakePlan(key, start=start, frames=FRAMES, cameras=CAMERAS, seed=SEED)
        make_set([plan], options.motion, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
