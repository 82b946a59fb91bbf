"""A leg follows its ankle, keeps its bones, and stays calm where it is straight."""

from __future__ import annotations

import numpy as np
import pytest

from extpose_blender.engine.refine.figure import Figure, Posed, pose_figure
from extpose_blender.engine.refine.leg_ik import Leg, reach_ankle, shortest_turn
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.skeletons import SMPLH_52

LEG = Leg(1, 4, 7)


@pytest.fixture
def figure() -> Figure:
    rest = np.random.default_rng(0).normal(scale=0.02, size=(52, 3))
    rest[0] = [0.0, 0.9, 0.0]
    for joint, y in ((1, 0.85), (4, 0.47), (7, 0.07), (10, 0.02)):
        rest[joint] = [0.09, y, 0.1 if joint == 10 else 0.0]
    none = np.zeros(0, int)
    return Figure(SMPLH_52, rest, np.zeros((0, 3)), none, np.zeros((0, 3)), none, 1.7)


def _posed(figure: Figure, bend_rad: np.ndarray) -> tuple[np.ndarray, Posed]:
    rotvec = np.zeros((len(bend_rad), 52, 3))
    rotvec[:, 0] = [0.2, 0.7, -0.1]
    rotvec[:, 1] = [-0.4, 0.1, 0.05]
    rotvec[:, 4, 0] = bend_rad
    rotmat = rotvec_to_rotmat(rotvec)
    return rotmat, pose_figure(figure, rotmat, np.zeros((len(bend_rad), 3)))


def _moved(figure: Figure, bend_rad: np.ndarray, shift_m: np.ndarray) -> tuple[Posed, Posed]:
    """The leg before and after its ankle was asked to move by a shift."""
    rotmat, posed = _posed(figure, bend_rad)
    target = posed.joints_m[:, LEG.ankle] + shift_m
    result = rotmat.copy()
    result[:, 1], result[:, 4], result[:, 7] = reach_ankle(
        posed, LEG, target, posed.rotmat[:, LEG.ankle]
    )
    return posed, pose_figure(figure, result, np.zeros((len(bend_rad), 3)))


def test_an_ankle_that_is_where_it_should_be_leaves_the_leg_alone(figure: Figure) -> None:
    before, after = _moved(figure, np.linspace(0.0, 2.0, 9), np.zeros(3))
    np.testing.assert_allclose(after.joints_m, before.joints_m, atol=1e-6)
    np.testing.assert_allclose(after.rotmat, before.rotmat, atol=1e-5)


def test_a_bent_leg_reaches_exactly_and_the_foot_keeps_its_turn(figure: Figure) -> None:
    shifts = np.random.default_rng(1).uniform(-0.05, 0.05, size=(50, 3))
    before, after = _moved(figure, np.linspace(0.9, 2.0, 50), shifts)
    wanted = before.joints_m[:, LEG.ankle] + shifts
    np.testing.assert_allclose(after.joints_m[:, LEG.ankle], wanted, atol=1e-6)
    np.testing.assert_allclose(after.rotmat[:, LEG.ankle], before.rotmat[:, LEG.ankle], atol=1e-9)
    np.testing.assert_allclose(after.joints_m[:, 0], before.joints_m[:, 0])


def test_the_knee_of_a_straight_leg_answers_in_measure(figure: Figure) -> None:
    """Exact inverse kinematics would bend a straight knee by 18 degrees for a centimetre."""
    _, posed = _posed(figure, np.zeros(1))
    along = posed.joints_m[0, LEG.hip] - posed.joints_m[0, LEG.ankle]
    along /= np.linalg.norm(along)
    for missing in (0.002, 0.005, 0.01):
        _, after = _moved(figure, np.zeros(1), missing * along)
        thigh, shin = np.diff(after.joints_m[0, [LEG.hip, LEG.knee, LEG.ankle]], axis=0)
        bend = np.arccos(thigh @ shin / np.linalg.norm(thigh) / np.linalg.norm(shin))
        assert np.degrees(bend) < 1200 * missing
        assert np.linalg.norm(after.joints_m[0, 7] - posed.joints_m[0, 7]) <= missing + 1e-9


def test_an_ankle_out_of_reach_stretches_the_leg_and_never_bends_it_backwards(
    figure: Figure,
) -> None:
    _, after = _moved(figure, np.array([0.0, 0.3, 0.8]), np.array([0.0, 0.0, -0.4]))
    bones = np.linalg.norm(np.diff(after.joints_m[:, [1, 4, 7]], axis=1), axis=-1)
    np.testing.assert_allclose(bones, [[0.38, 0.40]] * 3, atol=1e-9)
    local = np.swapaxes(after.rotmat[:, LEG.hip], -1, -2) @ after.rotmat[:, LEG.knee]
    assert (local[:, 2, 1] > -1e-6).all()  # the sine of the bend about +X


def test_shortest_turn_turns_one_direction_into_the_other() -> None:
    rng = np.random.default_rng(2)
    start, end = rng.normal(size=(20, 3)), rng.normal(size=(20, 3))
    turned = np.einsum("tij,tj->ti", shortest_turn(start, end), start)
    cosine = np.sum(turned * end, 1) / np.linalg.norm(turned, axis=1) / np.linalg.norm(end, axis=1)
    np.testing.assert_allclose(cosine, 1.0, atol=1e-12)
