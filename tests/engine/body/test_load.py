"""Bodies by name and by file, with and without the package smplx."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.geometry import body_geometry
from extpose_blender.engine.body.layer import rotvec_to_rotmat
from extpose_blender.engine.body.load import SmplxBody, load_body
from extpose_blender.protocol.errors import BadBodyFile, BadShape, MissingModel, MissingPackage
from extpose_blender.protocol.skeletons import MODEL_SKELETONS

from .conftest import make_body, shared_body

KINDS = ["smpl", "smplh", "smplx", "mano"]


def _smplx() -> Any:
    return pytest.importorskip("smplx", reason="needs the extra `smpl`")


def test_open_body_is_described() -> None:
    body = load_body("open")
    assert (body.body_id, body.model_type, body.num_betas) == ("open", "smplh", 10)
    assert body.joint_names == MODEL_SKELETONS["smplh"].joint_names
    assert len(body.sha256) == 64
    assert body.side == ""
    assert {"nose", "lear", "LHeel", "rpinky"} <= body.landmarks.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_rest_equals_posing_with_zeros(kind: str, tmp_path: Path) -> None:
    _smplx()
    np.savez(tmp_path / "body.npz", **make_body(kind))  # type: ignore[arg-type]
    body = load_body(tmp_path / "body.npz")
    assert isinstance(body, SmplxBody)
    assert (body.body_id, body.model_type) == ("body", kind)
    betas = np.linspace(-2, 2, 10).astype(np.float32)
    still = torch.zeros(1, len(body.joint_names), 3)
    posed = body.pose(torch.tensor(betas)[None], still)
    np.testing.assert_allclose(posed.joints[0], body.joints_rest(betas), atol=1e-6)
    np.testing.assert_allclose(posed.points[0], body.vertices_rest(betas), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_our_joints_equal_those_of_smplx(kind: str, tmp_path: Path) -> None:
    _smplx()
    np.savez(tmp_path / "body.npz", **make_body(kind))  # type: ignore[arg-type]
    body = load_body(tmp_path / "body.npz")
    generator = torch.Generator().manual_seed(0)
    betas, transl = torch.randn(3, 10, generator=generator), torch.randn(3, 3, generator=generator)
    poses = 0.9 * torch.randn(3, len(body.joint_names), 3, generator=generator)
    posed = body.pose(betas, poses, transl)
    torch.testing.assert_close(
        body.pose_joints(betas, poses, transl), posed.joints, atol=1e-5, rtol=0
    )
    ids = torch.tensor([3, 0, 9])
    torch.testing.assert_close(
        body.pose_points(ids, betas, poses, transl).points, posed.points[:, ids]
    )


@pytest.mark.parametrize("form", ["npz", "pkl"])
@pytest.mark.parametrize(("name", "joints"), [("smpl", 24), ("mano", 16)])
def test_agrees_with_public_layers(
    name: str,
    joints: int,
    form: str,
    shared_fixture: Callable[[str], Any],
    write_published: Callable[..., Path],
    tmp_path: Path,
) -> None:
    _smplx()
    fixture = shared_fixture(f"{name}_layer_synthetic.npz")
    arrays = shared_body(fixture)
    if form == "pkl":
        path = write_published(arrays)
    else:
        path = tmp_path / "model.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
    body = load_body(path)
    assert body.model_type == name
    rotmat = torch.tensor(np.concatenate([fixture["in/global_orient"], fixture["in/pose"]], 1))
    posed = body.pose(torch.tensor(fixture["in/betas"]), rotmat)
    np.testing.assert_allclose(posed.points, fixture["out/vertices"], atol=1e-5)
    mapped = fixture["cfg/joint_map"]
    ours = [row for row, joint in enumerate(mapped) if joint < joints]
    np.testing.assert_allclose(
        posed.joints[:, mapped[ours]], fixture["out/joints"][:, ours], atol=1e-5
    )


def test_a_hand_is_told_by_its_fingers(tmp_path: Path) -> None:
    _smplx()
    arrays = make_body("mano")
    for side, sign in (("left", 1.0), ("right", -1.0)):
        rest = np.zeros((70, 3), np.float32)
        rest[1:, 0] = sign
        arrays["v_template"] = rest
        arrays["J_regressor"] = np.eye(16, 70, dtype=np.float32)
        np.savez(tmp_path / "hand.npz", **arrays)  # type: ignore[arg-type]
        assert load_body(tmp_path / "hand.npz").side == side


def test_licensed_bodies_ask_for_smplx_and_the_open_body_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "body.npz", **make_body("smpl"))  # type: ignore[arg-type]
    real_import = builtins.__import__

    def without_smplx(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "smplx":
            raise ModuleNotFoundError("No module named 'smplx'", name="smplx")
        return real_import(name, *rest)

    monkeypatch.delitem(sys.modules, "smplx", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_smplx)
    with pytest.raises(MissingPackage, match="smplx") as caught:
        load_body(tmp_path / "body.npz")
    assert "[smpl]" in caught.value.hint
    posed = load_body("open").pose(torch.zeros(1, 10), torch.zeros(1, 52, 3))
    assert torch.isfinite(posed.points).all()


def test_names_that_are_nothing_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTPOSE_MODELS", str(tmp_path))
    with pytest.raises(MissingModel, match="`smpl`"):
        load_body("smpl")
    with pytest.raises(BadBodyFile, match="does not exist"):
        load_body(tmp_path / "absent.npz")


def test_wrong_shapes_are_named() -> None:
    body = load_body("open")
    with pytest.raises(BadShape, match=r"\(10,\), not \(16,\)"):
        body.joints_rest(np.zeros(16))
    with pytest.raises(BadShape, match=r"52, 3\).*\(1, 24, 3\)"):
        body.pose_joints(torch.zeros(1, 10), torch.zeros(1, 24, 3))


def test_geometry_for_blender_skins_like_the_body() -> None:
    body = load_body("open")
    betas = np.linspace(2, -2, 10).astype(np.float32)
    geometry = body_geometry(body, betas)
    np.testing.assert_allclose(geometry.skin_weight.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(geometry.dense_weights(), body.skin_weights, atol=1e-6)
    assert geometry.skin_joint.dtype == np.int16
    assert geometry.faces.dtype == np.int32
    poses = 0.5 * torch.randn(1, 52, 3, generator=torch.Generator().manual_seed(0))
    posed = body.pose(torch.tensor(betas)[None], poses)
    # Skin it again from nothing but the geometry.
    turns = [np.eye(3)] * 52
    places = [np.zeros(3)] * 52
    local = rotvec_to_rotmat(poses)[0].numpy()
    rest = geometry.rest_joints_m
    for joint, parent in enumerate(geometry.parents):
        turns[joint] = local[joint] if parent < 0 else turns[parent] @ local[joint]
        bone = rest[joint] - rest[parent]
        places[joint] = rest[joint] if parent < 0 else places[parent] + turns[parent] @ bone
    shifts = np.stack(places) - np.einsum("jab,jb->ja", np.stack(turns), rest)
    carried = np.einsum("jab,vb->vja", np.stack(turns), geometry.rest_vertices_m) + shifts
    skinned = np.einsum("vj,vja->va", geometry.dense_weights(), carried)
    np.testing.assert_allclose(skinned, posed.points[0], atol=1e-5)
