"""Read motion-capture sequences: any skeleton, local rotations, Y up.

Format: the archive's own (see README.md of this folder): rest offsets from the parent, root path,
local quaternions as 16-bit integers.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from extpose_blender.protocol.errors import BadMotionFile
from extpose_blender.protocol.geometry import quat_to_rotmat

ARCHIVE = "motion_30fps.zip"
"""Name of the archive in the motion folder; its entries are `group/name.npz`."""

_QUAT_SCALE = 32767.0


@dataclass(frozen=True)
class Sequence:
    """One captured sequence on its own skeleton. Y is up, left is the person's left."""

    key: str
    """`group/name`."""
    fps: float
    """Frames per second."""
    joint_names: tuple[str, ...]
    """(J,) the source's own names."""
    parents: np.ndarray
    """(J,) int: parent of each joint, -1 for the root; a parent comes before its children."""
    offsets_m: np.ndarray
    """(J, 3): rest offset from the parent, metres."""
    root_pos_m: np.ndarray
    """(T, 3): path of the root, metres."""
    local_rotmat: np.ndarray
    """(T, J, 3, 3): rotation of each joint against its parent."""

    def __len__(self) -> int:
        return len(self.root_pos_m)

    @property
    def group(self) -> str:
        """The part of the key that names the skeleton."""
        return self.key.split("/", maxsplit=1)[0]

    @cached_property
    def index(self) -> dict[str, int]:
        """Index of each joint name."""
        return {name: i for i, name in enumerate(self.joint_names)}

    @cached_property
    def global_rotmat(self) -> np.ndarray:
        """(T, J, 3, 3): rotation of each joint against the world."""
        turned = self.local_rotmat.copy()
        for joint in range(1, len(self.parents)):
            turned[:, joint] = turned[:, self.parents[joint]] @ self.local_rotmat[:, joint]
        return turned

    @cached_property
    def positions_m(self) -> np.ndarray:
        """(T, J, 3): joint positions, metres."""
        places = np.zeros((len(self), len(self.parents), 3))
        places[:, 0] = self.root_pos_m
        for joint in range(1, len(self.parents)):
            parent = self.parents[joint]
            places[:, joint] = (
                places[:, parent] + self.global_rotmat[:, parent] @ self.offsets_m[joint]
            )
        return places


def read_sequences(folder: Path, keys: set[str] | None = None) -> Iterator[Sequence]:
    """Every sequence of the archive in `folder`, in the order of their keys.

    Args:
        folder: Holds `motion_30fps.zip`.
        keys: Only these; all when `None`.

    Raises:
        BadMotionFile: The archive is missing or damaged, or lacks a key that was asked for.
    """
    path = folder / ARCHIVE
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npz"): name for name in archive.namelist()}
            missing = sorted((keys or set()) - names.keys())
            if missing:
                raise BadMotionFile(f"`{path}` lacks {', '.join(missing)}")
            for key in sorted(keys if keys is not None else names):
                if names[key].endswith(".npz"):
                    yield _read(key, archive.read(names[key]))
    except (OSError, zipfile.BadZipFile) as reason:
        raise BadMotionFile(
            f"`{path}` cannot be read: {reason}", f"Give the folder that holds `{ARCHIVE}`"
        ) from reason


def _read(key: str, content: bytes) -> Sequence:
    with np.load(io.BytesIO(content), allow_pickle=False) as data:
        # Four components of unit quaternions: never all zero.
        quat = data["quats_i16"].astype(np.float64) / _QUAT_SCALE
        quat /= np.linalg.norm(quat, axis=-1, keepdims=True)
        return Sequence(
            key=key,
            fps=float(data["fps"]),
            joint_names=tuple(str(name) for name in data["joint_names"]),
            parents=data["parents"].astype(int),
            offsets_m=data["offsets_m"].astype(np.float64),
            root_pos_m=data["root_pos_m"].astype(np.float64),
            local_rotmat=quat_to_rotmat(quat),
        )
