"""Training samples equal the public models', and their labels stay on what the image shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from extpose_blender.engine.lift.extpose.crop import CROP_SIZE
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.skeletons import SMPL_24
from models.train.extreme_crop import RULES, box_of_rule, choose_rule, extreme_crop
from models.train.sample import (
    BODY_RANGES,
    HAND_RANGES,
    Augmentation,
    Labels,
    draw_augmentation,
    make_sample,
)

Archive = np.lib.npyio.NpzFile


@pytest.fixture(scope="module")
def arrays(shared_fixture: Callable[[str], Archive]) -> Archive:
    return shared_fixture("crop.npz")


@pytest.mark.parametrize(
    ("group", "pose"), [("sample_body", "body_pose"), ("sample_lefthand", "hand_pose")]
)
def test_sample_is_the_reference_s(arrays: Archive, group: str, pose: str) -> None:
    def read(name: str) -> np.ndarray:
        return np.asarray(arrays[f"{group}/{name}"])

    rotvec = np.concatenate([read("in_global_orient"), read(f"in_{pose}")]).reshape(-1, 3)
    is_left_hand = group == "sample_lefthand"
    labels = Labels(
        read("in_kp2d"), read("in_kp3d"), rotvec, read("in_betas"), is_left_hand=is_left_hand
    )
    scale, turn, flip, *shift = read("aug_scale_rot_flip_tx_ty").tolist()
    red, green, blue = read("aug_color").tolist()
    x, y, side = read("center_size").tolist()
    augmentation = Augmentation(scale, turn, bool(flip), tuple(shift), (red, green, blue))
    image = np.ascontiguousarray(arrays["img0_bgr"][..., ::-1])

    got = make_sample(image, (x, y), side, labels, augmentation)

    shown = got.box.mirrored(image.shape[1]) if got.mirrored else got.box
    np.testing.assert_allclose(shown.affine(), read("out_trans"), atol=1e-9)
    np.testing.assert_allclose(got.image, read("out_img"), atol=1e-5)
    np.testing.assert_allclose(got.labels.keypoints_2d, read("out_kp2d"), atol=1e-4)
    np.testing.assert_allclose(got.labels.keypoints_3d, read("out_kp3d"), atol=1e-4)
    turned = np.concatenate([read("out_global_orient"), read(f"out_{pose}")]).reshape(-1, 3)
    np.testing.assert_allclose(got.labels.rotvec, turned, atol=1e-4)
    np.testing.assert_allclose(got.labels.betas, read("out_betas"), atol=1e-4)
    np.testing.assert_array_equal(labels.keypoints_2d, read("in_kp2d"))


def test_extreme_crops_are_the_reference_s(arrays: Archive) -> None:
    keypoints = arrays["extreme/in_kp2d"]
    names = {f"to_{rule}" if rule in ("hips", "shoulders", "head") else
             f"{rule.replace('_', '')}_only": rule for rule in RULES}  # fmt: skip
    tested = 0
    for name, rule in names.items():
        box = box_of_rule(keypoints, rule)
        assert box is not None
        np.testing.assert_allclose(np.ravel(box), arrays[f"extreme/crop_{name}"], atol=1e-4)
        tested += 1
    assert tested == sum(name.startswith("extreme/crop_") for name in arrays.files) == 9


def test_rule_follows_what_is_seen_and_what_is_drawn() -> None:
    full = np.ones((44, 3))
    draws = np.arange(10) / 10 + 0.05
    rules = [choose_rule(full, draw) for draw in draws]
    assert rules == [
        "hips", "hips", "shoulders", "head", "torso", "right_arm", "left_arm", "legs",
        "right_leg", "left_leg",
    ]  # fmt: skip
    upper = full.copy()
    upper[[10, 11, 13, 14, 25, 26, 29, 30], 2] = 0
    rules = [choose_rule(upper, draw) for draw in draws[::2]]
    assert rules == ["shoulders", "head", "torso", "right_arm", "left_arm"]
    one_knee = upper.copy()
    one_knee[26, 2] = 1
    assert choose_rule(one_knee, 0.5) is None
    openpose_only = full.copy()
    openpose_only[25:37, 2] = 0
    assert choose_rule(openpose_only, 0.0) == "hips"


def test_extreme_crop_without_a_rule_leaves_the_box() -> None:
    unseen = np.zeros((44, 3))
    assert extreme_crop(unseen, (5.0, 6.0), 70.0, 0.5) == ((5.0, 6.0), 70.0)
    in_one_place = np.ones((44, 3))
    assert extreme_crop(in_one_place, (5.0, 6.0), 70.0, 0.5) == ((5.0, 6.0), 70.0)
    spread = np.ones((44, 3))
    spread[:, 0] = np.arange(44) * 10
    center, side = extreme_crop(spread, (5.0, 6.0), 70.0, 0.55)
    assert side == pytest.approx(1.32 * (330 - 20))
    assert center == (175.0, 1.0)


def _labels(seed: int = 0) -> Labels:
    rng = np.random.default_rng(seed)
    flat = np.concatenate([rng.uniform(70, 250, (44, 2)), np.ones((44, 1))], 1)
    return Labels(
        flat.astype(np.float32),
        rng.normal(size=(44, 4)).astype(np.float32),
        rng.normal(size=(24, 3)).astype(np.float32),
        rng.normal(size=10).astype(np.float32),
    )


@pytest.mark.parametrize("flip", [False, True])
def test_labels_lie_on_what_the_image_shows(flip: bool) -> None:
    """A spot painted at a joint is found again where the label of that joint says."""
    labels = _labels()
    augmentation = Augmentation(1.2, 25.0, flip, (0.02, -0.01))
    for joint in (3, 27, 39):
        image = np.zeros((320, 330, 3), np.uint8)
        x, y = labels.keypoints_2d[joint, :2]
        cv2.circle(image, (round(8 * float(x)), round(8 * float(y))), 8 * 4, (255,) * 3, -1, 0, 3)
        got = make_sample(image, (160.0, 160.0), 300.0, labels, augmentation)
        bright = got.image[0] - got.image[0].min()
        rows, columns = np.nonzero(bright > 0.01)
        middle = np.average(np.stack([columns, rows], 1), axis=0, weights=bright[rows, columns])
        twin = SIDES_44[joint] if flip else joint
        place = (got.labels.keypoints_2d[twin, :2] + 0.5) * CROP_SIZE
        np.testing.assert_allclose(place, middle, atol=0.6)


SIDES_44 = {3: 6, 27: 28, 39: 39}
"""Right elbow, right hip and pelvis of the 44 joints, and their mirror images."""


def test_turning_the_picture_turns_joints_and_root_alike() -> None:
    """What is fixed to the root stays fixed to it."""
    labels = _labels(1)
    root = rotvec_to_rotmat(labels.rotvec[0].astype(float))
    got = make_sample(
        np.zeros((320, 330, 3), np.uint8), (160.0, 160.0), 300.0, labels, Augmentation(1, 40.0)
    ).labels
    turned = rotvec_to_rotmat(got.rotvec[0].astype(float))
    in_root = labels.keypoints_3d[:, :3] @ root
    np.testing.assert_allclose(got.keypoints_3d[:, :3] @ turned, in_root, atol=1e-5)
    np.testing.assert_array_equal(got.rotvec[1:], labels.rotvec[1:])


def test_flipping_twice_gives_the_labels_back() -> None:
    image, labels = np.zeros((320, 330, 3), np.uint8), _labels(2)
    once = make_sample(image, (160.0, 160.0), 300.0, labels, Augmentation(flip=True)).labels
    back = replace(once, keypoints_2d=labels.keypoints_2d)
    twice = make_sample(image, (160.0, 160.0), 300.0, back, Augmentation(flip=True)).labels
    np.testing.assert_allclose(twice.keypoints_3d, labels.keypoints_3d, atol=1e-6)
    np.testing.assert_allclose(
        rotvec_to_rotmat(twice.rotvec), rotvec_to_rotmat(labels.rotvec), atol=1e-5
    )


def test_pose_mirror_is_the_public_list(shared_path: Callable[[str], Path]) -> None:
    joints = json.loads(shared_path("fixtures/constants.json").read_text())["joints"]
    listed = np.array(joints["smpl_pose72_flip_perm_without_root_starting_at_3"]).reshape(-1, 3)
    np.testing.assert_array_equal(listed[:, 0] // 3, SMPL_24.mirror[1:])


def test_draws_are_those_of_the_configuration(shared_path: Callable[[str], Path]) -> None:
    constants = json.loads(shared_path("fixtures/constants.json").read_text())
    for ranges, name in ((BODY_RANGES, "body"), (HAND_RANGES, "hand")):
        listed = constants[f"augmentation_{name}"]
        assert ranges.scale == listed["SCALE_FACTOR"]
        assert ranges.rotation_deg == listed["ROT_FACTOR"]
        assert ranges.rotation_chance == listed["ROT_AUG_RATE"]
        assert ranges.shift == listed["TRANS_FACTOR"]
        assert ranges.color == listed["COLOR_SCALE"]
        assert ranges.flip_chance == listed["FLIP_AUG_RATE"]
        assert ranges.extreme_chance == listed["EXTREME_CROP_AUG_RATE"]


def test_draws_fill_their_ranges_and_repeat() -> None:
    drawn = [draw_augmentation(np.random.default_rng(i), BODY_RANGES) for i in range(3000)]
    again = [draw_augmentation(np.random.default_rng(i), BODY_RANGES) for i in range(5)]
    assert drawn[:5] == again
    scales = np.array([a.scale for a in drawn])
    assert (scales.min(), scales.max()) == pytest.approx((0.7, 1.3))
    turns = np.array([a.rotation_deg for a in drawn])
    assert np.abs(turns).max() == pytest.approx(60)
    assert np.mean(turns == 0) == pytest.approx(0.4, abs=0.04)
    assert np.mean([a.flip for a in drawn]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([a.extreme_draw is not None for a in drawn]) == pytest.approx(0.1, abs=0.03)
    shifts = np.array([a.shift_xy for a in drawn])
    assert np.abs(shifts).max() == pytest.approx(0.02)
    colors = np.array([a.color for a in drawn])
    assert 0.8 <= colors.min() < 0.81
    assert 1.19 < colors.max() <= 1.2
    hands = [draw_augmentation(np.random.default_rng(i), HAND_RANGES) for i in range(500)]
    assert not any(a.flip or a.extreme_draw is not None for a in hands)


def test_extreme_draw_reaches_the_crop() -> None:
    labels = _labels(3)
    image = np.zeros((320, 330, 3), np.uint8)
    got = make_sample(image, (160.0, 160.0), 300.0, labels, Augmentation(extreme_draw=0.55))
    wanted = box_of_rule(labels.keypoints_2d, "right_arm")
    assert wanted is not None
    assert got.box.center_xy_px == pytest.approx(wanted[0])
    assert got.box.side_px == pytest.approx(max(wanted[1]))


def test_wrong_labels_are_refused() -> None:
    with pytest.raises(BadShape, match="keypoints_2d"):
        replace(_labels(), keypoints_2d=np.zeros((21, 3)))
