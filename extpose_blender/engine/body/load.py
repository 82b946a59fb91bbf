"""Loads a body by name or file.

The open body is evaluated by our own layer and needs nothing else. Licensed bodies have pose
correctives and are evaluated by the package smplx, which is research-only and optional; their files
are read by us, because smplx would unpickle them.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...protocol.errors import BadBodyFile, BadShape
from ...protocol.resources import find_resource
from ...protocol.skeletons import MODEL_SKELETONS
from ..registry import missing_package
from ..weights import find_added
from .files import BodyFile, read_body_file

if TYPE_CHECKING:
    from torch import Tensor

    from .layer import Posed, SkinLayer

NUM_BETAS = 10
"""Shape numbers of every body here; smplx gives as many of files that hold fewer than 300."""


class Body:
    """A body model. Everything is in SMPL's rest frame (Y up, facing +Z, left at +X) and in metres.

    Args:
        file: The model's arrays.
        body_id: What motions made with it call it.
    """

    def __init__(self, file: BodyFile, body_id: str) -> None:
        arrays = file.arrays
        self.body_id = body_id
        """Which body."""
        self.sha256 = file.sha256
        """Hash of its file."""
        self.model_type = file.model_type
        """`smpl`, `smplh`, `smplx` or `mano`: what a motion calls `surface_model_type`."""
        self.joint_names = MODEL_SKELETONS[file.model_type].joint_names
        """(J,) names."""
        self.parents = np.array(MODEL_SKELETONS[file.model_type].parents, np.int32)
        """(J,) parent of each joint, -1 for the root."""
        self.faces = arrays["f"].astype(np.int32)
        """(F, 3) triangles."""
        self.v_template = arrays["v_template"].astype(np.float32)
        """(V, 3) mean surface."""
        self.shapedirs = arrays["shapedirs"][:, :, :NUM_BETAS].astype(np.float32)
        """(V, 3, 10) change with each shape number."""
        self.regressor = arrays["J_regressor"].astype(np.float32)
        """(J, V) joints as weighted means of vertices."""
        self.skin_weights = arrays["weights"].astype(np.float32)
        """(V, J) skinning weights, rows sum to 1."""
        self.landmarks = _landmarks(file)
        """Vertex of each named surface point, in smplx's names; empty for an unknown mesh."""

    @property
    def num_betas(self) -> int:
        """How many shape numbers it has."""
        return NUM_BETAS

    @property
    def side(self) -> str:
        """`left` or `right` for a hand, by where its fingers point at rest; empty for a body."""
        if self.model_type != "mano":
            return ""
        joints = self.joints_rest(np.zeros(NUM_BETAS, np.float32))
        return "left" if joints[1:, 0].mean() > joints[0, 0] else "right"

    def joints_rest(self, betas: np.ndarray) -> np.ndarray:
        """(J, 3) float32 rest joints at a shape (10,)."""
        template, directions = self._joint_shapes
        return (template + directions @ self._checked(betas)).astype(np.float32)

    def vertices_rest(self, betas: np.ndarray) -> np.ndarray:
        """(V, 3) float32 rest vertices at a shape (10,)."""
        return (self.v_template + self.shapedirs @ self._checked(betas)).astype(np.float32)

    @cached_property
    def layer(self) -> SkinLayer:
        """The skinning layer (torch). Its joints hold for every body; it has no correctives."""
        from .layer import SkinLayer

        return SkinLayer(
            self.v_template,
            self.shapedirs,
            self.regressor,
            self.skin_weights,
            self.parents.tolist(),
        )

    def pose_joints(self, betas: Tensor, poses: Tensor, transl: Tensor | None = None) -> Tensor:
        """Pose the joints alone, which costs little.

        Args:
            betas: (B, 10) or (1, 10).
            poses: (B, J, 3) rotation vectors or (B, J, 3, 3) matrices, each in its parent's frame.
            transl: (B, 3), smplx's `transl`, metres.

        Returns:
            (B, J, 3) metres, differentiable.
        """
        return self.layer.joints(betas, self._rotmat(poses), transl)

    def pose_points(
        self, vertex_ids: Tensor, betas: Tensor, poses: Tensor, transl: Tensor | None = None
    ) -> Posed:
        """Pose the joints and some vertices (K,); the other arguments as of `pose_joints`."""
        posed: Posed = self.layer(betas, self._rotmat(poses), transl, vertex_ids)
        return posed

    def pose(self, betas: Tensor, poses: Tensor, transl: Tensor | None = None) -> Posed:
        """Pose the joints and the whole surface; arguments as of `pose_joints`."""
        posed: Posed = self.layer(betas, self._rotmat(poses), transl)
        return posed

    @cached_property
    def _joint_shapes(self) -> tuple[np.ndarray, np.ndarray]:
        exact = self.regressor.astype(np.float64)
        return exact @ self.v_template, np.einsum("jv,vcn->jcn", exact, self.shapedirs)

    def _checked(self, betas: np.ndarray) -> np.ndarray:
        if np.shape(betas) != (NUM_BETAS,):
            raise BadShape(f"`betas` must be ({NUM_BETAS},), not {np.shape(betas)}")
        return np.asarray(betas, np.float32)

    def _rotmat(self, poses: Tensor) -> Tensor:
        from .layer import rotvec_to_rotmat

        joints = len(self.joint_names)
        if tuple(poses.shape[1:]) == (joints, 3, 3):
            return poses
        if tuple(poses.shape[1:]) == (joints, 3):
            return rotvec_to_rotmat(poses)
        raise BadShape(
            f"`poses` must be (B, {joints}, 3) or (B, {joints}, 3, 3), not {tuple(poses.shape)}"
        )


