"""Limbs point where the source's point, hinges bend about their own axes, soles stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.errors import BadMotionFile
from extpose_blender.protocol.geometry import Z_UP_R_Y_UP, rotvec_to_rotmat
from extpose_blender.protocol.resources import find_resource
from extpose_blender.protocol.skeletons import SMPLH_52
from models.evaluate.posed_body import pose_joints
from models.mocap.__main__ import BODY, main, rest_joints_and_sole
from models.mocap.retarget import WRIST_LIMIT_DEG, RetargetedMotion, retarget
from models.mocap.sequence import Sequence, read_sequences
from models.mocap.skeleton_maps import MAPS

KEYS = {
    "cmu_bvh": "cmu_bvh/05_02",
    "cmu_amc": "cmu_amc/16_21",
    "cmu_exp": "cmu_exp/train_running_1",
    "deepmimic": "deepmimic/backflip",
    "m2m_base": "m2m_base/Fixing_Kneeling",
    "m2m_addon": "m2m_addon/Pushup",
}
SOURCE_LIMBS = {
    "cmu_bvh": ["lThigh", "lShin", "lFoot", "lShldr", "lForeArm", "lHand"],
    "cmu_amc": ["lfemur", "ltibia", "lfoot", "lhumerus", "lradius", "lwrist"],
    "cmu_exp": ["lupleg", "lleg", "lfoot", "larm", "lforearm", "lhand"],
    "deepmimic": [
        f"left_{part}" for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    ],
    "m2m_base": ["thigh.L", "shin.L", "foot.L", "upper_arm.L", "forearm.L", "hand.L"],
    "m2m_addon": ["thigh_l", "calf_l", "foot_l", "upperarm_l", "lowerarm_l", "hand_l"],
}
LIMBS = SMPLH_52.indices(
    "left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow", "left_wrist"
)


@pytest.fixture(scope="module")
def motion_folder(shared_path: Callable[[str], Path]) -> Path:
    return shared_path("motion/motion_30fps.zip").parent


@pytest.fixture(scope="module")
def body() -> tuple[np.ndarray, float]:
    return rest_joints_and_sole(find_resource(BODY))


def read(folder: Path, key: str) -> Sequence:
    (sequence,) = read_sequences(folder, {key})
    return sequence


def joints_of(motion: RetargetedMotion, rest: np.ndarray) -> np.ndarray:
    return pose_joints(rest, np.array(SMPLH_52.parents), motion.rotvec, motion.transl_m)[1]


def bones(limbs: np.ndarray) -> np.ndarray:
    """(T, 4, 3) unit directions of thigh, shin, upper arm and forearm."""
    steps = (limbs[:, 1:] - limbs[:, :-1])[:, [0, 1, 3, 4]]
    return np.asarray(steps / np.linalg.norm(steps, axis=-1, keepdims=True))


@pytest.mark.parametrize("group", KEYS)
def test_limbs_point_where_the_source_points(
    group: str, motion_folder: Path, body: tuple[np.ndarray, float]
) -> None:
    sequence = read(motion_folder, KEYS[group])
    joints = joints_of(retarget(sequence, *body), body[0])[:, LIMBS] @ Z_UP_R_Y_UP
    source = sequence.positions_m[:, [sequence.index[name] for name in SOURCE_LIMBS[group]]]
    cosine = (bones(joints) * bones(source)).sum(axis=-1)
    assert np.rad2deg(np.arccos(np.clip(cosine, -1, 1))).max() < 0.5


@pytest.mark.parametrize("group", KEYS)
def test_elbows_and_knees_bend_about_their_hinges(
    group: str, motion_folder: Path, body: tuple[np.ndarray, float]
) -> None:
    motion = retarget(read(motion_folder, KEYS[group]), *body)
    hinges = {
        "left_knee": (0, 1),
        "right_knee": (0, 1),
        "left_elbow": (1, -1),
        "right_elbow": (1, 1),
    }
    for name, (axis, sign) in hinges.items():
        turn = motion.rotvec[:, SMPLH_52.index[name]]
        bent = turn[np.linalg.norm(turn, axis=1) > 0.6]
        if len(bent) > 5:
            share = sign * bent[:, axis] / np.linalg.norm(bent, axis=1)
            assert np.median(share) > 0.6, name


def test_turning_the_source_turns_the_root_alone(
    motion_folder: Path, body: tuple[np.ndarray, float]
) -> None:
    sequence = read(motion_folder, KEYS["cmu_bvh"])
    yaw = rotvec_to_rotmat(np.array([0.0, 1.1, 0.0]))
    local = sequence.local_rotmat.copy()
    local[:, 0] = yaw @ local[:, 0]
    turned = replace(sequence, local_rotmat=local, root_pos_m=sequence.root_pos_m @ yaw.T)
    first, second = retarget(sequence, *body), retarget(turned, *body)
    assert second.rotvec[:, 1:] == pytest.approx(first.rotvec[:, 1:], abs=1e-5)
    up = rotvec_to_rotmat(np.array([0.0, 0.0, 1.1]))
    joints = joints_of(first, body[0]) @ up.T
    assert joints_of(second, body[0]) == pytest.approx(joints, abs=1e-4)


@pytest.mark.parametrize("key", ["cmu_amc/16_21", "cmu_bvh/05_02", "deepmimic/walk"])
def test_soles_stand_on_the_ground(
    key: str, motion_folder: Path, body: tuple[np.ndarray, float]
) -> None:
    rest, sole = body
    joints = joints_of(retarget(read(motion_folder, key), rest, sole), rest)
    feet = SMPLH_52.indices("left_foot", "right_foot")
    lowest = (joints[:, feet, 2] - (rest[feet, 1] - sole)).min(axis=1)
    assert abs(np.percentile(lowest, 10)) < 0.03


def test_wrists_stay_within_their_cap(motion_folder: Path, body: tuple[np.ndarray, float]) -> None:
    motion = retarget(read(motion_folder, "cmu_amc/39_02"), *body)
    wrists = motion.rotvec[:, SMPLH_52.indices("left_wrist", "right_wrist")]
    assert np.rad2deg(np.linalg.norm(wrists, axis=-1)).max() <= sum(WRIST_LIMIT_DEG)


def test_flips_of_the_capture_are_marked(
    motion_folder: Path, body: tuple[np.ndarray, float]
) -> None:
    assert retarget(read(motion_folder, "cmu_bvh/13_18"), *body).steady.all()
    assert not retarget(read(motion_folder, "cmu_bvh/05_18"), *body).steady.all()


def test_every_group_of_the_archive_has_a_map(motion_folder: Path) -> None:
    assert {sequence.group for sequence in read_sequences(motion_folder)} == MAPS.keys()


def test_the_command_writes_motions_that_amass_readers_know(
    motion_folder: Path, tmp_path: Path
) -> None:
    assert main([str(motion_folder), "--out", str(tmp_path), "--only", "deepmimic/walk"]) == 0
    with np.load(tmp_path / "deepmimic/walk.npz", allow_pickle=False) as data:
        assert data["poses"].shape == (38, 156)
        assert data["trans"].shape == (38, 3)
        assert data["mocap_framerate"] == 30


def test_a_missing_archive_or_key_is_said(tmp_path: Path, motion_folder: Path) -> None:
    with pytest.raises(BadMotionFile, match="motion_30fps"):
        list(read_sequences(tmp_path))
    with pytest.raises(BadMotionFile, match="no/such"):
        list(read_sequences(motion_folder, {"no/such"}))
