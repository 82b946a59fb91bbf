"""The body-geometry file, `body_N.npz`: what Blender needs of a body and cannot compute itself.

The worker evaluates the body model at the solved shape; Blender skins the rest mesh with the motion.
Frame: SMPL's rest frame (Y up, facing +Z, the person's left at +X), metres.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from .arrays import check_finite, check_shape
from .errors import BadMotionFile, BadShape
from .files import read_npz, write_npz


@dataclass(frozen=True)
class BodyGeometry:
    """A body at rest, at one shape."""

    body_id: str
    """Which body."""
    surface_model_type: str
    """`smpl`, `smplh`, `smplx` or `mano`."""
    rest_vertices_m: np.ndarray
    """(V, 3) float32: surface at rest (T-pose), metres."""
    faces: np.ndarray
    """(F, 3) int32: triangles."""
    skin_joint: np.ndarray
    """(V, W) int16: joints that move each vertex."""
    skin_weight: np.ndarray
    """(V, W) float32: their weights, rows sum to 1; 0 fills short rows."""
    rest_joints_m: np.ndarray
    """(J, 3) float32: joints at rest, metres."""
    joint_names: tuple[str, ...]
    """(J,) names."""
    parents: np.ndarray
    """(J,) int32: parent of each joint, -1 for the root; a parent comes before its children."""

    def __post_init__(self) -> None:
        axes = {"J": len(self.joint_names)}
        check_shape("rest_vertices_m", self.rest_vertices_m, ("V", 3), axes)
        check_shape("faces", self.faces, ("F", 3), axes, kind="iu")
        check_shape("skin_joint", self.skin_joint, ("V", "W"), axes, kind="iu")
        check_shape("skin_weight", self.skin_weight, ("V", "W"), axes)
        check_shape("rest_joints_m", self.rest_joints_m, ("J", 3), axes)
        check_shape("parents", self.parents, ("J",), axes, kind="i")
        for name in ("rest_vertices_m", "skin_weight", "rest_joints_m"):
            check_finite(name, getattr(self, name))
        for name, top in (("faces", axes["V"]), ("skin_joint", axes["J"])):
            values = getattr(self, name)
            if values.size and not (values.min() >= 0 and values.max() < top):
                raise BadShape(f"`{name}` must hold numbers from 0 to {top - 1}")
        if not np.all(self.parents < np.arange(len(self.parents))) or np.any(self.parents[1:] < 0):
            raise BadShape("`parents` must be one tree with each parent before its children")

    def dense_weights(self) -> np.ndarray:
        """(V, J) float32 skinning weights."""
        dense = np.zeros((len(self.rest_vertices_m), len(self.joint_names)), np.float32)
        np.add.at(dense, (np.arange(len(dense))[:, None], self.skin_joint), self.skin_weight)
        return dense


def write_body_geometry(path: Path, body: BodyGeometry) -> None:
    """Write a body-geometry file, aside and renamed. Raises OutputNotWritable."""
    write_npz(path, {f.name: np.asarray(getattr(body, f.name)) for f in fields(body)})


def read_body_geometry(path: Path) -> BodyGeometry:
    """Read a body-geometry file.

    Raises:
        BadMotionFile: It is missing, damaged, or breaks the contract.
    """
    arrays = read_npz(path, BadMotionFile)
    missing = sorted({f.name for f in fields(BodyGeometry)} - arrays.keys())
    if missing:
        raise BadMotionFile(f"`{path}` lacks {', '.join(missing)}", "Capture the clip again")
    try:
        return BodyGeometry(
            body_id=str(arrays.pop("body_id")),
            surface_model_type=str(arrays.pop("surface_model_type")),
            joint_names=tuple(str(name) for name in arrays.pop("joint_names")),
            **{f.name: arrays[f.name] for f in fields(BodyGeometry) if f.name in arrays},
        )
    except (BadShape, TypeError, ValueError) as reason:
        raise BadMotionFile(f"`{path}`: {reason}", "Capture the clip again") from reason
