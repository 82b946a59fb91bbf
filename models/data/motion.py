"""All captured motion that training may use, as arrays on one device.

`MotionBank.read` takes the folder that `python -m models.mocap` writes. Sequences of
`models/evaluate/held_out.toml` and `development.toml` are left out, and with them every other
conversion of the same captures. Frames in which a joint flipped cut a sequence into runs.

Frames: SMPL's local rotations; the root also turns Y up into the world, Z up; metres.
"""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from extpose_blender.engine.body.load import load_body
from extpose_blender.protocol.errors import BadMotionFile
from extpose_blender.protocol.files import read_npz, write_npz
from extpose_blender.protocol.geometry import continuous_quats, rotvec_to_quat
from extpose_blender.protocol.skeletons import SMPLH_52

JUDGED = ("held_out", "development")
"""Lists of `models/evaluate` whose sequences are never trained on."""
BODY_JOINTS = 22
"""Joints of SMPL-H before the fingers'."""
SHORTEST_S = 0.4
"""Shorter runs between two faults are left out."""

_LISTS = Path(__file__).resolve().parents[1] / "evaluate"
_FORMAT = 1
_FINGERS_MOVE = 0.02
"""Deviation of a quaternion above which a finger moves."""


@dataclass(frozen=True)
class MotionBank:
    """Runs of captured motion, one after the other."""

    quat: Tensor
    """(N, 52, 4) float32 local rotations w x y z; signs are continuous within a run."""
    pelvis_m: Tensor
    """(N, 3) float32 pelvis joint of the mean body, world."""
    first: Tensor
    """(R,) int64: first frame of each run."""
    length: Tensor
    """(R,) int64: frames of each run."""
    fps: Tensor
    """(R,) float32: frames per second of each run."""
    keys: tuple[str, ...]
    """(R,) `group/name` of the sequence of each run."""
    fingers_move: Tensor
    """(R,) bool: the capture has fingers that move."""

    def __len__(self) -> int:
        return len(self.first)

    @property
    def seconds(self) -> Tensor:
        """(R,) duration of each run."""
        return (self.length - 1) / self.fps

    def to(self, device: torch.device | str) -> MotionBank:
        """The same on a device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in moved.items() if k != "keys"})

    @staticmethod
    def read(folder: Path, cache: Path | None = None) -> MotionBank:
        """Read retargeted motion, or what an earlier call kept of it.

        Args:
            folder: `group/name.npz` as `python -m models.mocap` writes them.
            cache: An .npz to keep the arrays in; it is used again while folder and lists agree.

        Raises:
            BadMotionFile: The folder holds no motion, or a file is damaged.
        """
        paths = training_files(folder)
        names = np.array([f"{_key(path)} {path.stat().st_size}" for path in paths])
        if cache is not None and cache.exists():
            arrays = read_npz(cache, BadMotionFile)
            if int(arrays["format"]) == _FORMAT and np.array_equal(arrays["files"], names):
                return _bank(arrays)
        arrays = _read_runs(paths)
        if cache is not None:
            write_npz(cache, {**arrays, "files": names, "format": np.asarray(_FORMAT)})
        return _bank(arrays)


@cache
def judged_names() -> frozenset[str]:
    """Names of all sequences that training must leave out, whatever their group."""
    names: set[str] = set()
    for judged in JUDGED:
        text = (_LISTS / f"{judged}.toml").read_text(encoding="utf-8")
        names |= {entry["key"].partition("/")[2] for entry in tomllib.loads(text)["sequence"]}
    return frozenset(names)


def is_judged(key: str) -> bool:
    """Whether training must leave out a sequence `group/name`.

    CMU's trials are there in several conversions: one that is judged is left out in every group.
    """
    return key.partition("/")[2] in judged_names()


def training_files(folder: Path) -> list[Path]:
    """Files of the sequences that training may use, by name.

    Raises:
        BadMotionFile: There are none.
    """
    paths = [path for path in sorted(folder.glob("*/*.npz")) if not is_judged(_key(path))]
    if not paths:
        raise BadMotionFile(
            f"`{folder}` holds no `group/name.npz`",
            "Run `python -m models.mocap` and give the folder that it writes",
        )
    return paths


def _key(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _read_runs(paths: list[Path]) -> dict[str, np.ndarray]:
    pelvis = load_body("open").joints_rest(np.zeros(10, np.float32))[0]
    quats, places, rates, keys = [], [], [], []
    for path in paths:
        data = read_npz(path, BadMotionFile)
        fps = float(data["mocap_framerate"])
        quat = rotvec_to_quat(data["poses"].reshape(-1, len(SMPLH_52), 3).astype(float))
        for rows in _steady_runs(data["steady"].astype(bool), fps):
            quats.append(continuous_quats(quat[rows]).astype(np.float32))
            places.append((data["trans"][rows] + pelvis).astype(np.float32))
            rates.append(fps)
            keys.append(_key(path))
    return {
        "quat": np.concatenate(quats),
        "pelvis_m": np.concatenate(places),
        "length": np.array([len(place) for place in places]),
        "fps": np.array(rates, np.float32),
        "keys": np.array(keys),
        "fingers_move": np.array([q[:, BODY_JOINTS:].std(0).max() > _FINGERS_MOVE for q in quats]),
    }


def _steady_runs(steady: np.ndarray, fps: float) -> list[slice]:
    """Runs without a fault, long enough to be of use; a false row is a fault since the row before."""
    cuts = [0, *np.flatnonzero(~steady).tolist(), len(steady)]
    runs = [slice(a, b) for a, b in itertools.pairwise(cuts)]
    return [run for run in runs if run.stop - run.start > SHORTEST_S * fps]


def _bank(arrays: dict[str, np.ndarray]) -> MotionBank:
    length = torch.from_numpy(arrays["length"].astype(np.int64))
    return MotionBank(
        quat=torch.from_numpy(arrays["quat"]),
        pelvis_m=torch.from_numpy(arrays["pelvis_m"]),
        first=length.cumsum(0) - length,
        length=length,
        fps=torch.from_numpy(arrays["fps"]),
        keys=tuple(str(key) for key in arrays["keys"]),
        fingers_move=torch.from_numpy(arrays["fingers_move"]),
    )
