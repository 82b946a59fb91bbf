"""The detector without models."""

import numpy as np

from extpose_blender.engine.detect.fake import FakeDetector
from extpose_blender.protocol.flow import Frame
from extpose_blender.protocol.skeletons import MEDIAPIPE_33


def frames(count: int, width: int = 320, height: int = 180) -> list[Frame]:
    image = np.zeros((height, width, 3), np.uint8)
    return [Frame(i, i, i / 25, image) for i in range(count)]


def test_two_people_walk_inside_the_picture() -> None:
    for found in FakeDetector(hands=True)(frames(60)):
        assert len(found) == 2
        xy = found.keypoints_2d[..., :2]
        assert (xy[..., 1] > 0).all() and (xy[..., 1] < 180).all()
        assert (found.hands_2d[..., 2] > 0.5).all()


def test_resumed_run_equals_the_undisturbed_one() -> None:
    whole = [found.keypoints_2d for found in FakeDetector()(frames(10))]
    second = FakeDetector()
    second.restore(FakeDetector().state())
    assert np.array_equal([f.keypoints_2d for f in second(frames(10)[6:])], whole[6:])


def test_people_move_and_keep_their_bones() -> None:
    hints = np.array([found.hints_3d_m[0, :, :3] for found in FakeDetector()(frames(50))])
    knee, ankle, hip = (hints[:, MEDIAPIPE_33.index[f"left_{n}"]] for n in ("knee", "ankle", "hip"))
    assert np.ptp(ankle[:, 2]) > 0.3
    for bone in (knee - ankle, knee - hip):
        assert np.ptp(np.linalg.norm(bone, axis=1)) < 1e-5


def test_hands_and_people_only_as_asked_for() -> None:
    (found,) = FakeDetector(max_people=1, hands=False)(frames(1))
    assert len(found) == 1
    assert not found.hands_2d.any()
