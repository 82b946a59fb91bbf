"""Our skinning against a slow plain twin, against smplx, and what must hold for any body."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.layer import SkinLayer, rotvec_to_rotmat
from extpose_blender.engine.body.load import Body, load_body
from extpose_blender.protocol.skeletons import SMPLH_52


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def _draw(count: int, seed: int = 0, angle: float = 0.8) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    betas = 2 * torch.randn(count, 10, generator=generator)
    poses = angle * torch.randn(count, 52, 3, generator=generator)
    transl = 3 * torch.randn(count, 3, generator=generator)
    return betas, poses, transl


def _skin_naive(
    layer: SkinLayer, betas: torch.Tensor, rotmat: torch.Tensor, transl: torch.Tensor
) -> tuple[np.ndarray, np.ndarray]:
    """One body, joint by joint and vertex by vertex, in float64."""
    rest = layer.rest_joints(betas)[0].double().numpy()
    surface = layer.rest_vertices(betas)[0].double().numpy()
    turns, places = [], []
    for joint, parent in enumerate(SMPLH_52.parents):
        local = rotmat[0, joint].double().numpy()
        if parent < 0:
            turns.append(local)
            places.append(rest[joint])
        else:
            turns.append(turns[parent] @ local)
            places.append(places[parent] + turns[parent] @ (rest[joint] - rest[parent]))
    weights = layer.weights.double().numpy()
    posed = np.zeros_like(surface)
    for joint in range(52):
        carried = (surface - rest[joint]) @ turns[joint].T + places[joint]
        posed += weights[:, joint : joint + 1] * carried
    return np.stack(places) + transl.numpy(), posed + transl.numpy()


def test_equals_the_slow_plain_twin(body: Body) -> None:
    for seed in range(3):
        betas, poses, transl = _draw(1, seed, angle=1.5)
        posed = body.pose(betas, poses, transl)
        joints, vertices = _skin_naive(body.layer, betas, rotvec_to_rotmat(poses), transl)
        np.testing.assert_allclose(posed.joints[0], joints, atol=3e-6)
        np.testing.assert_allclose(posed.points[0], vertices, atol=3e-6)


def test_rotations_agree_with_protocol() -> None:
    from extpose_blender.protocol.geometry import rotvec_to_rotmat as exact

    rng = np.random.default_rng(0)
    axis = rng.normal(size=(200, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angles = np.concatenate([[0, 1e-8, 1e-4, 9e-4, 1.1e-3, np.pi, 6.0], rng.uniform(0, 4, 193)])
    rotvec = axis * angles[:, None]
    for dtype, error in ((torch.float32, 2e-6), (torch.float64, 1e-9)):
        got = rotvec_to_rotmat(torch.tensor(rotvec, dtype=dtype))
        np.testing.assert_allclose(got.numpy(), exact(rotvec), atol=error)
    assert rotvec_to_rotmat(torch.zeros(2, 5, 3)).shape == (2, 5, 3, 3)


def test_gradients_are_exact_and_finite_at_rest(body: Body) -> None:
    layer = SkinLayer(
        body.v_template[::400], body.shapedirs[::400], np.eye(52, len(body.v_template[::400])),
        body.skin_weights[::400], body.parents.tolist(),
    ).double()  # fmt: skip
    betas, poses, transl = (x[:, :].double() for x in _draw(1, angle=0.4))
    poses[0, 5] = 0.0

    def points(betas: torch.Tensor, poses: torch.Tensor, transl: torch.Tensor) -> torch.Tensor:
        return layer(betas, rotvec_to_rotmat(poses), transl).points[:, ::7]

    for x in (betas, poses, transl):
        x.requires_grad_()
    assert torch.autograd.gradcheck(points, (betas, poses, transl), fast_mode=True)
    still = torch.zeros(1, 52, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(body.pose_joints(torch.zeros(1, 10), still).sum(), still)
    assert torch.isfinite(gradient).all()


def test_the_three_ways_agree(body: Body) -> None:
    betas, poses, transl = _draw(4)
    posed = body.pose(betas, poses, transl)
    ids = torch.tensor(list(body.landmarks.values()))
    some = body.pose_points(ids, betas, poses, transl)
    torch.testing.assert_close(body.pose_joints(betas, poses, transl), posed.joints)
    torch.testing.assert_close(some.points, posed.points[:, ids], atol=2e-6, rtol=0)
    torch.testing.assert_close(
        body.pose(betas, rotvec_to_rotmat(poses), transl).points, posed.points
    )


def test_one_shape_serves_a_batch(body: Body) -> None:
    betas, poses, transl = _draw(5)
    ids = torch.arange(0, 13000, 997)
    one = body.pose_points(ids, betas[:1], poses, transl)
    many = body.pose_points(ids, betas[:1].expand(5, -1), poses, transl)
    torch.testing.assert_close(one.points, many.points, atol=1e-6, rtol=0)
    torch.testing.assert_close(one.joints, many.joints, atol=1e-6, rtol=0)


def test_turning_the_root_turns_everything_about_it(body: Body) -> None:
    betas, poses, _ = _draw(2)
    turn = rotvec_to_rotmat(torch.tensor([0.4, -1.1, 0.7]))
    rotmat = rotvec_to_rotmat(poses)
    turned = rotmat.clone()
    turned[:, 0] = turn @ rotmat[:, 0]
    before, after = body.pose(betas, rotmat), body.pose(betas, turned)
    root = before.joints[:, :1]
    torch.testing.assert_close(after.joints[:, :1], root)
    for name in ("joints", "points"):
        expected = (getattr(before, name) - root) @ turn.T + root
        torch.testing.assert_close(getattr(after, name), expected, atol=5e-6, rtol=0)


def test_bones_keep_their_lengths(body: Body) -> None:
    betas, poses, transl = _draw(6, angle=2.0)
    joints = body.pose_joints(betas, poses, transl)
    rest = body.layer.rest_joints(betas)
    parents = body.parents[1:]
    lengths = (joints[:, 1:] - joints[:, parents]).norm(dim=-1)
    torch.testing.assert_close(
        lengths, (rest[:, 1:] - rest[:, parents]).norm(dim=-1), atol=2e-6, rtol=0
    )


def test_equals_smplx_on_the_open_body(body: Body) -> None:
    smplx = pytest.importorskip("smplx", reason="needs the extra `smpl`")
    from extpose_blender.protocol.resources import find_resource

    with np.load(find_resource("bodies/open/model.npz")) as archive:
        data = smplx.utils.Struct(**dict(archive))
    count = 5
    model = smplx.SMPLH(
        "", data_struct=data, vertex_ids=body.landmarks, use_pca=False, flat_hand_mean=True,
        num_betas=10, batch_size=count,
    )  # fmt: skip
    betas, poses, transl = _draw(count, seed=3)
    for x in (betas, poses, transl):
        x.requires_grad_()
    theirs = model(
        betas=betas, global_orient=poses[:, 0], body_pose=poses[:, 1:22].flatten(1),
        left_hand_pose=poses[:, 22:37].flatten(1), right_hand_pose=poses[:, 37:].flatten(1),
        transl=transl,
    )  # fmt: skip
    ours = body.pose(betas, poses, transl)
    torch.testing.assert_close(ours.joints, theirs.joints[:, :52], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.points, theirs.vertices, atol=1e-5, rtol=0)
    pull = torch.randn(theirs.vertices.shape, generator=torch.Generator().manual_seed(1))
    pull /= len(body.v_template)
    inputs = (betas, poses, transl)
    ours_gradient = torch.autograd.grad((ours.points * pull).sum(), inputs)
    their_gradient = torch.autograd.grad((theirs.vertices * pull).sum(), inputs)
    for a, b in zip(ours_gradient, their_gradient, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-3)
