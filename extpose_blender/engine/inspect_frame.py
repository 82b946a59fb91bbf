"""`extpose inspect`: one frame with everybody's number, and what the network sees of a person.

frame ─▶ people ─▶ picture with numbers and skeletons ─┐
            └────▶ crop │ skeleton image │ attention ──┴─▶ one PNG
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from ..protocol.errors import MissingModel, NoPerson, UsageError
from ..protocol.files import written_aside
from ..protocol.flow import ClipInfo, Frame, Track
from ..protocol.options import CaptureOptions, InspectOptions
from ..protocol.skeletons import DETECTOR_SKELETONS
from .detect_clip import detect_clip
from .draw import sheet
from .draw.skeleton import draw_keypoints
from .exporters.overlay import PERSON_COLORS
from .job_folder import WORK_FOLDER, clip_identity
from .lift.device import choose_device
from .lift.extpose.inspect_person import CrossAttention, SeenPerson, look_across, see_person
from .lift.extpose.weights_file import WeightsInfo, find_weights, load_network
from .pipeline import detection_key
from .registry import load_class
from .report import Listener, Stopwatch
from .track.build import build_tracks
from .track.prominence import select_people
from .video.clip import count_rows, probe_clip, read_frames
from .video.sampling import Sampling

CHEAP_ROWS = 300
"""Clips up to this long are searched whole, so that people have the numbers that `capture` gives them."""

_FRAME_WIDTH_PX, _FRAME_HEIGHT_PX = 1240, 820
"""The most that the frame takes up on the sheet."""

_PANEL_SCALE = 1.5
"""Size of a person's pictures on the sheet, of those that the network sees."""

_TAG_ABOVE = 0.12
"""Where a number stands above the nose, as a share of the person's height."""

_HERE = "in this frame alone"
_WHOLE = "as in `extpose capture --person N` of the whole clip"


@dataclass(frozen=True)
class PersonHere:
    """One person in the frame."""

    number: int
    """Their number."""
    keypoints: np.ndarray
    """(K, 3) x, y in source pixels, score."""
    seen: SeenPerson | None = None
    """What the network gets, where the person was chosen and can be cut out."""
    attention: CrossAttention | None = None
    """Where its streams look, where there are weights."""

    def to_dict(self) -> dict[str, Any]:
        """Numbers for `--json`."""
        about: dict[str, Any] = {
            "person": self.number,
            "mean_score": round(float(self.keypoints[:, 2].mean()), 3),
        }
        if self.seen is not None:
            box = self.seen.box
            about["box"] = {"center_xy_px": list(box.center_xy_px), "side_px": box.side_px}
        if self.attention is not None:
            about["attention_across"] = {
                "into_skeleton": round(self.attention.share_into_skeleton, 4),
                "into_picture": round(self.attention.share_into_picture, 4),
            }
        return about


@dataclass(frozen=True)
class Inspection:
    """What was seen in a frame."""

    out: Path
    """The picture that was written."""
    frame: int
    """Number of the frame."""
    people: tuple[PersonHere, ...]
    """Everybody in it, by number."""
    numbers_of_clip: bool
    """Whether the numbers are those of a capture of the whole clip."""
    weights: str | None
    """Name of the weights whose attention is drawn."""
    notes: tuple[str, ...] = field(default=())
    """What is missing in the picture, and why."""

    def to_dict(self) -> dict[str, Any]:
        """Everything for `--json`."""
        return {
            "frame": self.frame,
            "out": str(self.out),
            "people": [person.to_dict() for person in self.people],
            "shown": [person.number for person in self.people if person.seen is not None],
            "numbers": "clip" if self.numbers_of_clip else "frame",
            "weights": self.weights,
            "notes": list(self.notes),
        }

    def as_text(self) -> str:
        """Everything for people."""
        numbers = ", ".join(str(person.number) for person in self.people)
        whose = _WHOLE if self.numbers_of_clip else _HERE
        found = f"People: {numbers} (numbers {whose})." if self.people else "Nobody is in it."
        return "\n".join([f"{self.out}: frame {self.frame}. {found}", *self.notes])


