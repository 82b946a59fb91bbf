"""The chain agrees with the body it stands for, and its Jacobian with its motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.lift.fit.banded import solve_banded
from extpose_blender.engine.lift.fit.chain import Pose, pose_map, pose_mirror, pose_names
from extpose_blender.engine.lift.fit.rotation import (
    left_jacobian,
    rotmat_to_rotvec,
    rotvec_to_rotmat,
)
from tests.engine.lift.synthetic import open_chain


def some_pose(rows: int = 6) -> Pose:
    generator = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Pose(
        rotvec_to_rotmat(normal(rows, 3)), normal(rows, 3), 0.4 * normal(rows, len(pose_names()))
    )


def test_joints_are_those_of_the_body() -> None:
    body, pose = load_body("open"), some_pose()
    betas = np.linspace(-1, 1, 10).astype(np.float32)
    chain = open_chain(betas)
    rotvec = torch.zeros(len(pose), 52, 3, dtype=torch.float64)
    rotvec[:, 0], rotvec[:, 1:22] = rotmat_to_rotvec(pose.root), chain.rotvecs(pose.q)
    transl = pose.pelvis - chain.rest_joints[0]
    wanted = body.pose_joints(torch.tensor(betas)[None], rotvec.float(), transl.float())[:, :22]
    assert torch.allclose(chain.pose(pose).joints.float(), wanted, atol=1e-5)


def test_jacobian_is_the_slope_of_the_landmarks() -> None:
    pose, chain = some_pose(), open_chain(np.zeros(10))
    generator = torch.Generator().manual_seed(0)
    step = torch.randn(len(pose), 6 + pose.q.shape[1], generator=generator, dtype=torch.float64)
    small = 1e-6
    ahead, behind = (chain.pose(pose.moved(sign * small * step)).points for sign in (1, -1))
    slope = (chain.jacobian(pose, chain.pose(pose)) @ step[:, None, :, None]).squeeze(-1)
    assert torch.allclose((ahead - behind) / (2 * small), slope, atol=1e-7)


@pytest.mark.parametrize("length", [0.0, 1e-6, 1e-3, 0.5, 3.0])
def test_left_jacobian_near_zero_and_far(length: float) -> None:
    vector = length * torch.tensor([[0.6, -0.48, 0.64]], dtype=torch.float64)
    small = 1e-6 * torch.tensor([[0.3, 0.5, -0.7]], dtype=torch.float64)
    turned = rotvec_to_rotmat(vector + small) @ rotvec_to_rotmat(vector).transpose(-1, -2)
    wanted = rotvec_to_rotmat((left_jacobian(vector) @ small[..., None]).squeeze(-1))
    assert torch.allclose(turned, wanted, atol=1e-11)


def test_mirror_is_its_own_inverse_and_keeps_the_body() -> None:
    source, sign = pose_mirror()
    assert (source[source] == np.arange(len(source))).all()
    assert (sign[source] == sign).all()
    pose, chain = some_pose(), open_chain(np.zeros(10))
    flip = torch.diag(torch.tensor([-1.0, 1, 1], dtype=torch.float64))
    mirrored = Pose(
        flip @ pose.root @ flip, pose.pelvis @ flip, pose.q[:, source] * torch.tensor(sign)
    )
    # The open body is symmetric to a tenth of a millimetre.
    names = [
        n.replace("left", "\0").replace("right", "left").replace("\0", "right") for n in JOINTS
    ]
    order = [JOINTS.index(name) for name in names]
    assert torch.allclose(
        chain.pose(mirrored).joints, (chain.pose(pose).joints @ flip)[:, order], atol=1e-3
    )


JOINTS = list(load_body("open").joint_names[:22])


def test_every_angle_turns_something() -> None:
    matrix = pose_map()
    assert np.linalg.matrix_rank(matrix) == len(pose_names())
    assert (np.abs(matrix).sum(0) > 0).all()


@pytest.mark.parametrize("rows", [1, 2, 3, 12])
def test_banded_solution_is_the_dense_one(rows: int) -> None:
    generator = np.random.default_rng(rows)
    size = 5
    root = generator.normal(size=(rows, size, size))
    blocks = root @ root.transpose(0, 2, 1) + 10 * np.eye(size)
    one, two = (
        generator.normal(size=(rows - 1, size)),
        generator.normal(size=(max(rows - 2, 0), size)),
    )
    dense = np.zeros((rows * size, rows * size))
    for t in range(rows):
        dense[t * size : (t + 1) * size, t * size : (t + 1) * size] = blocks[t]
    for ties, shift in ((one, 1), (two, 2)):
        for t, tie in enumerate(ties):
            here, there = (
                slice(t * size, (t + 1) * size),
                slice((t + shift) * size, (t + shift + 1) * size),
            )
            dense[there, here], dense[here, there] = np.diag(tie), np.diag(tie)
    right = generator.normal(size=(rows, size))
    found = solve_banded(*(torch.tensor(a) for a in (blocks, one, two, right)))
    assert np.allclose(found.numpy().reshape(-1), np.linalg.solve(dense, right.reshape(-1)))
