"""`python -m models.priors.render_views MOTION --out DIR`: pictures with exact truth to calibrate a
detector by.

Few frames of many captured sequences, spread over each, so that poses and views vary. Layout as
that of `python -m models.evaluate render`. No sequence of its lists `held_out` and `development` is
used.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from extpose_blender.protocol.resources import find_resource
from models.evaluate.posed_body import read_body_model
from models.evaluate.rendered_set import BODY, LISTS, make_clips, read_list
from models.evaluate.scene import TakePlan, make_take
from models.mocap.sequence import Sequence, read_sequences

FRAMES = 8
SEED = 2007
FASTEST_DEG_S = 2500.0
"""Sequences with faster joints hold capture faults."""


def main(arguments: list[str] | None = None) -> int:
    """Render; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m models.priors.render_views", description=__doc__
    )
    parser.add_argument("motion", type=Path, help="folder that holds motion_30fps.zip")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sequences", type=int, default=40, help="how many sequences")
    options = parser.parse_args(arguments)
    model = read_body_model(find_resource(BODY))
    for key in choose_sequences(options.motion, options.sequences):
        folders = [options.out / f"{key.replace('/', '-')}.cam{i}" for i in range(3)]
        if all((folder / "truth.npz").exists() for folder in folders):
            continue
        (sequence,) = read_sequences(options.motion, {key})
        take = make_take(spread(sequence, FRAMES), model, TakePlan(key, frames=FRAMES, seed=SEED))
        make_clips(take, folders)
        print(key, file=sys.stderr, flush=True)
    return 0


def choose_sequences(motion: Path, count: int) -> list[str]:
    """Keys spread over the categories of the archive, always the same."""
    entries = json.loads((motion / "manifest.json").read_text(encoding="utf-8"))
    never = {plan.key for name in LISTS for plan in read_list(name)}
    groups: dict[str, list[str]] = {}
    for entry in sorted(entries, key=lambda e: e["key"]):
        if entry["key"] not in never and entry["max_joint_speed_deg_s"] < FASTEST_DEG_S:
            groups.setdefault(entry["category"], []).append(entry["key"])
    # One of each category in turn, from all over its list, so that walking does not outnumber all
    # else.
    shuffled = {name: keys[::3] + keys[1::3] + keys[2::3] for name, keys in sorted(groups.items())}
    longest = max(len(keys) for keys in shuffled.values())
    turns = [keys[i] for i in range(longest) for keys in shuffled.values() if i < len(keys)]
    return turns[:count]


def spread(sequence: Sequence, frames: int) -> Sequence:
    """Few rows from all over a sequence."""
    step = max(1, len(sequence.root_pos_m) // frames)
    rows = slice(step // 2, None, step)
    return replace(
        sequence, root_pos_m=sequence.root_pos_m[rows], local_rotmat=sequence.local_rotmat[rows]
    )


if __name__ == "__main__":
    sys.exit(main())
