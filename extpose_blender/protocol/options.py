"""Every choice a user has, one field each: default, range, one sentence.

Command-line flags (`command_line.py`) and Blender's properties are made from these fields, job files and
results record them, and unknown keys are refused by name.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from .catalog import load_catalog
from .errors import UsageError

EXPORT_FORMATS = ("npz", "bvh", "fbx", "glb", "usd", "blend")
"""Formats of `--export`, in the order in which they are written."""

BLENDER_FORMATS = ("fbx", "glb", "usd", "blend")
"""Those of them that only Blender can write."""

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
"""What a network can be asked to compute with."""

_FOR_PICTURES = ("streams", "window", "precision", "compile")
"""Choices for a lifter that sees pictures."""


def option(
    default: Any,
    text: str,
    *,
    choices: tuple[str, ...] | None = None,
    lowest: float | None = None,
    highest: float | None = None,
    above: float | None = None,
    metavar: str | None = None,
    result: bool = True,
) -> Any:
    """A dataclass field with what a flag, a property and a check need to know.

    Args:
        default: Default value; `None` where leaving it out means something of its own.
        text: One sentence for people.
        choices: Allowed words.
        lowest: Smallest allowed number.
        highest: Largest allowed number.
        above: The number must be greater than this one.
        metavar: Word that stands for the value in the help text.
        result: Whether the choice changes the motion, and not only how the work is done or shown.
    """
    metadata = {
        "text": text, "choices": choices, "lowest": lowest, "highest": highest, "above": above,
        "metavar": metavar, "result": result,
    }  # fmt: skip
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class CaptureOptions:
    """The choices of one capture."""

    start: int | None = option(
        None,
        "First source frame, counted from 0 at the clip's nominal rate.",
        lowest=0,
        metavar="F",
    )
    end: int | None = option(None, "Last source frame, included.", lowest=0, metavar="F")
    person: str = option(
        "auto",
        "Whom to capture: `auto` (the most prominent), `all`, or a number.",
        metavar="auto|all|N",
    )
    hands: bool = option(False, "Look for hands as well.")
    detector: str = option("mediapipe", "2D detector.", metavar="NAME")
    lifter: str = option("fit", "What turns 2D into a body.", metavar="NAME")
    weights: str | None = option(None, "Weights for the lifter.", metavar="NAME|FILE")
    streams: str = option(
        "auto",
        "What the network looks at: pictures, drawn skeletons, or both; `auto` is what its weights know.",
        choices=("auto", "both", "image", "skeleton"),
    )
    window: int | None = option(
        None,
        "Frames that the network sees at once; what its weights know when left out.",
        lowest=1,
        highest=64,
        metavar="N",
    )
    precision: str = option(
        "auto",
        "Numbers that the network computes with; `auto` is what the device is fast at.",
        choices=PRECISIONS,
    )
    compile: bool = option(
        False, "Compile the network first: it takes a minute and pays on long clips."
    )
    refine: str = option(
        "none", "Whether `fit` goes over the lifter's result.", choices=("none", "fit")
    )
    body: str = option("open", "Body model: `open`, or a file of your own.", metavar="open|PATH")
    device: str = option(
        "auto", "Where the network and the optimiser run.", choices=("auto", "cpu", "cuda")
    )
    fps: float | None = option(
        None,
        "Rows per second of the motion; the clip's own when left out.",
        above=0,
        highest=1000,
        metavar="F",
    )
    speed: float = option(
        1.0,
        "The motion plays this many times as fast as the clip.",
        above=0,
        highest=1000,
        metavar="X",
    )
    height: float | None = option(
        None,
        "The person's height in metres: one view cannot know it.",
        lowest=0.4,
        highest=2.6,
        metavar="M",
    )
    smooth: float = option(0.5, "Strength of smoothing.", lowest=0, highest=1, metavar="0..1")
    foot_lock: bool = option(True, "Keep feet in place while they touch the ground.")
    camera_fov: float | None = option(
        None,
        "Angle of view across the picture's width, degrees.",
        lowest=5,
        highest=170,
        metavar="DEG",
    )
    export: str = option(
        "npz", f"Comma-separated list of {', '.join(EXPORT_FORMATS)}; npz is always written.",
        metavar="LIST", result=False,
    )  # fmt: skip
    overlay: bool = option(
        False, "Write a video with skeleton and mesh over the source.", result=False
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            _check(f.name, getattr(self, f.name), dict(f.metadata), str(f.type))
        _check_person(self.person)
        catalog = load_catalog()
        catalog.check("detector", self.detector)
        lifter = catalog.find("lifter", self.lifter)
        if self.weights is not None and not lifter.takes_weights:
            raise UsageError(f"`--weights` is of no use: the lifter `{self.lifter}` has none")
        for f in fields(self):
            idle = f.name in _FOR_PICTURES and not lifter.sees_pictures
            if idle and getattr(self, f.name) != f.default:
                raise UsageError(
                    f"`{flag_of(f.name)}` is of no use: the lifter `{self.lifter}` sees no pictures"
                )
        unknown = [name for name in self.export_formats if name not in EXPORT_FORMATS]
        if unknown:
            raise UsageError(
                f"`--export` does not know {', '.join(f'`{name}`' for name in unknown)}",
                f"Choose from {', '.join(EXPORT_FORMATS)}",
            )

    @property
    def export_formats(self) -> tuple[str, ...]:
        """The formats asked for, npz first, each once."""
        asked = [word.strip().lower() for word in self.export.split(",") if word.strip()]
        return tuple(dict.fromkeys(["npz", *asked]))

    def to_dict(self) -> dict[str, Any]:
        """All choices by name, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CaptureOptions:
        """Options from a job file.

        Raises:
            UsageError: A key is unknown or a value is out of range. The message names it.
        """
        unknown = sorted(values.keys() - {f.name for f in fields(cls)})
        if unknown:
            raise UsageError(f"Unknown option {', '.join(f'`{name}`' for name in unknown)}")
        return cls(**values)