def inspect_frame(
    video: Path, out: Path, options: InspectOptions, listener: Listener | None = None
) -> Inspection:
    """Draw one frame of a clip, its people, and what the network sees of those chosen.

    Args:
        video: The clip.
        out: The picture to write, .png.
        options: Which frame, whom, and with which models.
        listener: Told of progress where a whole clip is searched.

    Raises:
        UsageError: `out` is no .png, or there is no such person, weights or block.
        BadVideo: The clip cannot be decoded, or has no such frame.
        NoPerson: The person asked for is not in the frame.
        MissingModel, BadModelFile: The weights asked for are not there, or cannot be used.
        OutputNotWritable: The picture cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"`--out` must end in .png, not `{out.name}`")
    device = choose_device(options.device)
    info = probe_clip(video)
    frame = _read_frame(info, options.frame)
    weights, note = _weights_or_reason(options.weights)
    tracks, whole = _find_people(info, frame, out, options, listener or Listener())
    row = options.frame if whole else 0  # Without `--start`, rows are frames.
    here = [track for track in tracks if track.seen[row]]
    chosen = {track.person_id for track in _choose(here, tracks, options)}
    people = [_see(track, row, frame, track.person_id in chosen) for track in here]
    notes = [note] if note else []
    notes += _notes(weights, whole, [p for p in people if p.number in chosen])
    if weights is not None:
        people = _with_attention(people, weights, options.block, device)
    result = Inspection(
        out, options.frame, tuple(people), whole, weights.name if weights else None, tuple(notes)
    )
    picture = draw_inspection(frame.image_rgb, result, _skeleton_of(options))
    with written_aside(out) as aside:
        aside.write_bytes(sheet.as_png(picture))
    return result


def draw_inspection(image_rgb: np.ndarray, result: Inspection, skeleton: str) -> np.ndarray:
    """The sheet: the frame with its people, and below it each person chosen. (H, W, 3) uint8."""
    frame = sheet.captioned(_frame_panel(image_rgb, result, skeleton), _heading(result))
    closer = [_panels_of(person) for person in result.people if person.seen is not None]
    if result.weights is None:  # Two pictures each: two people to a row.
        pairs = (closer[i : i + 2] for i in range(0, len(closer), 2))
        closer = [[panel for panels in pair for panel in panels] for pair in pairs]
    return sheet.arrange([[frame], *closer])


def _read_frame(info: ClipInfo, number: int) -> Frame:
    with contextlib.closing(read_frames(info, Sampling(start=number, end=number))) as frames:
        return next(frames)


def _skeleton_of(options: InspectOptions) -> str:
    return str(load_class("detector", options.detector).skeleton)


def _weights_or_reason(wanted: str | None) -> tuple[WeightsInfo | None, str]:
    """The weights, or why there are none where none were asked for."""
    try:
        return find_weights(wanted), ""
    except (MissingModel, UsageError) as reason:
        if wanted is not None:
            raise
        return None, f"Attention is left out: {reason.message}. {reason.hint}."


def _notes(weights: WeightsInfo | None, whole: bool, chosen: Sequence[PersonHere]) -> Iterator[str]:
    """What somebody who looks at the picture should know."""
    if weights is not None and weights.streams != "both":
        yield (
            f"The weights `{weights.name}` saw one stream in training: attention across is what they "
            "make of two."
        )
    if not whole:
        yield (
            f"People are numbered {_HERE}: the clip is long, and `capture` has not searched it yet."
        )
    for person in chosen:
        if person.seen is None:
            yield f"Person {person.number}: too few points are sure to cut them out."


def _find_people(
    info: ClipInfo, frame: Frame, out: Path, options: InspectOptions, listener: Listener
) -> tuple[list[Track], bool]:
    """Everybody, and whether they were looked for in the whole clip or in the frame alone.

    The whole clip is searched where that is cheap: it is short, or a capture beside `out` has done so.
    """
    whole = Sampling()
    detector = load_class("detector", options.detector)
    kept = _kept_detections(info.path, out, options)
    rows = count_rows(info, whole)
    with contextlib.ExitStack() as stack:
        if kept is None and rows > CHEAP_ROWS:
            with contextlib.closing(detector()) as finder:
                found = [next(iter(finder(iter([frame]))))]
        else:
            folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            found = detect_clip(info, whole, detector, folder, listener, Stopwatch()).detections
    tracks = build_tracks(found, detector.skeleton, info.fps, info.width, info.height, len(found))
    return tracks, kept is not None or rows <= CHEAP_ROWS


def _kept_detections(video: Path, out: Path, options: InspectOptions) -> Path | None:
    """Where a finished capture beside `out`, or round it, keeps the clip's detections."""
    capture = CaptureOptions(detector=options.detector)
    key = detection_key(clip_identity(video), capture)
    end = f"{escape(video.stem)}*/{WORK_FOLDER}/detect-{key}/end.json"
    folders = out.parent, out.resolve().parent.parent
    return next((found.parent for folder in folders for found in folder.glob(end)), None)


