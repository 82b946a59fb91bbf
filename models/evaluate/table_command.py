"""`python -m models.evaluate table`: the paper's tables, published numbers beside those of any weights."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from extpose_blender.engine.body.load import Body, load_body
from extpose_blender.engine.draw.skeleton_image import body_points
from extpose_blender.engine.lift.device import choose_device
from extpose_blender.protocol.errors import InputError, UsageError
from extpose_blender.protocol.files import read_npz, write_json

from .benchmarks import (
    VideoBodies,
    predict_hands,
    score_bodies,
    score_body_keypoints,
    score_hand_keypoints,
    score_hands,
    score_tracks,
    set_boxes,
    set_shots,
)
from .bodies import body_regressor, read_regressor
from .networks import Run, SetNetwork
from .sets.hand_files import read_hand_predictions, read_hand_truth, write_hand_predictions
from .sets.pictures import PictureSet, read_picture_set
from .sets.threedpw import read_tracks
from .tables import Row, Table, format_table, read_tables

_NEEDS = {
    "video": ("data", "images", "body", "male", "female", "regressor"),
    "bodies": ("data", "images", "body"),
    "body-keypoints": ("data", "images", "body"),
    "hands": ("data", "images", "body"),
    "hand-keypoints": ("data", "images", "body"),
}
"""Flags that a protocol cannot do without when weights are run."""
_HANDS = ("hands", "hand-keypoints")


@dataclass(frozen=True)
class _Bench:
    """What all runs of a table share."""

    table: Table
    options: argparse.Namespace

    @property
    def network_body(self) -> str:
        return "mano" if self.table.protocol in _HANDS else "smpl"


def add_table_command(commands: Any) -> None:
    """Add `table` to a parser's sub-commands."""
    tables = read_tables()
    parser: argparse.ArgumentParser = commands.add_parser(
        "table",
        help="print a table of the paper, with our numbers beside the published ones",
        description="Without `--run` and `--predictions` only published numbers are printed.",
    )
    parser.add_argument("set", choices=tuple(tables), help="which benchmark")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        type=parse_run,
        metavar="LABEL=WEIGHTS[,KEY=VALUE]",
        help="a row: weights by name or file; keys are streams, frames, block_layout, context, "
        "temporal_position",
    )
    parser.add_argument(
        "--data", type=Path, help="the set's .npz, or for 3dpw its folder sequenceFiles/test"
    )
    parser.add_argument("--images", type=Path, help="folder of its pictures")
    parser.add_argument(
        "--body", help="neutral SMPL, or right MANO: a name that was added or a file"
    )
    parser.add_argument("--male", help="3dpw: SMPL of men")
    parser.add_argument("--female", help="3dpw: SMPL of women")
    parser.add_argument(
        "--regressor",
        type=Path,
        help="3dpw: J_regressor_h36m.npy; other bodies: SMPL_to_J19.pkl, where the body has none",
    )
    parser.add_argument(
        "--keypoints",
        default="set",
        help="what skeleton images are drawn from: `set` (true points; for 3dpw its detections), or "
        "an .npz of detections",
    )
    parser.add_argument("--truth", type=Path, help="hands: folder of evaluation_xyz.json")
    parser.add_argument(
        "--predictions",
        action="append",
        default=[],
        type=_labelled,
        metavar="LABEL=FILE",
        help="hands: a row from predictions in the servers' format",
    )
    parser.add_argument("--out", type=Path, help="hands: write LABEL.json for a server here")
    parser.add_argument("--first", type=int, help="only so many pictures, or tracks of 3dpw")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", default="auto", help="as for `extpose capture`")
    parser.add_argument("--json", type=Path, help="also write our numbers here")


def run_table(options: argparse.Namespace) -> None:
    """Print one table.

    Raises:
        UsageError: Flags are missing or do not fit the set.
        ExtPoseError: Data, weights or bodies cannot be used.
    """
    bench = _Bench(read_tables()[options.set], options)
    _check_flags(bench)
    rows = [Row(label, _score_file(Path(path), options)) for label, path in options.predictions]
    if options.run:
        score = _PREPARE[bench.table.protocol](bench)
        rows += [Row(run.label, score(run)) for run in options.run]
    print(format_table(bench.table, rows), end="")
    if options.json:
        numbers = {row.method: dict(row.values) for row in rows}
        write_json(options.json, {"set": options.set, "rows": numbers})


def parse_run(text: str) -> Run:
    """`LABEL=WEIGHTS[,KEY=VALUE]…` as a run.

    Raises:
        argparse.ArgumentTypeError: A key is unknown, or a value cannot be read.
    """
    label, weights = _labelled(text)
    name, *pairs = weights.split(",")
    known: dict[str, Any] = {"streams": "auto", "frames": None}
    choices: dict[str, Any] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise argparse.ArgumentTypeError(f"`{pair}` must be KEY=VALUE")
        if key == "frames" and not (value.isdigit() and int(value) > 0):
            raise argparse.ArgumentTypeError(f"frames are a whole number above 0, not `{value}`")
        (known if key in known else choices)[key] = _value(value)
    return Run(label, name, known["streams"], known["frames"], choices)


Score = Callable[[Run], Mapping[str, float]]


def _prepare_video(bench: _Bench) -> Score:
    options = bench.options
    neutral, male, female = (load_body(getattr(options, n)) for n in ("body", "male", "female"))
    regressor = read_regressor(options.regressor, 17)
    counts = {len(body.v_template) for body in (neutral, male, female)} | {regressor.shape[1]}
    if len(counts) > 1:
        raise UsageError(f"Bodies and `--regressor` must have equally many vertices, not {counts}")
    bodies = VideoBodies(neutral, male, female, regressor)
    points = None if options.keypoints == "set" else _detections(Path(options.keypoints))

    def score(run: Run) -> Mapping[str, float]:
        tracks = islice(read_tracks(options.data), options.first)
        return score_tracks(_network(bench, run), tracks, options.images, bodies, points)

    return score