@dataclass(frozen=True)
class RunOptions:
    """How a capture is run and what it prints. None of these changes the motion."""

    resume: bool = option(
        True, "Go on from what an earlier run of the same clip left.", result=False
    )
    worker_python: str | None = option(
        None,
        "Python that has the worker's packages, when it is not this one.",
        metavar="PATH",
        result=False,
    )
    blender: str | None = option(
        None, "Blender for the formats that need it, when the `bpy` wheel is not wanted.",
        metavar="CMD", result=False,
    )  # fmt: skip
    json: bool = option(False, "Print one JSON object as the last line on stdout.", result=False)
    json_progress: bool = option(False, "Print progress as JSON lines on stdout.", result=False)
    debug: bool = option(False, "Show a traceback when something fails.", result=False)


@dataclass(frozen=True)
class InspectOptions:
    """The choices of a look at one frame."""

    frame: int = option(
        0, "Source frame, counted from 0 at the clip's nominal rate.", lowest=0, metavar="N"
    )
    person: str = option(
        "auto",
        "Whom to show closely: `auto` (the most prominent in the frame), `all`, or a number.",
        metavar="auto|all|N",
    )
    detector: str = option("mediapipe", "2D detector.", metavar="NAME")
    weights: str | None = option(
        None, "Weights whose attention is drawn; the only ones there are when left out.",
        metavar="NAME|FILE",
    )  # fmt: skip
    block: int = option(
        -1, "Block of the network whose attention is drawn; -1 is the last.", metavar="B"
    )
    device: str = option("auto", "Where the network runs.", choices=("auto", "cpu", "cuda"))

    def __post_init__(self) -> None:
        for f in fields(self):
            _check(f.name, getattr(self, f.name), dict(f.metadata), str(f.type))
        _check_person(self.person)
        load_catalog().check("detector", self.detector)


@dataclass(frozen=True)
class ModelBenchOptions:
    """The choices of a measurement of the network alone."""

    frames: str = option("1,16", "Frames per window, one or more.", metavar="N,N")
    batch: str = option("1,2,4", "Windows at once, one or more.", metavar="N,N")
    device: str = option("auto", "Where the network runs.", choices=("auto", "cpu", "cuda"))
    precision: str = option(
        "auto",
        "Numbers that the network computes with; `auto` is what the device is fast at.",
        choices=PRECISIONS,
    )
    compile: bool = option(False, "Compile the network first.")
    longest: float = option(
        60.0, "Seconds: a shape whose runs would take longer is left out.", above=0, metavar="S"
    )

    def __post_init__(self) -> None:
        for f in fields(self):
            _check(f.name, getattr(self, f.name), dict(f.metadata), str(f.type))
        _numbers("--frames", self.frames)
        _numbers("--batch", self.batch)

    @property
    def frame_counts(self) -> tuple[int, ...]:
        """`frames` as numbers."""
        return _numbers("--frames", self.frames)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """`batch` as numbers."""
        return _numbers("--batch", self.batch)


def flag_of(name: str) -> str:
    """The command-line flag of a field."""
    return "--" + name.replace("_", "-")


def _numbers(flag: str, words: str) -> tuple[int, ...]:
    """Whole numbers from 1 with commas between them."""
    parts = [word.strip() for word in words.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"`{flag}` must be numbers from 1, such as `1,16`, not `{words}`")
    return tuple(int(part) for part in parts)


def _check_person(word: str) -> None:
    if word not in ("auto", "all") and not word.isdecimal():
        raise UsageError(f"`--person` must be `auto`, `all` or a number from 0, not `{word}`")


def _check(name: str, value: Any, metadata: dict[str, Any], kind: str) -> None:
    flag = flag_of(name)
    if value is None:
        if "None" not in kind:
            raise UsageError(f"`{flag}` needs a value")
        return
    wanted: dict[str, tuple[type, ...]] = {
        "bool": (bool,),
        "str": (str,),
        "int": (int,),
        "float": (int, float),
    }
    types = wanted[kind.split(" ", maxsplit=1)[0]]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise UsageError(f"`{flag}` must be {kind.split(' ', maxsplit=1)[0]}, not `{value}`")
    if metadata["choices"] and value not in metadata["choices"]:
        raise UsageError(f"`{flag}` must be one of {', '.join(metadata['choices'])}, not `{value}`")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_range(flag, value, metadata)


def _check_range(flag: str, value: float, metadata: dict[str, Any]) -> None:
    lowest, highest, above = metadata["lowest"], metadata["highest"], metadata["above"]
    low_enough = highest is None or value <= highest
    high_enough = (lowest is None or value >= lowest) and (above is None or value > above)
    if math.isfinite(value) and low_enough and high_enough:
        return
    parts = [
        f"above {above:g}" if above is not None else "",
        f"at least {lowest:g}" if lowest is not None else "",
        f"at most {highest:g}" if highest is not None else "",
    ]
    raise UsageError(f"`{flag}` must be {' and '.join(p for p in parts if p)}, not {value:g}")
