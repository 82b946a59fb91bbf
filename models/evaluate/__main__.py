"""`python -m models.evaluate`: see README.md of this folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .rendered_set import LISTS, make_set, read_list, shortened


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser("render", help="render the evaluation set; needs bpy")
    render.add_argument("motion", type=Path, help="folder that holds motion_30fps.zip")
    render.add_argument("--out", type=Path, required=True, help="folder of the set")
    render.add_argument("--list", choices=LISTS, default="held_out", help="which takes")
    render.add_argument("--frames", type=int, help="at most so many frames per clip")
    options = parser.parse_args(arguments)
    make_set(shortened(read_list(options.list), options.frames), options.motion, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
