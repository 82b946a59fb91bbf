"""The `extpose` command line without Blender.

Each verb is one function that returns an exit code; `main` is the one place that reports errors.
Heavy packages are imported by the verb that needs them, so `--help` and wrong usage answer at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..protocol.catalog import KINDS, load_catalog
from ..protocol.command_line import Parser, add_option_flags, options_from
from ..protocol.errors import Cancelled, ExtPoseError, InputError, SomeItemsFailed, UsageError
from ..protocol.job import Job
from ..protocol.messages import Done, Failed
from ..protocol.options import (
    CaptureOptions,
    InspectOptions,
    ModelBenchOptions,
    RunOptions,
    flag_of,
)
from ..protocol.version import extpose_version
from . import weights
from .console import Console
from .report import Listener
from .worker import as_known, as_message, exit_code_of, run_job
from .worker_process import run_job_in_worker

if TYPE_CHECKING:
    from .bench import BenchResult
    from .bench_model import ModelBenchResult


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug, as_json = "--debug" in arguments, "--json" in arguments
    try:
        values = build_parser().parse_args(arguments)
        verb: Callable[[argparse.Namespace], int] = values.verb_function
        return verb(values)
    except KeyboardInterrupt:
        error: ExtPoseError = Cancelled("Stopped as asked")
    except ExtPoseError as known:
        error = known
        if debug:
            traceback.print_exc()
    except BrokenPipeError:
        # Whoever read our output has what they wanted. Python must not complain again at exit.
        sys.stdout = None
        return 0
    except Exception as unforeseen:
        error = as_known(unforeseen)
        if debug:
            traceback.print_exc()
    return report_error(error, as_json)


def report_error(error: ExtPoseError, as_json: bool) -> int:
    """Print an error as one line on stderr, and as JSON on stdout where asked. Returns its exit code."""
    print(error.as_line(), file=sys.stderr)
    if as_json:
        words = {"code": error.code, "message": error.message, "hint": error.hint}
        print(json.dumps({"ok": False, "exit_code": error.exit_code, "error": words}), flush=True)
    return error.exit_code


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(prog="extpose", description="Motion capture without markers, from video.")
    parser.add_argument("--version", action="version", version=f"extpose {extpose_version()}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    capture = _add_verb(verbs, "capture", capture_verb, "Capture the people in one or more clips.")
    capture.add_argument(
        "video", nargs="+", type=Path, metavar="VIDEO", help="A video, or a folder of pictures."
    )
    capture.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="Folder for the results."
    )
    add_option_flags(capture, CaptureOptions)
    add_option_flags(capture, RunOptions)

    demo = _add_verb(
        verbs,
        "demo",
        demo_verb,
        "Capture the sample clip, or a clip of your own, and show the result.",
    )
    demo.add_argument("video", nargs="?", type=Path, metavar="VIDEO", help="A clip of your own.")
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="Folder for the results. Default: out/demo.",
    )
    add_option_flags(demo, CaptureOptions)
    add_option_flags(demo, RunOptions)

    inspect = _add_verb(
        verbs,
        "inspect",
        inspect_verb,
        "Draw one frame: who is in it, and what the network sees of them.",
    )
    inspect.add_argument(
        "video", type=Path, metavar="VIDEO", help="A video, or a folder of pictures."
    )
    inspect.add_argument(
        "--out", type=Path, required=True, metavar="PNG", help="The picture to write."
    )
    add_option_flags(inspect, InspectOptions)
    _add_output_flags(inspect)

    models = _add_verb(verbs, "models", None, "Models: what there is, and adding your own.")
    actions = models.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    for name, function, text in (
        ("list", list_verb, "What can be chosen, and what it permits."),
        ("add", add_verb, "Add network weights or a body model to the user's model folder."),
        ("verify", verify_verb, "Check that added files are whole."),
        ("where", where_verb, "Print the user's model folder."),
        ("clean", clean_verb, "Remove files that no model needs."),
    ):
        action = _add_verb(actions, name, function, text)
        if name == "add":
            action.add_argument(
                "file",
                type=Path,
                metavar="FILE",
                help="A checkpoint of HMR2.0, HaMeR or ExtPose (.ckpt, .safetensors), or an SMPL, "
                "SMPL-H, SMPL-X or MANO body (.npz, .pkl).",
            )
            action.add_argument(
                "--name",
                metavar="NAME",
                help="Name for the command line; the kind of model when left out.",
            )
        _add_output_flags(action)

    doctor = _add_verb(
        verbs, "doctor", doctor_verb, "Say what is installed, what is missing and how to get it."
    )
    _add_output_flags(doctor)
    bench = _add_verb(verbs, "bench", bench_verb, "Measure each stage on the sample clip.")
    bench.add_argument("video", nargs="?", type=Path, metavar="VIDEO", help="Another clip.")
    bench.add_argument(
        "--runs", type=int, default=3, metavar="N", help="Runs of each measurement. Default: 3."
    )
    bench.add_argument(
        "--model",
        metavar="vit-b|vit-l|vit-h|NAME|FILE",
        help="Measure a network alone: a size (random weights), added weights or a file.",
    )
    add_option_flags(bench, ModelBenchOptions)
    _add_output_flags(bench)
    return parser


def capture_verb(values: argparse.Namespace) -> int:
    """Capture every clip named; one that fails does not stop the others."""
    options: CaptureOptions = options_from(values, CaptureOptions)
    run: RunOptions = options_from(values, RunOptions)
    results = [_capture_one(video, values.out, options, run) for video in values.video]
    failed = [result for result in results if not result["ok"]]
    if run.json:
        _print_json(results[0] if len(results) == 1 else {"ok": not failed, "items": results})
    if not failed:
        return 0
    if any(result["exit_code"] == Cancelled.exit_code for result in failed):
        return Cancelled.exit_code
    return failed[0]["exit_code"] if len(results) == 1 else SomeItemsFailed.exit_code


def demo_verb(values: argparse.Namespace) -> int:
    """Capture the sample clip with everything that a user would look at."""
    from .demo import run_demo

    options = options_from(values, CaptureOptions)
    run = options_from(values, RunOptions)

    def capture_clip(video: Path, options: CaptureOptions) -> dict[str, Any]:
        return _capture_one(video, values.out, options, run)

    given = hasattr(values, "export"), hasattr(values, "overlay")
    result = run_demo(values.video, options, given, capture_clip)
    if run.json:
        _print_json(result)
    return int(result["exit_code"])


def inspect_verb(values: argparse.Namespace) -> int:
    """Draw one frame, its people and what the network sees of them."""
    from .inspect_frame import inspect_frame

    options = options_from(values, InspectOptions)
    with Console() as console:
        result = inspect_frame(values.video, values.out, options, Listener(console.show))
    if values.json:
        _print_json({"ok": True, **result.to_dict()})
    else:
        print(result.as_text())
    return 0


def list_verb(values: argparse.Namespace) -> int:
    """Print what can be chosen."""
    added = {(model.kind, model.name): model for model in weights.added_models()}
    has_weights = any(kind == "weights" for kind, _ in added)
    rows = []
    for entry in (entry for kind in KINDS for entry in load_catalog().of_kind(kind)):
        own = added.pop((entry.kind, entry.name), None)
        state = "ships with ExtPose" if entry.shipped else "added" if own else "not added"
        if entry.takes_weights and not entry.shipped:
            state = "runs added weights" if has_weights else "needs weights"
        rows.append({**asdict(entry), "state": state})
    rows += [{**asdict(model), "label": model.name, "state": "added"} for model in added.values()]
    if values.json:
        _print_json({"ok": True, "models": rows})
        return 0
    for row in rows:
        print(
            f"{row['kind']:9} {row['name']:12} {row['state']:18} {row['label']} ({row['licence']})"
        )
    return 0


def add_verb(values: argparse.Namespace) -> int:
    """Add a file of the user's."""
    from .add_model import add_model

    added = add_model(values.file, values.name)
    model = added.model
    if values.json:
        _print_json({"ok": True, **asdict(added)})
    else:
        print(f"Added the {model.kind} `{model.name}`. Licence: {model.licence}.")
        print("".join(f"{note}.\n" for note in added.notes), end="")
        print(f"Use it with `--{model.kind} {model.name}`.")
    return 0