def _choose(here: Sequence[Track], tracks: Sequence[Track], options: InspectOptions) -> list[Track]:
    """Those of the people in the frame that are to be shown closely."""
    if not here and options.person in ("auto", "all"):
        return []
    if options.person in ("auto", "all"):
        return select_people(here, options.person)
    (wanted,) = select_people(tracks, options.person)
    if all(track is not wanted for track in here):
        raise NoPerson(
            f"Person {wanted.person_id} is not in frame {options.frame}",
            f"They are seen between the frames {wanted.active.start} and {wanted.active.stop - 1}",
        )
    return [wanted]


def _see(track: Track, row: int, frame: Frame, closely: bool) -> PersonHere:
    keypoints = track.keypoints_2d[row]
    seen = see_person(frame.image_rgb, keypoints, track.skeleton) if closely else None
    return PersonHere(track.person_id, keypoints, seen)


def _with_attention(
    people: Sequence[PersonHere], weights: WeightsInfo, block: int, device: str
) -> list[PersonHere]:
    if all(person.seen is None for person in people):
        return list(people)
    net = load_network(weights, device)
    return [
        person
        if person.seen is None
        else replace(person, attention=look_across(net, person.seen, block))
        for person in people
    ]


def _heading(result: Inspection) -> list[str]:
    numbers = f" Numbers of people: {_WHOLE}." if result.numbers_of_clip else ""
    nobody = "" if result.people else " Nobody is in it."
    return [f"Frame {result.frame}.{nobody or numbers}", *result.notes]


def _frame_panel(image_rgb: np.ndarray, result: Inspection, skeleton: str) -> np.ndarray:
    """The frame with skeletons and numbers, enlarged or shrunk before they are drawn."""
    panel = sheet.fit_picture(image_rgb, _FRAME_WIDTH_PX, _FRAME_HEIGHT_PX)
    scale = panel.shape[1] / image_rgb.shape[1]
    moved = [person.keypoints * (scale, scale, 1.0) for person in result.people]
    for person, keypoints in zip(result.people, moved, strict=True):
        color = _color_of(person)
        draw_keypoints(panel, keypoints, DETECTOR_SKELETONS[skeleton], color, width_px=2)
    for person, keypoints in zip(result.people, moved, strict=True):
        x, y, _ = keypoints[DETECTOR_SKELETONS[skeleton].index["nose"]]
        above = x, y - _TAG_ABOVE * np.ptp(keypoints[:, 1])
        sheet.tag(panel, str(person.number), above, _color_of(person))
    return panel


def _panels_of(person: PersonHere) -> list[np.ndarray]:
    """What the network sees of one person, and where it looks."""
    seen, look = person.seen, person.attention
    assert seen is not None
    below = [""] if look is not None else []
    panels = [
        _panel(seen.picture_rgb, f"Person {person.number}: crop", *below),
        _panel(seen.skeleton_rgb, "Skeleton image", *below),
    ]
    if look is None:
        return panels
    return [
        *panels,
        _panel(
            sheet.heat_over(seen.skeleton_rgb, look.into_skeleton),
            "Where the crop's joints look",
            f"in the skeleton image: {look.share_into_skeleton:.0%}",
        ),
        _panel(
            sheet.heat_over(seen.picture_rgb, look.into_picture),
            "Where the skeleton's joints look",
            f"in the crop: {look.share_into_picture:.0%}",
        ),
    ]


def _panel(image_rgb: np.ndarray, *lines: str) -> np.ndarray:
    height, width = (round(_PANEL_SCALE * side) for side in image_rgb.shape[:2])
    return sheet.captioned(sheet.fit_picture(image_rgb, width, height), lines)


def _color_of(person: PersonHere) -> tuple[int, int, int]:
    return PERSON_COLORS[person.number % len(PERSON_COLORS)]