def _prepare_bodies(bench: _Bench) -> Score:
    pictures, body = _pictures(bench), load_body(bench.options.body)
    points = _drawn(pictures, bench.options.keypoints)
    regressor = _regressor_19(bench.options, body)
    boxes = set_boxes(pictures)
    shots = set_shots(pictures, bench.options.images, boxes, points)

    def score(run: Run) -> Mapping[str, float]:
        predicted = _network(bench, run).pictures(shots)
        if bench.table.protocol == "bodies":
            return score_bodies(predicted, pictures, body, regressor)
        return score_body_keypoints(predicted, pictures, boxes, body, regressor)

    return score


def _prepare_hands(bench: _Bench) -> Score:
    options, pictures, hand = bench.options, _pictures(bench), _right_hand(bench.options.body)
    boxes = set_boxes(pictures, hint=bench.table.protocol == "hand-keypoints")
    shots = set_shots(pictures, options.images, boxes, _drawn(pictures, options.keypoints))

    def score(run: Run) -> Mapping[str, float]:
        predicted = _network(bench, run).pictures(shots)
        if bench.table.protocol == "hand-keypoints":
            return score_hand_keypoints(predicted, pictures, boxes, hand)
        found = predict_hands(predicted, pictures, hand, bench.table.joints)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            write_hand_predictions(options.out / f"{run.label}.json", found)
        return score_hands(found, read_hand_truth(options.truth)) if options.truth else {}

    return score


_PREPARE: dict[str, Callable[[_Bench], Score]] = {
    "video": _prepare_video,
    "bodies": _prepare_bodies,
    "body-keypoints": _prepare_bodies,
    "hands": _prepare_hands,
    "hand-keypoints": _prepare_hands,
}


def _check_flags(bench: _Bench) -> None:
    options, protocol = bench.options, bench.table.protocol
    if options.predictions and (protocol != "hands" or not options.truth):
        raise UsageError("`--predictions` are for freihand and ho3d, and need `--truth`")
    if not options.run:
        return
    missing = [f"`--{name}`" for name in _NEEDS[protocol] if getattr(options, name) is None]
    if missing:
        raise UsageError(f"`table {options.set}` with `--run` also needs {', '.join(missing)}")
    if protocol == "hands" and not (options.truth or options.out):
        raise UsageError(f"`table {options.set}` needs `--truth`, or `--out` for the server's file")


def _network(bench: _Bench, run: Run) -> SetNetwork:
    device = choose_device(bench.options.device)
    return SetNetwork(run, bench.network_body, device, bench.options.precision)


def _pictures(bench: _Bench) -> PictureSet:
    pictures = read_picture_set(bench.options.data).take(bench.options.first)
    if pictures.is_hands != (bench.table.protocol in _HANDS):
        kind = "hands" if pictures.is_hands else "bodies"
        raise InputError(
            f"`{bench.options.data}` shows {kind}, which `{bench.options.set}` does not"
        )
    return pictures


def _drawn(pictures: PictureSet, keypoints: str) -> np.ndarray | None:
    """(N, 18, 3) or (N, 21, 3) points to draw; `None` where the set knows none."""
    if keypoints == "set":
        points = pictures.drawn_points()
        return points if (points[..., 2] > 0).any() else None
    found = _detections(Path(keypoints)).get("keypoints")
    wanted = (len(pictures), 21 if pictures.is_hands else 18, 3)
    if found is None or found[: len(pictures)].shape != wanted:
        actual = "none" if found is None else found.shape
        raise InputError(f"`keypoints` of `{keypoints}` must be {wanted}, not {actual}")
    return found[: len(pictures)]


def _detections(path: Path) -> dict[str, np.ndarray]:
    """Detected points by array name; `skeleton`, where it is there, says which ones they are."""
    arrays = read_npz(path)
    skeleton = str(arrays.pop("skeleton", "openpose18"))
    points = {name: array.astype(float) for name, array in arrays.items()}
    if skeleton in ("openpose18", "hand21"):
        return points
    return {name: body_points(array, skeleton) for name, array in points.items()}


def _regressor_19(options: argparse.Namespace, body: Body) -> np.ndarray:
    found = (
        read_regressor(options.regressor, 19) if options.regressor else body_regressor(options.body)
    )
    if found is None:
        raise UsageError(
            f"The body `{body.body_id}` carries no regressor of 19 joints",
            "Give SMPL_to_J19.pkl with `--regressor`, or the body of an HMR2.0 checkpoint",
        )
    if found.shape[1] != len(body.v_template):
        raise UsageError(
            f"`--regressor` is for {found.shape[1]} vertices, the body has {len(body.v_template)}"
        )
    return found


def _right_hand(name: str) -> Body:
    hand = load_body(name, "mano")
    if hand.side != "right":
        raise UsageError(f"`{name}` is a left hand; networks speak of right ones")
    return hand


def _score_file(path: Path, options: argparse.Namespace) -> Mapping[str, float]:
    return score_hands(read_hand_predictions(path), read_hand_truth(options.truth))


def _labelled(text: str) -> tuple[str, str]:
    label, separator, rest = text.partition("=")
    if not (separator and label and rest):
        raise argparse.ArgumentTypeError(f"`{text}` must be LABEL=NAME")
    return label, rest


def _value(text: str) -> Any:
    """A number, true or false as such; anything else as it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
