"""Lists agree with their sources and with each other."""

from __future__ import annotations

import pytest

from extpose_blender.protocol import skeletons
from extpose_blender.protocol.skeletons import Skeleton

ALL = [
    skeletons.COCO_17, skeletons.MEDIAPIPE_33, skeletons.SMPL_24, skeletons.SMPLH_52,
    skeletons.SMPLX_55, skeletons.MANO_16, skeletons.HAND_21,
]  # fmt: skip


@pytest.mark.parametrize("skeleton", ALL, ids=lambda s: s.name)
def test_skeleton_is_sound(skeleton: Skeleton) -> None:
    assert len(set(skeleton.joint_names)) == len(skeleton)
    assert [skeleton.mirror[skeleton.mirror[i]] for i in range(len(skeleton))] == list(
        range(len(skeleton))
    )
    if skeleton.parents is not None:
        assert skeleton.parents[0] == -1
        assert all(0 <= parent < i for i, parent in enumerate(skeleton.parents) if i)
        for i, parent in enumerate(skeleton.parents):
            if parent >= 0:
                assert skeleton.parents[skeleton.mirror[i]] == skeleton.mirror[parent]


@pytest.mark.parametrize("skeleton", ALL[:5], ids=lambda s: s.name)
def test_every_body_has_the_limb_joints(skeleton: Skeleton) -> None:
    assert set(skeletons.LIMB_JOINTS) <= set(skeleton.joint_names)


def test_orders_agree_with_smplx() -> None:
    names = pytest.importorskip("smplx.joint_names", reason="needs the extra `smpl`")
    assert tuple(names.SMPLH_JOINT_NAMES[:52]) == skeletons.SMPLH_52.joint_names
    assert tuple(names.JOINT_NAMES[:55]) == skeletons.SMPLX_55.joint_names
    assert skeletons.SMPL_24.joint_names[:22] == skeletons.SMPLH_52.joint_names[:22]


def test_landmark_order_agrees_with_mediapipe() -> None:
    pose = pytest.importorskip("mediapipe.python.solutions.pose")
    names = tuple(landmark.name.lower() for landmark in pose.PoseLandmark)
    assert names == skeletons.MEDIAPIPE_33.joint_names


def test_coco_points_keep_their_names_in_mediapipe() -> None:
    picked = [skeletons.MEDIAPIPE_33.joint_names[i] for i in skeletons.COCO_17_FROM_MEDIAPIPE_33]
    assert tuple(picked) == skeletons.COCO_17.joint_names


def test_hand_points_keep_their_finger_in_mano() -> None:
    for i, j in enumerate(skeletons.HAND_21_FROM_MANO_16):
        if j >= 0:
            assert skeletons.HAND_21.joint_names[i] == skeletons.MANO_16.joint_names[j]


def test_hands_come_after_the_body_and_keep_their_side() -> None:
    joined = skeletons.with_hands(skeletons.MEDIAPIPE_33)
    assert len(joined) == 33 + 2 * 21
    assert joined.joint_names[:33] == skeletons.MEDIAPIPE_33.joint_names
    assert joined.joint_names[33] == "left_hand_wrist"
    assert joined.mirror[33] == joined.index["right_hand_wrist"]
    assert all(
        ("left_hand" in joined.joint_names[a]) == ("left_hand" in joined.joint_names[b])
        for a, b in joined.pairs[-40:]
    )
