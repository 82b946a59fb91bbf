"""The shipped detector, on made-up and on real pictures."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.errors import BadModelFile, MissingModel, MissingPackage
from extpose_blender.protocol.flow import Frame, FrameDetections
from extpose_blender.protocol.skeletons import MEDIAPIPE_33

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")

from extpose_blender.engine.detect import mediapipe as shipped  # noqa: E402
from extpose_blender.engine.detect import tflite  # noqa: E402
from extpose_blender.engine.detect.mediapipe import MediaPipeDetector  # noqa: E402
from extpose_blender.engine.track.build import build_tracks  # noqa: E402
from extpose_blender.engine.track.sizes import body_heights, body_middles  # noqa: E402

ReadFrames = Callable[..., list[Frame]]
PARTS = ("keypoints_2d", "hints_3d_m", "score", "hands_2d")


@pytest.fixture
def read_frames(shared_path: Callable[[str], Path]) -> ReadFrames:
    """Some frames of a shared clip, every `step`-th."""

    def read(name: str, count: int, step: int = 1) -> list[Frame]:
        capture = cv2.VideoCapture(str(shared_path(f"clips/{name}")))
        rate = capture.get(cv2.CAP_PROP_FPS)
        frames: list[Frame] = []
        for index in range(count * step):
            ok, image_bgr = capture.read()
            if ok and index % step == 0:
                image_rgb = np.ascontiguousarray(image_bgr[..., ::-1])
                frames.append(Frame(len(frames), index, index / rate, image_rgb))
        return frames

    return read


def as_clip(images: list[np.ndarray], rate: float = 25.0) -> list[Frame]:
    return [Frame(i, i, i / rate, image) for i, image in enumerate(images)]


def assert_equal(a: FrameDetections, b: FrameDetections) -> None:
    for part in PARTS:
        np.testing.assert_array_equal(getattr(a, part), getattr(b, part), err_msg=part)


@pytest.fixture
def detector() -> Iterator[MediaPipeDetector]:
    made = MediaPipeDetector()
    yield made
    made.close()


def test_resumed_run_equals_the_undisturbed_one(read_frames: ReadFrames) -> None:
    frames = read_frames("group_exercise/video.mp4", 12, step=3)
    frames = [Frame(i, frames[i // 2].frame_index, f.time_s, frames[i // 2].image_rgb)
              for i, f in enumerate(frames)]  # fmt: skip
    whole = list(MediaPipeDetector(hands=True)(frames))
    first = MediaPipeDetector(hands=True)
    parts = list(first(frames[:5]))  # in the middle of a repeated picture
    second = MediaPipeDetector(hands=True)
    second.restore({name: np.array(array) for name, array in first.state().items()})
    parts += list(second(frames[5:]))
    assert [p.row for p in parts] == list(range(len(frames)))
    for undisturbed, resumed in zip(whole, parts, strict=True):
        assert_equal(undisturbed, resumed)


def test_number_of_threads_does_not_change_the_result(read_frames: ReadFrames) -> None:
    frames = read_frames("walk_sit_single/video.mp4", 4)
    one, two = (list(MediaPipeDetector(threads=n)(frames)) for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert_equal(a, b)


def test_same_landmarks_as_mediapipe_itself(read_frames: ReadFrames) -> None:
    solutions = pytest.importorskip("mediapipe", reason="mediapipe is not installed").solutions
    for name in ("walk_sit_single/video.mp4", "squats_single/video.mp4", "tpose_4view/cam01.mp4"):
        (frame,) = read_frames(name, 1)
        height, width = frame.image_rgb.shape[:2]
        with solutions.pose.Pose(static_image_mode=True, model_complexity=1) as pose:
            theirs = pose.process(frame.image_rgb)
        points = [(p.x * width, p.y * height) for p in theirs.pose_landmarks.landmark]
        world = [(p.x, p.y, p.z) for p in theirs.pose_world_landmarks.landmark]
        detector = MediaPipeDetector()
        (candidate, *_) = detector._finder.find(
            frame.image_rgb, np.array([width / 2, height / 2, max(width, height), 0.0])
        )
        ours = detector._look(frame.image_rgb, candidate)
        gaps = np.linalg.norm(ours.points_px - points, axis=1)
        assert np.median(gaps) < 0.005 * ours.radius_px, name
        assert np.abs(ours.world_m - world).max() < 0.005, name


@pytest.mark.parametrize(
    "name",
    [f"tpose_4view/cam0{i}.mp4" for i in (1, 2, 3, 4)]
    + [f"upper_body_4view/cam{i}.mp4" for i in (0, 1, 2, 3)]
    + ["squats_single/video.mp4", "asl_signs/want.mkv"],
)
def test_one_person_is_found_once(
    detector: MediaPipeDetector, name: str, read_frames: ReadFrames
) -> None:
    people = [len(found) for found in detector(read_frames(name, 8))]
    assert people == [1] * len(people)


def test_group_is_found_and_stays_apart(
    detector: MediaPipeDetector, read_frames: ReadFrames
) -> None:
    frames = read_frames("group_exercise/video.mp4", 64, step=6)
    height, width = frames[0].image_rgb.shape[:2]
    found = list(detector(frames))
    assert np.median([len(people) for people in found]) >= 5
    assert len(found[-1]) == 6
    tracks = build_tracks(found, detector.skeleton, 25 / 6, width, height, len(frames))
    shares = sorted((float(track.seen.mean()) for track in tracks), reverse=True)
    assert min(shares[:4]) > 0.9 and shares[4] > 0.3 and len(tracks) <= 8
    for track in tracks[:4]:  # nobody jumps to somebody else
        middles = body_middles(track.keypoints_2d[track.seen], track.skeleton)
        size = np.median(body_heights(track.keypoints_2d[track.seen], track.skeleton))
        assert np.linalg.norm(np.diff(middles, axis=0), axis=1).max() < 0.3 * size


def test_no_more_people_than_asked_for(read_frames: ReadFrames) -> None:
    frames = read_frames("group_exercise/video.mp4", 6)
    assert [len(found) for found in MediaPipeDetector(max_people=2)(frames)] == [2] * 6


def test_nobody_in_empty_pictures(detector: MediaPipeDetector) -> None:
    rng = np.random.default_rng(0)
    x = np.linspace(0, 255, 320).astype(np.uint8)
    images = [
        np.zeros((240, 320, 3), np.uint8),
        np.full((240, 320, 3), 255, np.uint8),
        np.broadcast_to(x[None, :, None], (240, 320, 3)).copy(),
        *(rng.integers(0, 256, (240, 320, 3), np.uint8) for _ in range(6)),
        *(np.kron(rng.integers(0, 256, (8, 10, 3)), np.ones((30, 32, 1))).astype(np.uint8)
          for _ in range(4)),
        np.zeros((1, 1, 3), np.uint8),
    ]  # fmt: skip
    assert [len(found) for found in detector(as_clip(images))] == [0] * len(images)


def test_somebody_who_comes_late_and_somebody_who_leaves(
    detector: MediaPipeDetector, read_frames: ReadFrames
) -> None:
    (frame,) = read_frames("squats_single/video.mp4", 1)
    empty = np.full_like(frame.image_rgb, 128)
    images = [empty] * 5 + [frame.image_rgb] * 15 + [empty] * 5
    people = [len(found) for found in detector(as_clip(images))]
    assert people[:5] == [0] * 5
    assert people[12:20] == [1] * 8
    assert people[-5:] == [0] * 5


def test_somebody_far_away_is_found(detector: MediaPipeDetector, read_frames: ReadFrames) -> None:
    (frame,) = read_frames("squats_single/video.mp4", 1)
    small = cv2.resize(frame.image_rgb, (124, 220), interpolation=cv2.INTER_AREA)
    image = np.full((720, 1280, 3), small[0].mean(0), np.uint8)
    image[400:620, 900:1024] = small
    (found,) = detector(as_clip([image]))
    assert len(found) == 1
    (reference,) = MediaPipeDetector()([frame])
    scaled = reference.keypoints_2d[0, :, :2] * (124 / 720) + (900, 400)
    assert np.abs(found.keypoints_2d[0, :, :2] - scaled).mean() < 4


def test_repeated_picture_gives_equal_people(
    detector: MediaPipeDetector, read_frames: ReadFrames
) -> None:
    (frame,) = read_frames("squats_single/video.mp4", 1)
    twice = [Frame(row, 0, row / 30, frame.image_rgb) for row in range(2)]
    first, second = detector(twice)
    assert (first.row, second.row) == (0, 1)
    assert_equal(first, second)


def test_hands_only_where_asked_for_and_on_their_own_arm(
    detector: MediaPipeDetector, read_frames: ReadFrames
) -> None:
    frames = read_frames("upper_body_4view/cam1.mp4", 13)
    assert all((found.hands_2d == 0).all() for found in detector(frames))
    with_hands = list(MediaPipeDetector(hands=True)(frames))
    for found in with_hands:
        for side, word in enumerate(("left", "right")):
            hand = found.hands_2d[0, side]
            arm = MEDIAPIPE_33.indices(f"{word}_elbow", f"{word}_wrist")
            elbow, wrist = found.keypoints_2d[0, arm, :2]
            if hand[0, 2] > 0:
                away = np.linalg.norm(hand[0, :2] - wrist)
                assert away < 0.4 * max(np.linalg.norm(elbow - wrist), 150)
    assert (with_hands[-1].hands_2d[0, :, :, 2] >= 0.5).all()


@pytest.mark.parametrize("camera", [1, 2, 3, 4])
def test_hints_are_metres_in_the_camera_axes(
    detector: MediaPipeDetector,
    read_frames: ReadFrames,
    shared_path: Callable[[str], Path],
    camera: int,
) -> None:
    (found,) = detector(read_frames(f"tpose_4view/cam0{camera}.mp4", 1))
    calibration = json.loads(shared_path("clips/tpose_4view/calibration.json").read_text())
    truth = np.load(shared_path("clips/tpose_4view/gt.npz"))
    names = [str(name) for name in truth["joint_names"]]
    turn = np.array(calibration["cameras"][f"cam0{camera}"]["R"])
    for start, end in (("left_shoulder", "right_shoulder"), ("left_hip", "left_shoulder")):
        short = [name.replace("left_", "L").replace("right_", "R") for name in (start, end)]
        short = [name[0] + name[1:].capitalize() for name in short]
        ends = [truth["joints_m"][0, names.index(name)] for name in short]
        wanted = turn @ (ends[1] - ends[0])
        points = found.hints_3d_m[0, MEDIAPIPE_33.indices(start, end), :3]
        bone = points[1] - points[0]
        assert bone @ wanted > 0.85 * np.linalg.norm(bone) * np.linalg.norm(wanted)
        assert 0.7 < np.linalg.norm(bone) / np.linalg.norm(wanted) < 1.3


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tflite.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="mediapipe"):
        MediaPipeDetector()


def test_missing_model_is_named() -> None:
    with pytest.raises(MissingModel, match=r"pose_landmark_none\.tflite"):
        tflite.find_model("pose_landmark/pose_landmark_none.tflite")


def test_damaged_model_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(b"TFL3" * 10)
    monkeypatch.setattr(tflite, "find_model", lambda name: damaged)
    with pytest.raises(BadModelFile, match="damaged"):
        MediaPipeDetector()


def test_foreign_state_is_refused(detector: MediaPipeDetector) -> None:
    with pytest.raises(BadModelFile, match="last_index"):
        detector.restore({"people": np.zeros((0, 81))})


def test_closing_twice_is_fine(detector: MediaPipeDetector) -> None:
    detector.close()
    detector.close()


def test_scores_are_probabilities() -> None:
    pose = shipped.PersonPose(
        *(np.zeros((33, 2)), np.linspace(0, 1, 33), np.linspace(1, 0, 33), np.zeros((33, 3))),
        np.zeros(2), np.ones(2), 1.0,
    )  # fmt: skip
    scores = shipped.landmark_scores(pose)
    assert ((scores >= 0) & (scores <= 1)).all()
