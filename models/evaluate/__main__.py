"""`python -m models.evaluate`: makes the evaluation set, scores captures, prints the paper's tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from extpose_blender.protocol.errors import ExtPoseError

from .compare import add_compare_command, run_compare
from .estimates import capture_clip, mediapipe_world, ours
from .rendered_set import LISTS, make_set, read_list, shortened
from .score import HEADER, Score, as_record, overall, score_pair, table_row
from .table_command import add_table_command, run_table
from .truth import TruthClip, rendered_clips, shared_clips


def main(arguments: list[str] | None = None) -> int:
    """Run a sub-command; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "render":
        plans = shortened(read_list(options.list), options.frames)
        make_set(plans, options.motion, options.out)
        return 0
    if options.command == "table":
        try:
            run_table(options)
        except ExtPoseError as error:
            sys.stderr.write(error.as_line() + "\n")
            return error.exit_code
        return 0
    if options.command == "compare":
        run_compare(options)
        return 0
    if not options.rendered and not options.clips:
        sys.exit("python -m models.evaluate score: give --rendered, --clips or both")
    records = []
    if options.rendered:
        records += _score_all(
            "rendered, exact truth", list(rendered_clips(options.rendered)), options
        )
    if options.clips:
        records += _score_all(
            "real, truth good to 2 cm", list(shared_clips(options.clips)), options
        )
    if options.json:
        options.json.write_text(json.dumps(records, indent=1), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    render = commands.add_parser("render", help="render a set; needs bpy")
    render.add_argument("motion", type=Path, help="folder that holds motion_30fps.zip")
    render.add_argument("--out", type=Path, required=True, help="folder of the set")
    render.add_argument("--list", choices=LISTS, default="held_out", help="which takes")
    render.add_argument("--frames", type=int, help="at most so many frames per clip")
    score = commands.add_parser("score", help="print our errors beside MediaPipe's")
    score.add_argument("--rendered", type=Path, help="folder of a rendered set")
    score.add_argument("--clips", type=Path, help="folder of the shared clips")
    score.add_argument(
        "--out", type=Path, required=True, help="captures; one that is there is not made again"
    )
    score.add_argument("--only", help="clips whose name contains this")
    score.add_argument("--json", type=Path, help="also write the numbers here")
    score.add_argument(
        "capture", nargs="*", help="flags for `extpose capture`, after --: -- --lifter fit"
    )
    add_table_command(commands)
    add_compare_command(commands)
    return parser


def _score_all(
    title: str, clips: list[TruthClip], options: argparse.Namespace
) -> list[dict[str, object]]:
    print(f"\n{title}\n{HEADER}")
    pairs: list[tuple[Score, Score]] = []
    records = []
    for clip in clips:
        if options.only and options.only not in clip.name:
            continue
        motion = capture_clip(clip, options.out / clip.name, options.capture)
        theirs = mediapipe_world(clip, options.out / "mediapipe" / f"{clip.name}.npz")
        if motion is None:
            print(f"{clip.name:34} nobody found")
            continue
        pairs.append(score_pair(clip, ours(clip, motion), theirs))
        print(table_row(clip.name, *pairs[-1]), flush=True)
        records.append(as_record(clip.name, *pairs[-1]))
    if pairs:
        first, second = (overall([pair[i] for pair in pairs]) for i in (0, 1))
        print(table_row("all, weighted by rows", first, second))
        print(
            f"ours / MediaPipe: PA-MPJPE {first.pa_mpjpe_mm / second.pa_mpjpe_mm:.2f}, "
            f"MPJPE {first.mpjpe_mm / second.mpjpe_mm:.2f}, "
            f"acceleration {first.acceleration_m_s2 / second.acceleration_m_s2:.2f}"
        )
        records.append(as_record(f"all: {title}", first, second))
    return records


if __name__ == "__main__":
    sys.exit(main())
