"""People in 3DPW's sequences, from the pickles as published, with nothing in them run.

Of a sequence with T pictures are read: `sequence`, `genders`, and per person `poses` (T, 72) rotation
vectors in the world, `betas` (at least 10), `poses2d` (T, 3, 18) detections in OpenPose's order,
`campose_valid` (T,); for all `cam_poses` (T, 4, 4) from the world to the OpenCV camera. Picture t is
`imageFiles/SEQUENCE/image_0000t.jpg`.

Source: the data set's own readme; yohanshin/WHAM:lib/data_utils/threedpw_eval_utils.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extpose_blender.engine.body.unpickle import RefusedPickle, plain, read_pickle
from extpose_blender.protocol.arrays import check_shape
from extpose_blender.protocol.errors import BadShape, InputError
from extpose_blender.protocol.geometry import rotvec_to_rotmat

JOINTS = 24
_SEXES = {"m": "male", "f": "female"}


@dataclass(frozen=True)
class PersonTrack:
    """One person in one sequence: the pictures in which the camera is known, in order."""

    name: str
    """`SEQUENCE_NUMBER`."""
    sex: str
    """`male` or `female`: whose body the truth is."""
    pictures: tuple[str, ...]
    """(T,) paths below the folder `imageFiles`."""
    rotmat: np.ndarray
    """(T, 24, 3, 3) true rotations; joint 0 turns the rest frame into the OpenCV camera."""
    betas: np.ndarray
    """(10,) true shape of the sexed body."""
    points: np.ndarray
    """(T, 18, 3) detections that come with the set: x, y in source pixels, score; zeros where none."""

    def __post_init__(self) -> None:
        axes = {"T": len(self.pictures)}
        check_shape("rotmat", self.rotmat, ("T", JOINTS, 3, 3), axes)
        check_shape("betas", self.betas, (10,))
        check_shape("points", self.points, ("T", 18, 3), axes)

    def __len__(self) -> int:
        return len(self.pictures)


def read_tracks(folder: Path) -> Iterator[PersonTrack]:
    """All people of a split, such as `sequenceFiles/test`, sequence by sequence.

    Raises:
        InputError: The folder holds no sequence, or a file cannot be used.
    """
    paths = sorted(folder.glob("*.pkl"))
    if not paths:
        raise InputError(f"`{folder}` holds no sequence", "Give 3DPW's folder sequenceFiles/test")
    for path in paths:
        yield from read_sequence(path)


def read_sequence(path: Path) -> list[PersonTrack]:
    """The people of one sequence who are ever seen.

    Raises:
        InputError: The file is missing, damaged, hostile or of another kind.
    """
    try:
        with open(path, "rb") as stream:
            content = read_pickle(stream)
        if not isinstance(content, dict):
            raise RefusedPickle(f"it holds a {type(content).__name__}, not named values")
        tracks = [_track(content, i) for i in range(len(_value(content, "genders")))]
    except OSError as reason:
        raise InputError(f"`{path}` cannot be read: {reason.strerror}") from reason
    except (RefusedPickle, BadShape, ValueError, TypeError, IndexError) as reason:
        raise InputError(f"`{path}` is no sequence of 3DPW: {reason}") from reason
    return [track for track in tracks if len(track)]


def _track(content: dict[str, Any], person: int) -> PersonTrack:
    camera = np.asarray(_value(content, "cam_poses"), float)
    count = len(camera)
    poses = np.asarray(_value(content, "poses")[person], float)
    points = np.asarray(_value(content, "poses2d")[person], float)
    betas = np.asarray(_value(content, "betas")[person], float)
    known = np.asarray(_value(content, "campose_valid")[person]).astype(bool)
    check_shape("cam_poses", camera, (count, 4, 4))
    check_shape("poses", poses, (count, 3 * JOINTS))
    check_shape("poses2d", points, (count, 3, 18))
    check_shape("campose_valid", known, (count,), kind="b")
    rotmat = rotvec_to_rotmat(poses[known].reshape(-1, JOINTS, 3))
    rotmat[:, 0] = camera[known, :3, :3] @ rotmat[:, 0]
    name, sex = str(_value(content, "sequence")), str(_value(content, "genders")[person])
    if sex not in _SEXES:
        raise ValueError(f"`genders` must be m or f, not {sex!r}")
    return PersonTrack(
        name=f"{name}_{person}",
        sex=_SEXES[sex],
        pictures=tuple(f"{name}/image_{row:05d}.jpg" for row in np.flatnonzero(known)),
        rotmat=rotmat,
        betas=betas[:10],
        points=points[known].transpose(0, 2, 1),
    )


def _value(content: dict[str, Any], name: str) -> Any:
    if name not in content:
        raise ValueError(f"it has no `{name}`")
    return plain(content[name])
