"""The lifter `fit` when it begins at another lifter's result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.lift.fit import lifter as lifter_module
from extpose_blender.engine.lift.fit.chain import BODY_JOINTS, ROOT_SIZE, pose_names
from extpose_blender.engine.lift.fit.lifter import FitLifter
from extpose_blender.engine.lift.fit.prior import load_pose_prior
from extpose_blender.engine.lift.fit.rotation import rotmat_to_rotvec
from extpose_blender.engine.lift.fit.start import read_start, solver_angles
from extpose_blender.engine.lift.fit.windows import cut_windows
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.flow import LiftedTrack
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.skeletons import SMPL_24
from tests.engine.lift.synthetic import (
    CAMERA,
    Person,
    aligned_error_mm,
    joints_of,
    open_chain,
    reprojection_px,
    walking_person,
)


@pytest.fixture(scope="module")
def fit() -> FitLifter:
    return FitLifter(load_body("open"))


def result_near(person: Person, noise_rad: float = 0.0, seed: int = 0) -> LiftedTrack:
    """What a lifter would say that is right but for some noise in every joint."""
    generator = np.random.default_rng(seed)
    chain = open_chain(person.betas)
    count = len(person.pose)
    rotvec = np.zeros((count, 52, 3))
    rotvec[:, 0] = rotmat_to_rotvec(person.pose.root).numpy()
    rotvec[:, 1:BODY_JOINTS] = chain.rotvecs(person.pose.q).numpy()
    rotvec[:, :BODY_JOINTS] += noise_rad * generator.normal(size=(count, BODY_JOINTS, 3))
    transl = person.pose.pelvis.numpy() - chain.rest_joints[0].numpy()
    return LiftedTrack(
        0, "smplh", "open", rotvec.astype(np.float32), transl.astype(np.float32),
        person.betas.astype(np.float32), CAMERA, np.ones((count, 52), np.float32), 30.0,
    )  # fmt: skip


def garbage(start: LiftedTrack, rows: np.ndarray, seed: int = 0) -> LiftedTrack:
    """The result with any pose in some rows."""
    generator = np.random.default_rng(seed)
    rotvec = start.rotvec.copy()
    rotvec[rows] = generator.uniform(-2.0, 2.0, rotvec[rows].shape)
    transl = start.transl_m.copy()
    transl[rows] += generator.uniform(-2.0, 2.0, transl[rows].shape)
    return replace(start, rotvec=rotvec, transl_m=transl)


def error_mm(lifted: LiftedTrack, person: Person) -> float:
    return aligned_error_mm(joints_of(lifted), person.joints_m)


def without_hints(turn_deg: float = 60.0, rows: int = 60) -> Person:
    """COCO points alone leave it open what lies in front and what behind."""
    return walking_person(rows, turn_deg=turn_deg, pixel_noise=1.5, skeleton="coco17", hints=False)


@pytest.mark.parametrize("noise_rad", [0.0, 0.15])
@pytest.mark.parametrize("turn_deg", [60.0, 180.0])
def test_a_good_start_decides_what_one_view_leaves_open(
    fit: FitLifter, turn_deg: float, noise_rad: float
) -> None:
    person = without_hints(turn_deg)
    alone = error_mm(fit(person.track, CAMERA), person)
    begun = fit(person.track, CAMERA, start=result_near(person, noise_rad))
    assert error_mm(begun, person) < 0.7 * alone
    assert reprojection_px(begun, person.track) < 3.5


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 250.0])
def test_where_hints_help_a_good_start_helps_further(fit: FitLifter, turn_deg: float) -> None:
    person = walking_person(turn_deg=turn_deg, pixel_noise=1.5)
    alone = fit(person.track, CAMERA)
    start = result_near(person, 0.1)
    begun = fit(person.track, CAMERA, start=start)
    assert error_mm(begun, person) < 0.9 * error_mm(alone, person)
    assert error_mm(begun, person) < error_mm(start, person)
    assert reprojection_px(begun, person.track) < reprojection_px(alone, person.track) + 0.1


@pytest.mark.parametrize("hints", [True, False])
def test_a_start_of_garbage_does_no_harm(fit: FitLifter, hints: bool) -> None:
    person = walking_person(pixel_noise=1.5) if hints else without_hints()
    start = garbage(result_near(person), np.arange(len(person.track)))
    alone, begun = fit(person.track, CAMERA), fit(person.track, CAMERA, start=start)
    assert error_mm(begun, person) < error_mm(alone, person) + 2
    assert reprojection_px(begun, person.track) < reprojection_px(alone, person.track) + 0.2


def test_someone_else_as_a_start_does_no_harm(fit: FitLifter) -> None:
    person, other = without_hints(20.0), without_hints(200.0)
    alone = error_mm(fit(person.track, CAMERA), person)
    assert error_mm(fit(person.track, CAMERA, start=result_near(other)), person) < alone + 10


@pytest.mark.parametrize("every", [3, 10])
def test_rows_of_garbage_spoil_no_others(fit: FitLifter, every: int) -> None:
    person = without_hints()
    start = result_near(person, 0.1)
    clean = error_mm(fit(person.track, CAMERA, start=start), person)
    holed = fit(person.track, CAMERA, start=garbage(start, np.arange(0, 60, every)))
    assert error_mm(holed, person) < clean + 3


@pytest.mark.parametrize("noise_rad", [0.3, 0.5])
def test_a_poor_start_does_no_harm(fit: FitLifter, noise_rad: float) -> None:
    person = walking_person(turn_deg=40.0, pixel_noise=1.5)
    alone = error_mm(fit(person.track, CAMERA), person)
    begun = fit(person.track, CAMERA, start=result_near(person, noise_rad))
    assert error_mm(begun, person) < alone + 2


def test_rows_without_confidence_are_not_looked_at(fit: FitLifter) -> None:
    person = without_hints()
    start = result_near(person)
    confidence = start.confidence.copy()
    confidence[20:30] = 0.0
    holed = replace(start, confidence=confidence)
    wild = garbage(holed, np.arange(20, 30))
    one, other = fit(person.track, CAMERA, start=holed), fit(person.track, CAMERA, start=wild)
    for name in ("rotvec", "transl_m", "betas", "confidence"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_a_start_that_knows_no_row_is_none(fit: FitLifter) -> None:
    person = walking_person(rows=20)
    start = result_near(person)
    nothing = replace(start, confidence=np.zeros_like(start.confidence), body_id="another")
    alone, begun = fit(person.track, CAMERA), fit(person.track, CAMERA, start=nothing)
    assert np.linalg.norm(joints_of(alone) - joints_of(begun), axis=-1).max() < 0.01


def test_confidence_stays_that_of_every_joint(fit: FitLifter) -> None:
    person = walking_person(pixel_noise=1.5)
    begun = fit(person.track, CAMERA, start=result_near(person))
    alone = fit(person.track, CAMERA)
    assert np.ptp(begun.confidence[:, :22], axis=1).min() > 0
    assert np.abs(begun.confidence - alone.confidence).max() < 0.1


def test_long_clips_take_the_start_window_by_window(
    fit: FitLifter, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = without_hints(rows=100)
    whole = fit(person.track, CAMERA, start=result_near(person))
    monkeypatch.setattr(lifter_module, "cut_windows", lambda rows: cut_windows(rows, 60, 30))
    parts = fit(person.track, CAMERA, start=result_near(person))
    assert np.linalg.norm(joints_of(whole) - joints_of(parts), axis=-1).max() < 0.03


def test_a_start_of_another_length_is_refused(fit: FitLifter) -> None:
    with pytest.raises(BadShape, match="30 rows, its start 20"):
        fit(walking_person(rows=30).track, CAMERA, start=result_near(walking_person(rows=20)))


def test_solver_angles_keep_where_trunk_and_limbs_point() -> None:
    generator = np.random.default_rng(3)
    chain = open_chain(np.zeros(10))
    local = rotvec_to_rotmat(0.7 * generator.normal(size=(50, BODY_JOINTS - 1, 3)))
    root = torch.tensor(rotvec_to_rotmat(generator.normal(size=(50, 3))))
    free = chain.place(root, torch.zeros(50, 3, dtype=torch.float64), torch.tensor(local))
    q = torch.tensor(solver_angles(local))
    turns = chain.place(root, free.joints[:, 0], to_rotmat(chain.rotvecs(q))).turns
    lost = SMPL_24.indices(
        "spine1", "spine2", "neck", "left_collar", "right_collar", "left_foot", "right_foot"
    )
    kept = [joint for joint in range(BODY_JOINTS) if joint not in lost]
    assert torch.allclose(turns[:, kept], free.turns[:, kept], atol=1e-9)


def to_rotmat(rotvecs: torch.Tensor) -> torch.Tensor:
    """Matrices of rotation vectors by the other of our two ways."""
    return torch.tensor(rotvec_to_rotmat(rotvecs.numpy()))


def test_solver_angles_give_the_solvers_own_poses_back() -> None:
    generator = np.random.default_rng(4)
    chain = open_chain(np.zeros(10))
    q = torch.tensor(0.5 * generator.normal(size=(20, len(pose_names()))))
    local = to_rotmat(chain.rotvecs(q))
    assert np.allclose(solver_angles(local.numpy()), q.numpy(), atol=1e-9)


def test_another_focal_length_shows_the_same_side_of_the_body() -> None:
    start = replace(result_near(walking_person(rows=8)), transl_m=np.tile([1.5, 0.4, 3.0], (8, 1)))
    there = read_start(start, slice(0, 8), torch.zeros(1, dtype=torch.float64))
    assert torch.equal(there._turned_to(CAMERA.focal_px), there.root)
    turned = there._turned_to(500.0)
    ray = there.pelvis / there.pelvis[:, 2:]
    new_ray = ray * torch.tensor([2.0, 2.0, 1.0], dtype=torch.float64)
    seen_from = there.root.mT @ (ray / ray.norm(dim=-1, keepdim=True))[..., None]
    now_from = turned.mT @ (new_ray / new_ray.norm(dim=-1, keepdim=True))[..., None]
    assert torch.allclose(seen_from, now_from, atol=1e-9)


def test_the_priors_energy_falls_along_its_gradient() -> None:
    prior = load_pose_prior("cpu", torch.float64)
    q = torch.tensor(0.3 * np.random.default_rng(5).normal(size=(6, len(pose_names()))))
    gradient, _ = prior.quadratic(q)
    q.requires_grad_(True)
    slope = torch.autograd.grad(prior.energy(q).sum(), q)[0]
    assert torch.allclose(slope, gradient, atol=1e-8)
    assert gradient.shape[1] + ROOT_SIZE == len(prior.acceleration)


def test_its_own_result_is_a_start_that_changes_little(fit: FitLifter) -> None:
    person = walking_person(pixel_noise=1.5)
    once = fit(person.track, CAMERA)
    again = fit(person.track, CAMERA, start=once)
    assert np.linalg.norm(joints_of(once) - joints_of(again), axis=-1).max() < 0.02
    assert np.abs(once.betas - again.betas).max() < 0.3
