"""Licensed bodies through the package smplx, from arrays that we have read ourselves."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .files import BodyFile
from .layer import Posed

_HAND = 15
_BODY = 21


def make_smplx_model(file: BodyFile) -> torch.nn.Module:
    """The smplx layer of a body file, on rotation matrices, without its extra surface joints."""
    import smplx

    classes = {
        "smpl": smplx.SMPLLayer,
        "smplh": smplx.SMPLHLayer,
        "smplx": smplx.SMPLXLayer,
        "mano": smplx.MANOLayer,
    }
    options = {"use_pca": False, "flat_hand_mean": True, "num_betas": 10, "ext": "npz"}
    arrays = _completed(file)
    model: Any
    with contextlib.redirect_stdout(io.StringIO()):  # It prints that 10 shape numbers are few.
        if file.model_type == "smplx":
            model = _from_own_copy(classes["smplx"], arrays, options)
        else:
            data = smplx.utils.Struct(**arrays)
            model = classes[file.model_type]("", data_struct=data, **options)
    # It adds vertices of the published meshes to the joints; ours may be another mesh.
    model.vertex_joint_selector.extra_joints_idxs = torch.zeros(0, dtype=torch.long)
    layer: torch.nn.Module = model.requires_grad_(False)
    return layer


def pose_smplx(
    model: torch.nn.Module, model_type: str, betas: Tensor, rotmat: Tensor, transl: Tensor | None
) -> Posed:
    """Pose an smplx layer.

    Args:
        model: From `make_smplx_model`.
        model_type: `smpl`, `smplh`, `smplx` or `mano`.
        betas: (B, 10) or (1, 10).
        rotmat: (B, J, 3, 3).
        transl: (B, 3), metres.
    """
    count, joints = rotmat.shape[:2]
    parts = _parts(model_type, rotmat)
    out: Any = model(
        betas=betas.expand(count, -1),
        global_orient=rotmat[:, :1],
        transl=transl if transl is not None else rotmat.new_zeros(count, 3),
        pose2rot=False,
        **parts,
    )
    return Posed(out.joints[:, :joints], out.vertices)


def _from_own_copy(
    layer: Any, arrays: dict[str, np.ndarray], options: dict[str, Any]
) -> torch.nn.Module:
    """SMPL-X's class takes no arrays, only a path: it is given a file with what we checked."""
    with tempfile.TemporaryDirectory(prefix="extpose-") as folder:
        path = Path(folder) / "checked.npz"
        np.savez(path, **arrays)
        model: torch.nn.Module = layer(str(path), **options)
        return model


def _parts(model_type: str, rotmat: Tensor) -> dict[str, Tensor]:
    if model_type == "smpl":
        return {"body_pose": rotmat[:, 1:]}
    if model_type == "mano":
        return {"hand_pose": rotmat[:, 1:]}
    parts = {"body_pose": rotmat[:, 1 : 1 + _BODY]}
    if model_type == "smplx":
        face = rotmat[:, 1 + _BODY : 4 + _BODY].split(1, 1)
        parts |= dict(zip(("jaw_pose", "leye_pose", "reye_pose"), face, strict=True))
    parts["left_hand_pose"] = rotmat[:, -2 * _HAND : -_HAND]
    parts["right_hand_pose"] = rotmat[:, -_HAND:]
    return parts


def _completed(file: BodyFile) -> dict[str, np.ndarray]:
    """The arrays with the hand and face entries that smplx reads even where they are not used."""
    flat, components = np.zeros(3 * _HAND, np.float32), np.eye(3 * _HAND, dtype=np.float32)
    needed: dict[str, np.ndarray] = {
        "hands_componentsl": components,
        "hands_componentsr": components,
        "hands_components": components,
        "hands_meanl": flat,
        "hands_meanr": flat,
        "hands_mean": flat,
        "lmk_faces_idx": np.zeros(51, np.int64),
        "lmk_bary_coords": np.full((51, 3), 1 / 3, np.float32),
    }
    arrays = needed | file.arrays
    arrays["kintree_table"] = arrays["kintree_table"].astype(np.int64)
    return arrays
