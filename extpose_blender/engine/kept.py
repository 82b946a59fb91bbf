"""What stages leave in the job folder, as .npz files.

Detections come in chunks of rows; lifted tracks are whole. Beside a chunk lies the state that the next one
starts from; only the newest state is kept, because it may grow with the clip.
"""

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


@dataclass(frozen=True)
class Chunk:
    """The detections of a run of rows."""

    detections: tuple[FrameDetections, ...]
    """One per row, rows without a gap."""
    frame_index: np.ndarray
    """(R,) int64: source picture of each row."""
    time_s: np.ndarray
    """(R,) float64: its presentation time, seconds."""

    def __post_init__(self) -> None:
        axes = {"R": len(self.detections)}
        check_shape("frame_index", self.frame_index, ("R",), axes, kind="iu")
        check_shape("time_s", self.time_s, ("R",), axes)


State = dict[str, np.ndarray]
"""State of whatever works on the rows, after the last of them."""


def write_chunk(folder: Path, number: int, chunk: Chunk, state: State) -> None:
    """Add a chunk to a folder. The chunk's file comes last: once it is there, so is its state.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    arrays = {
        name: np.concatenate([getattr(d, name) for d in chunk.detections]) for name in _ARRAYS
    }
    arrays["count"] = np.array([len(d) for d in chunk.detections])
    arrays["row"] = np.array([d.row for d in chunk.detections])
    arrays |= {"frame_index": chunk.frame_index, "time_s": chunk.time_s}
    write_npz(_state_path(folder, number), state)
    write_npz(_chunk_path(folder, number), arrays)
    if number > 0:
        _state_path(folder, number - 1).unlink(missing_ok=True)


def read_chunks(folder: Path) -> tuple[list[Chunk], State]:
    """What an earlier run finished: chunks from the first on, and the state after the last of them.

    Nothing when the state is not there or damaged: then the work starts anew.
    """
    chunks: list[Chunk] = []
    while (chunk := _read_chunk_or_none(_chunk_path(folder, len(chunks)))) is not None:
        chunks.append(chunk)
    try:
        return (chunks, read_npz(_state_path(folder, len(chunks) - 1))) if chunks else ([], {})
    except InputError:
        return [], {}


def _chunk_path(folder: Path, number: int) -> Path:
    return folder / f"{number:05}.npz"


def _state_path(folder: Path, number: int) -> Path:
    return folder / f"{number:05}-state.npz"


def _read_chunk_or_none(path: Path) -> Chunk | None:
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
        return Chunk(detections, arrays["frame_index"], arrays["time_s"])
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