def verify_verb(values: argparse.Namespace) -> int:
    """Check added files against their hashes."""
    results = weights.verify_added()
    broken = [model.name for model, wrong in results if wrong]
    if values.json:
        _print_json({"ok": not broken, "models": {m.name: wrong or "ok" for m, wrong in results}})
    else:
        for model, wrong in results:
            print(f"{model.kind:9} {model.name:12} {wrong or 'ok'}")
        if not results:
            print("Nothing was added yet.")
    if broken:
        raise InputError(f"Damaged: {', '.join(broken)}", "Add the files again")
    return 0


def where_verb(values: argparse.Namespace) -> int:
    """Print the model folder."""
    folder = weights.model_folder()
    if values.json:
        _print_json({"ok": True, "folder": str(folder)})
    else:
        print(folder)
    return 0


def clean_verb(values: argparse.Namespace) -> int:
    """Remove what no model needs."""
    removed = [str(path) for path in weights.clean_folder()]
    if values.json:
        _print_json({"ok": True, "removed": removed})
    else:
        print("\n".join(f"Removed {path}" for path in removed) or "Nothing to remove.")
    return 0


def doctor_verb(values: argparse.Namespace) -> int:
    """Print what is there and what is missing."""
    from . import doctor

    findings = doctor.diagnose()
    print(doctor.as_json(findings) if values.json else doctor.as_text(findings))
    return doctor.exit_code(findings)


