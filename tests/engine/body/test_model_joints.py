"""The base models' joints: on the public wrappers' arrays, and with every name in its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.load import Body, load_body
from extpose_blender.engine.body.model_joints import (
    BODY_44_MIRROR,
    BODY_44_NAMES,
    BODY_44_PELVIS,
    pose_model_joints,
)
from extpose_blender.protocol.errors import BadBodyFile, BadShape
from extpose_blender.protocol.skeletons import SMPL_24

from .conftest import shared_body
from .fixture_body import SELECTOR_NAMES, write_shared_body

Archive = np.lib.npyio.NpzFile


def _read(archive: Archive, name: str) -> torch.Tensor:
    return torch.tensor(archive[name])


def _rotmat(archive: Archive) -> torch.Tensor:
    return torch.cat([_read(archive, "in/global_orient"), _read(archive, "in/pose")], 1)


def test_body_equals_the_public_wrapper(
    shared_fixture: Callable[[str], Archive], tmp_path: Path
) -> None:
    pytest.importorskip("smplx")
    archive = shared_fixture("smpl_layer_synthetic.npz")
    named = dict(
        zip(
            archive["model/vertex_joint_names"],
            archive["model/vertex_joint_ids_by_name"],
            strict=True,
        )
    )
    in_order = archive["model/extra_joints_idxs_in_selector_order"]
    assert [named[name] for name in SELECTOR_NAMES] == in_order.tolist()
    body = load_body(write_shared_body(archive, tmp_path))
    got = pose_model_joints(
        body,
        _read(archive, "in/betas"),
        _rotmat(archive),
        _read(archive, "model/joint_regressor_extra"),
    )
    np.testing.assert_allclose(got.points, archive["out/vertices"], atol=1e-5)
    np.testing.assert_allclose(got.joints, archive["out/joints"], atol=1e-5)
    all_45 = [*SMPL_24.joint_names, *SELECTOR_NAMES]
    openpose = [all_45[joint] for joint in archive["cfg/joint_map"]]
    for name, source in zip(BODY_44_NAMES, openpose, strict=False):
        side = {"R": ("r", "R"), "L": ("l", "L")}.get(name[3], ("", ""))
        assert source.startswith(side), (name, source)


def test_hand_equals_the_public_wrapper(
    shared_fixture: Callable[[str], Archive], tmp_path: Path
) -> None:
    pytest.importorskip("smplx")
    archive = shared_fixture("mano_layer_synthetic.npz")
    body = load_body(write_shared_body(archive, tmp_path))
    tips = [body.landmarks[name] for name in ("thumb", "index", "middle", "ring", "pinky")]
    assert tips == archive["model/fingertip_vertex_ids"].tolist()
    got = pose_model_joints(body, _read(archive, "in/betas"), _rotmat(archive))
    np.testing.assert_allclose(got.points, archive["out/vertices"], atol=1e-5)
    np.testing.assert_allclose(got.joints, archive["out/joints"], atol=1e-5)
    sixteen = body.pose(_read(archive, "in/betas"), _rotmat(archive)).joints
    mapped = torch.cat([sixteen, got.points[:, tips]], 1)[:, archive["cfg/joint_map"]]
    np.testing.assert_array_equal(got.joints, mapped)


def test_names_and_mirror_are_the_public_lists(shared_path: Callable[[str], Path]) -> None:
    joints = json.loads(shared_path("fixtures/constants.json").read_text())["joints"]
    assert list(BODY_44_NAMES) == joints["body44_names"]
    assert list(BODY_44_MIRROR) == joints["flip_perm_body44"]
    assert BODY_44_PELVIS == 39


def test_mirror_images_are_each_other_s() -> None:
    assert [BODY_44_MIRROR[BODY_44_MIRROR[i]] for i in range(44)] == list(range(44))
    middle = [BODY_44_NAMES[i] for i in range(44) if BODY_44_MIRROR[i] == i]
    assert "OP Nose" in middle
    assert not any("Left" in name or "Right" in name for name in middle)


@pytest.fixture(scope="module")
def open_body() -> Body:
    return load_body("open")


def test_open_body_gives_the_44_joints_with_a_regressor(open_body: Body) -> None:
    """Its surface points carry the names; a regressor that picks vertices picks those vertices."""
    vertices = len(open_body.v_template)
    regressor = torch.zeros(19, vertices)
    picked = torch.arange(19) * 31
    regressor[torch.arange(19), picked] = 1
    rotmat = torch.eye(3).expand(1, 52, 3, 3)
    got = pose_model_joints(open_body, torch.zeros(1, 10), rotmat, regressor)
    assert got.joints.shape == (1, 44, 3)
    np.testing.assert_allclose(got.joints[0, 25:], got.points[0, picked], atol=1e-6)
    place = dict(zip(BODY_44_NAMES, got.joints[0], strict=True))
    assert place["OP LWrist"][0] > 0.3
    assert place["OP RWrist"][0] < -0.3
    assert place["OP Nose"][2] > place["OP LEar"][2] > place["OP REar"][2] - 0.02
    assert place["OP LBigToe"][2] > place["OP LHeel"][2]
    assert place["OP LEye"][0] > place["OP REye"][0]


def test_joints_are_differentiable_in_shape_and_pose(open_body: Body) -> None:
    regressor = torch.full((19, len(open_body.v_template)), 1 / len(open_body.v_template))
    betas = torch.zeros(1, 10, requires_grad=True)
    rotmat = torch.eye(3).repeat(1, 52, 1, 1).requires_grad_()
    pose_model_joints(open_body, betas, rotmat, regressor).joints.square().sum().backward()
    assert betas.grad is not None
    assert rotmat.grad is not None
    assert torch.isfinite(betas.grad).all()
    assert (rotmat.grad.abs().sum((2, 3)) > 0).all()


def test_what_does_not_fit_is_refused(open_body: Body) -> None:
    rotmat = torch.eye(3).expand(1, 52, 3, 3)
    for regressor in (None, torch.zeros(19, 10), torch.zeros(3, len(open_body.v_template))):
        with pytest.raises(BadShape, match="extra_regressor"):
            pose_model_joints(open_body, torch.zeros(1, 10), rotmat, regressor)


def test_a_body_without_named_points_is_refused(
    shared_fixture: Callable[[str], Archive], tmp_path: Path
) -> None:
    pytest.importorskip("smplx")
    path = tmp_path / "nameless.npz"
    np.savez(path, **shared_body(shared_fixture("smpl_layer_synthetic.npz")))
    with pytest.raises(BadBodyFile, match="`nose`"):
        pose_model_joints(
            load_body(path), torch.zeros(1, 10), torch.eye(3).expand(1, 24, 3, 3), None
        )
