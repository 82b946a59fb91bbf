"""Rotations and axes: round trips, closed forms, and scipy as the second method."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from extpose_blender.protocol import geometry


@pytest.fixture(params=[(), (5,), (2, 3)], ids=str)
def turns(request: pytest.FixtureRequest) -> Rotation:
    count = int(np.prod(request.param, dtype=int))
    return Rotation.random(max(count, 1), random_state=3)


def test_agrees_with_scipy(turns: Rotation) -> None:
    rotvec = turns.as_rotvec()
    assert geometry.rotvec_to_rotmat(rotvec) == pytest.approx(turns.as_matrix(), abs=1e-12)
    assert geometry.rotmat_to_rotvec(turns.as_matrix()) == pytest.approx(rotvec, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-6, 1.0, np.pi - 1e-4, np.pi])
def test_rotation_round_trip(angle: float, dtype: type) -> None:
    axes = np.random.default_rng(0).normal(size=(50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    rotmat = geometry.rotvec_to_rotmat((angle * axes).astype(dtype))
    again = geometry.rotvec_to_rotmat(geometry.rotmat_to_rotvec(rotmat))
    assert again == pytest.approx(rotmat, abs=1e-6 if dtype is np.float64 else 5e-4)
    assert np.swapaxes(rotmat, 1, 2) @ rotmat == pytest.approx(
        np.eye(3)[None].repeat(50, 0), abs=1e-5
    )


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_every_batch_shape_works(shape: tuple[int, ...]) -> None:
    quat = geometry.rotvec_to_quat(np.random.default_rng(1).normal(size=(*shape, 3)))
    assert geometry.quat_to_rotmat(quat).shape == (*shape, 3, 3)
    assert geometry.rotmat_to_quat(geometry.quat_to_rotmat(quat)).shape == quat.shape


def test_q_and_minus_q_are_the_same_rotation() -> None:
    quat = geometry.rotvec_to_quat(np.random.default_rng(2).normal(size=(20, 3)))
    assert geometry.quat_to_rotmat(-quat) == pytest.approx(geometry.quat_to_rotmat(quat))
    assert geometry.quat_to_rotvec(-quat) == pytest.approx(geometry.quat_to_rotvec(quat))


def test_product_is_the_rotation_after_the_other() -> None:
    a, b = Rotation.random(10, random_state=0), Rotation.random(10, random_state=1)
    wxyz = [np.roll(r.as_quat(), 1, axis=-1) for r in (a, b)]
    product = geometry.quat_to_rotmat(geometry.quat_multiply(*wxyz))
    assert product == pytest.approx((a * b).as_matrix(), abs=1e-12)


def test_continuous_quaternions_turn_the_same_and_never_jump() -> None:
    rng = np.random.default_rng(4)
    path = np.cumsum(rng.normal(scale=0.2, size=(200, 3, 3)), axis=0)
    quat = geometry.rotvec_to_quat(path) * rng.choice([-1, 1], size=(200, 3, 1))
    smooth = geometry.continuous_quats(quat)
    assert geometry.quat_to_rotmat(smooth) == pytest.approx(geometry.quat_to_rotmat(quat))
    assert (np.einsum("tjc,tjc->tj", smooth[1:], smooth[:-1]) > 0).all()
    assert geometry.continuous_quats(quat[:1]) == pytest.approx(quat[:1])


def test_axes_are_proper_rotations_and_say_what_they_claim() -> None:
    for turn in (geometry.Z_UP_R_Y_UP, geometry.BLENDER_CAMERA_R_OPENCV_CAMERA):
        assert turn @ turn.T == pytest.approx(np.eye(3))
        assert np.linalg.det(turn) == pytest.approx(1)
    assert pytest.approx([0, 0, 1]) == geometry.Z_UP_R_Y_UP @ [0, 1, 0]
    assert pytest.approx([0, -1, 0]) == geometry.Z_UP_R_Y_UP @ [0, 0, 1]


def test_a_point_on_the_axis_lands_in_the_middle_and_one_behind_nowhere() -> None:
    K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    points = np.array([[[0.0, 0, 2], [1, 0.5, 2], [0, 0, -2]]])
    pixels = geometry.project_points(points, np.eye(4)[None], K)
    assert pixels[0, 0] == pytest.approx([320, 240])
    assert pixels[0, 1] == pytest.approx([570, 365])
    assert np.isnan(pixels[0, 2]).all()


def test_moving_a_body_between_frames_moves_every_joint_alike() -> None:
    rng = np.random.default_rng(5)
    rest = rng.normal(size=(6, 3))
    rotvec, transl = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    b_T_a = np.eye(4)
    b_T_a[:3, :3] = geometry.rotvec_to_rotmat(rng.normal(size=3))
    b_T_a[:3, 3] = rng.normal(size=3)

    def posed(rotvec: np.ndarray, transl: np.ndarray) -> np.ndarray:
        turned = (rest - rest[0]) @ np.swapaxes(geometry.rotvec_to_rotmat(rotvec), 1, 2)
        return turned + rest[0] + transl[:, None]

    moved = posed(*geometry.transform_root(rotvec, transl, rest[0], b_T_a))
    assert moved == pytest.approx(posed(rotvec, transl) @ b_T_a[:3, :3].T + b_T_a[:3, 3])