class SmplxBody(Body):
    """A licensed body; its surface is posed by the package smplx, with pose correctives."""

    def __init__(self, file: BodyFile, body_id: str) -> None:
        super().__init__(file, body_id)
        from .licensed import make_smplx_model

        self._model = make_smplx_model(file)

    def pose_points(
        self, vertex_ids: Tensor, betas: Tensor, poses: Tensor, transl: Tensor | None = None
    ) -> Posed:
        """Pose the joints and some vertices (K,); the other arguments as of `pose_joints`."""
        from .layer import Posed

        posed = self.pose(betas, poses, transl)
        return Posed(posed.joints, posed.points[:, vertex_ids])

    def pose(self, betas: Tensor, poses: Tensor, transl: Tensor | None = None) -> Posed:
        """Pose the joints and the whole surface; arguments as of `pose_joints`."""
        from .licensed import pose_smplx

        return pose_smplx(self._model, self.model_type, betas, self._rotmat(poses), transl)


def load_body(name_or_path: str | Path, model_type: str | None = None) -> Body:
    """Load a body.

    Args:
        name_or_path: `open`, the name of an added body, or a file: SMPL, SMPL-H, SMPL-X or MANO,
            .npz or .pkl.
        model_type: The kind that is wanted; any when left out.

    Raises:
        BadBodyFile: The file is missing, damaged, hostile, or of another kind.
        MissingModel: No body of that name was added.
        MissingPackage: It is a licensed body and the package smplx is not installed.
    """
    name = str(name_or_path)
    if name == "open":
        path = find_resource("bodies/open/model.npz")
        return Body(read_body_file(path, model_type, correctives=False), "open")
    path = Path(name_or_path).expanduser()
    if not path.exists():
        path = _added_body(name)
    file = read_body_file(path, model_type)
    try:
        import smplx  # noqa: F401
    except ModuleNotFoundError as error:
        raise missing_package("smplx", f"body `{path.name}`") from error
    return SmplxBody(file, path.stem)


def _added_body(name: str) -> Path:
    """File of a body that was added under this name."""
    looks_like_a_file = any(mark in name for mark in "/\\.")
    if looks_like_a_file:
        raise BadBodyFile(f"`{name}` does not exist", "Name `open` or a body file")
    return find_added("body", name)


def _landmarks(file: BodyFile) -> dict[str, int]:
    names, ids = file.arrays.get("vertex_names"), file.arrays.get("vertex_ids")
    if names is not None and ids is not None:
        return {str(name): int(i) for name, i in zip(names, ids, strict=True)}
    vertices = {"smpl": 6890, "smplh": 6890, "smplx": 10475, "mano": 778}[file.model_type]
    if len(file.arrays["v_template"]) != vertices:
        return {}
    try:
        from smplx.vertex_ids import vertex_ids
    except ModuleNotFoundError:
        return {}
    key = "smplh" if file.model_type == "smpl" else file.model_type
    known: dict[str, Any] = vertex_ids[key]
    return {str(name): int(i) for name, i in known.items()}
