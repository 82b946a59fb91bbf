"""True and predicted hands as FreiHAND and HO3D exchange them: lists of joints and vertices in JSON.

Truth: `evaluation_xyz.json` (N, 21, 3) and `evaluation_verts.json` (N, 778, 3). Predictions: one file
with both lists, in the order of the evaluation pictures. Metres.

Sources: lmb-freiburg/freihand:eval.py, shreyashampali/ho3d:eval.py, geopavlakos/hamer:eval.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from extpose_blender.protocol.arrays import check_finite, check_shape
from extpose_blender.protocol.errors import BadShape, InputError
from extpose_blender.protocol.files import read_json, written_aside

JOINTS, VERTICES = 21, 778


@dataclass(frozen=True)
class Hands:
    """N hands."""

    joints_m: np.ndarray
    """(N, 21, 3) in the set's own order."""
    vertices_m: np.ndarray
    """(N, V, 3); 778 vertices of MANO in all published files."""

    def __post_init__(self) -> None:
        axes: dict[str, int] = {}
        check_shape("joints", self.joints_m, ("N", JOINTS, 3), axes)
        check_shape("vertices", self.vertices_m, ("N", "V", 3), axes)
        check_finite("joints", self.joints_m)
        check_finite("vertices", self.vertices_m)

    def __len__(self) -> int:
        return len(self.joints_m)


def read_hand_truth(folder: Path) -> Hands:
    """Read the truth of an evaluation split from the folder that holds both lists.

    Raises:
        InputError: A file is missing or holds something else.
    """
    lists = [read_json(folder / f"evaluation_{name}.json") for name in ("xyz", "verts")]
    return _hands(folder, lists)


def read_hand_predictions(path: Path) -> Hands:
    """Read predictions as the challenge servers take them.

    Raises:
        InputError: The file is missing or holds something else.
    """
    lists = read_json(path)
    if not isinstance(lists, list) or len(lists) != 2:
        raise InputError(f"`{path}` must hold two lists: joints and vertices")
    return _hands(path, lists)


def write_hand_predictions(path: Path, hands: Hands) -> None:
    """Write predictions for a challenge server. Raises OutputNotWritable."""
    with written_aside(path) as aside, open(aside, "w", encoding="utf-8") as stream:
        json.dump([hands.joints_m.tolist(), hands.vertices_m.tolist()], stream)


def _hands(path: Path, lists: list[Any]) -> Hands:
    try:
        joints, vertices = (np.array(values, np.float64) for values in lists)
        return Hands(joints, vertices)
    except (ValueError, TypeError, BadShape) as reason:
        raise InputError(f"`{path}` holds no hands: {reason}") from reason
