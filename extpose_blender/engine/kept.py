"""What stages leave in the job folder, as .npz files: detections in chunks of rows, lifted tracks whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..protocol.arrays import check_shape
from ..protocol.errors import BadShape, InputError
from ..protocol.files import read_npz, write_npz
from ..protocol.flow import FrameDetections, Intrinsics, LiftedTrack

_ARRAYS = ("keypoints_2d", "hints_3d_m", "score", "hands_2d")
_STATE = "state/"


@dataclass(frozen=True)
class Chunk:
    """The detections of a run of rows, and what is needed to go on after them."""

    detections: tuple[FrameDetections, ...]
    """One per row, rows without a gap."""
    frame_index: np.ndarray
    """(R,) int64: source picture of each row."""
    time_s: np.ndarray
    """(R,) float64: its presentation time, seconds."""
    state: dict[str, np.ndarray]
    """State of whatever worked on the rows, after the last of them."""

    def __post_init__(self) -> None:
        axes = {"R": len(self.detections)}
        check_shape("frame_index", self.frame_index, ("R",), axes, kind="iu")
        check_shape("time_s", self.time_s, ("R",), axes)


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Write a chunk, aside and renamed. Raises OutputNotWritable."""
    arrays = {
        name: np.concatenate([getattr(d, name) for d in chunk.detections]) for name in _ARRAYS
    }
    arrays |= {_STATE + name: value for name, value in chunk.state.items()}
    arrays["count"] = np.array([len(d) for d in chunk.detections])
    arrays["row"] = np.array([d.row for d in chunk.detections])
    write_npz(path, arrays | {"frame_index": chunk.frame_index, "time_s": chunk.time_s})


def read_chunk_or_none(path: Path) -> Chunk | None:
    """A chunk that an earlier run finished, or `None` when there is none or it is damaged."""
    if not path.exists():
        return None
    try:
        arrays = read_npz(path)
        ends = np.cumsum(arrays["count"])
        starts = ends - arrays["count"]
        detections = tuple(
            FrameDetections(int(row), *(arrays[name][start:end] for name in _ARRAYS))
            for row, start, end in zip(arrays["row"], starts, ends, strict=True)
        )
        state = {k.removeprefix(_STATE): v for k, v in arrays.items() if k.startswith(_STATE)}
        return Chunk(detections, arrays["frame_index"], arrays["time_s"], state)
    except (InputError, BadShape, KeyError, ValueError):
        return None


def write_lifted(path: Path, lifted: LiftedTrack) -> None:
    """Write a lifted track, aside and renamed. Raises OutputNotWritable."""
    values = {name: value for name, value in vars(lifted).items() if name != "intrinsics"}
    values |= {f"intrinsics/{name}": value for name, value in asdict(lifted.intrinsics).items()}
    write_npz(path, {name: np.asarray(value) for name, value in values.items()})


def read_lifted_or_none(path: Path) -> LiftedTrack | None:
    """A lifted track that an earlier run finished, or `None` when there is none or it is damaged."""
    if not path.exists():
        return None
    try:
        arrays = read_npz(path)
        intrinsics = Intrinsics(
            focal_px=float(arrays["intrinsics/focal_px"]),
            width=int(arrays["intrinsics/width"]),
            height=int(arrays["intrinsics/height"]),
            source=str(arrays["intrinsics/source"]),
        )
        return LiftedTrack(
            person_id=int(arrays["person_id"]),
            model_type=str(arrays["model_type"]),
            body_id=str(arrays["body_id"]),
            rotvec=arrays["rotvec"],
            transl_m=arrays["transl_m"],
            betas=arrays["betas"],
            intrinsics=intrinsics,
            confidence=arrays["confidence"],
            fps=float(arrays["fps"]),
            notes=tuple(str(note) for note in _as_list(arrays["notes"])),
        )
    except (InputError, BadShape, KeyError, ValueError, TypeError):
        return None


def _as_list(array: np.ndarray) -> Sequence[str]:
    return [str(word) for word in array.reshape(-1)] if array.dtype.kind == "U" else []
