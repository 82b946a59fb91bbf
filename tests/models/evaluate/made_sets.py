"""Small made-up data sets in the formats in which the real ones are published."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from extpose_blender.protocol.geometry import rotmat_to_rotvec

SIZE_WH = (120, 90)


def write_pictures(folder: Path, names: list[str], seed: int = 0) -> None:
    """Coloured noise, smooth enough for JPEG."""
    rng = np.random.default_rng(seed)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(path), cv2.resize(noise, SIZE_WH))


def person_points(rng: np.random.Generator, count: int) -> np.ndarray:
    """(T, 18, 3) detections somewhere in the picture, all sure."""
    xy = rng.uniform((30, 15), (90, 80), (count, 18, 2))
    return np.concatenate([xy, np.ones((count, 18, 1))], axis=-1)


def write_sequence(
    path: Path,
    points: list[np.ndarray],
    rotmat: list[np.ndarray] | None = None,
    betas: list[np.ndarray] | None = None,
    valid: list[np.ndarray] | None = None,
    camera: np.ndarray | None = None,
    **changes: Any,
) -> None:
    """A sequence as 3DPW publishes it, one entry of each list per person.

    `rotmat` (T, 24, 3, 3) are true rotations in the camera; they are written in the world.
    """
    people, count = len(points), len(points[0])
    camera = np.broadcast_to(np.eye(4), (count, 4, 4)) if camera is None else camera
    poses = []
    for person in range(people):
        turns = np.broadcast_to(np.eye(3), (count, 24, 3, 3)).copy()
        if rotmat is not None:
            turns[:] = rotmat[person]
        turns[:, 0] = np.swapaxes(camera[:, :3, :3], 1, 2) @ turns[:, 0]
        poses.append(rotmat_to_rotvec(turns).reshape(count, 72))
    content = {
        "sequence": path.stem,
        "genders": ["m", "f"][:people],
        "poses": poses,
        "betas": betas or [np.zeros(10)] * people,
        "poses2d": [one.transpose(0, 2, 1) for one in points],
        "campose_valid": valid or [np.ones(count, np.int64)] * people,
        "cam_poses": np.array(camera),
        "cam_intrinsics": np.eye(3),
        "img_frame_ids": np.arange(count),
        "trans": [np.zeros((count, 3))] * people,
        "jointPositions": [np.zeros((count, 72))] * people,
        "poses_60Hz": [np.zeros((2 * count, 72))] * people,
        "v_template_clothed": [np.zeros((6, 3))] * people,
        "texture_maps": [np.zeros((4, 4, 3), np.uint8)] * people,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({**content, **changes}, 2))


def write_picture_set(path: Path, names: list[str], **arrays: np.ndarray) -> None:
    """A file of 4D-Humans' or HaMeR's evaluation data."""
    count = len(names)
    known = {
        "imgname": np.array(names),
        "center": np.tile([60.0, 45.0], (count, 1)),
        "scale": np.tile([40.0, 70.0], (count, 1)),
        "personid": np.zeros(count, np.int32),
        "extra_info": np.array([{"sequence": "a"}] * count, dtype=object),
    }
    np.savez(path, **(known | arrays))