def bench_verb(values: argparse.Namespace) -> int:
    """Measure the stages, or a network alone."""
    result = _bench_stages(values) if values.model is None else _bench_model(values)
    if values.json:
        _print_json({"ok": True, **result.to_dict()})
    else:
        print(result.as_text())
    return 0


def _bench_stages(values: argparse.Namespace) -> BenchResult:
    from .bench import run_bench

    given = [flag_of(f.name) for f in fields(ModelBenchOptions) if hasattr(values, f.name)]
    if given:
        raise UsageError(f"`{given[0]}` needs `--model`", "Name a network, such as `vit-h`")
    return run_bench(values.video, values.runs, Console(json_lines=False))


def _bench_model(values: argparse.Namespace) -> ModelBenchResult:
    from .bench_model import run_model_bench

    if values.video is not None:
        raise UsageError(
            f"`--model` takes no clip, but `{values.video}` was given",
            "A network's speed does not depend on what it sees: leave the clip out",
        )
    options: ModelBenchOptions = options_from(values, ModelBenchOptions)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    return run_model_bench(values.model, options, values.runs, say)


def _capture_one(
    video: Path, out_dir: Path, options: CaptureOptions, run: RunOptions
) -> dict[str, Any]:
    """Capture one clip and print what a person wants to know. Returns the result for `--json`."""
    job = Job(video, out_dir, options, run.resume, run.blender)
    with Console(run.json_progress) as console:
        listener = Listener(console.show)
        try:
            if run.worker_python:
                with tempfile.TemporaryDirectory(prefix="extpose-") as folder:
                    last = run_job_in_worker(job, run.worker_python, Path(folder), listener)
            else:
                last = run_job(job, listener)
        except (ExtPoseError, KeyboardInterrupt, Exception) as error:
            if run.debug:
                traceback.print_exc()
            last = as_message(error)
        console.show(last)
    code = exit_code_of(last)
    result: dict[str, Any] = {"ok": isinstance(last, Done), "exit_code": code, "video": str(video)}
    if isinstance(last, Done):
        return result | {"outputs": list(last.outputs), "report": last.report}
    failed = last if isinstance(last, Failed) else as_message_of_cancel()
    return result | {"error": {"code": failed.code, "message": failed.message, "hint": failed.hint}}


def as_message_of_cancel() -> Failed:
    """What `--json` says of a capture that was stopped."""
    return Failed(Cancelled.code, "Stopped as asked", "", Cancelled.exit_code)


def _add_verb(
    verbs: Any, name: str, function: Callable[[argparse.Namespace], int] | None, text: str
) -> Parser:
    parser: Parser = verbs.add_parser(name, help=text, description=text)
    if function is not None:
        parser.set_defaults(verb_function=function)
    return parser


def _add_output_flags(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="Print one JSON object on stdout.")
    parser.add_argument(
        "--debug", action="store_true", help="Show a traceback when something fails."
    )


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)
