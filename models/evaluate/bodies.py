"""Poses the licensed bodies and hands that the benchmarks are counted on, in batches.

Frames: the network's crop camera (OpenCV axes, the body's own origin); metres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from extpose_blender.engine.body.files import read_body_file
from extpose_blender.engine.body.load import Body
from extpose_blender.engine.body.model_joints import pose_model_joints
from extpose_blender.engine.body.unpickle import RefusedPickle, plain, read_pickle
from extpose_blender.engine.lift.extpose.camera import project_in_crop, translation_in_crop
from extpose_blender.engine.weights import find_added
from extpose_blender.protocol.errors import BadShape, InputError

from .networks import Predicted

_BATCH = 128


@dataclass(frozen=True)
class PosedSet:
    """The people or hands of N pictures."""

    joints_m: np.ndarray
    """(N, 44, 3) or (N, 21, 3) the base models' joints; right hands for mirrored pictures."""
    keypoints_crop: np.ndarray
    """(N, 44, 2) or (N, 21, 2) the same in the crop: pixel / 256 - 0.5."""
    vertices_m: np.ndarray | None
    """(N, V, 3), where they were asked for."""


def pose_set(
    body: Body, predicted: Predicted, extra_regressor: np.ndarray | None, vertices: bool = False
) -> PosedSet:
    """Pose what was predicted for N pictures.

    Args:
        body: Body or right hand whose shape numbers the network speaks of.
        predicted: What the network says.
        extra_regressor: (19, V) for bodies; hands have none.
        vertices: Keep the meshes.

    Raises:
        BadShape: `extra_regressor` does not fit the body, or is missing.
        BadBodyFile: The body does not name the surface points that are joints.
    """
    regressor = None if extra_regressor is None else torch.from_numpy(extra_regressor).float()
    joints, points, meshes = [], [], []
    for rows in _batches(len(predicted.betas)):
        posed = pose_model_joints(body, *_inputs(body, predicted, rows), regressor)
        camera = translation_in_crop(_tensor(predicted.camera[rows]))
        joints.append(posed.joints.numpy())
        points.append(project_in_crop(posed.joints, camera).numpy())
        if vertices:
            meshes.append(posed.points.numpy())
    return PosedSet(
        np.concatenate(joints), np.concatenate(points), np.concatenate(meshes) if vertices else None
    )


def pose_meshes(body: Body, predicted: Predicted) -> np.ndarray:
    """The meshes (N, V, 3) of N poses, float32."""
    parts = [
        body.pose(*_inputs(body, predicted, rows)).points.numpy()
        for rows in _batches(len(predicted.betas))
    ]
    return np.concatenate(parts)


def body_regressor(name_or_path: str) -> np.ndarray | None:
    """The (19, V) regressor that a body file of `extpose models add` carries; `None` without one.

    Raises:
        BadBodyFile, MissingModel: There is no such body.
    """
    if name_or_path == "open":
        return None
    path = Path(name_or_path).expanduser()
    path = path if path.exists() else find_added("body", name_or_path)
    arrays = read_body_file(path, correctives=False).arrays
    return arrays.get("joint_regressor_extra")


def read_regressor(path: Path, rows: int) -> np.ndarray:
    """A regressor (rows, V) as published: `J_regressor_h36m.npy`, `SMPL_to_J19.pkl`.

    Raises:
        InputError: The file is missing, hostile, or holds something else.
    """
    try:
        with open(path, "rb") as stream:
            is_array = path.suffix == ".npy"
            found = np.load(stream, allow_pickle=False) if is_array else plain(read_pickle(stream))
    except OSError as reason:
        raise InputError(f"`{path}` cannot be read: {reason.strerror}") from reason
    except (RefusedPickle, ValueError, EOFError) as reason:
        raise InputError(f"`{path}` is no regressor: {reason}") from reason
    array = np.array(found)  # A copy: what comes out of a pickle cannot be written to.
    if array.ndim != 2 or len(array) != rows or array.dtype.kind != "f":
        raise InputError(f"`{path}` must hold numbers ({rows}, V), not {array.shape}")
    return array


def _inputs(body: Body, predicted: Predicted, rows: slice) -> tuple[Tensor, Tensor]:
    """Shape and rotations as the body takes them; joints beyond the network's stay at rest."""
    rotmat = _tensor(predicted.rotmat[rows])
    more = len(body.parents) - rotmat.shape[1]
    if body.model_type not in ("smpl", "mano"):
        # SMPL's last two joints are hands, which other bodies split into fingers.
        rotmat, more = rotmat[:, :22], len(body.parents) - 22
    if more < 0:
        raise BadShape(f"body `{body.body_id}` has {len(body.parents)} joints, too few")
    rest = torch.eye(3).expand(len(rotmat), more, 3, 3)
    return _tensor(predicted.betas[rows]), torch.cat([rotmat, rest], 1)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _batches(count: int) -> Iterator[slice]:
    return (slice(start, start + _BATCH) for start in range(0, count, _BATCH))
