"""People through the clip: ids that stay, gaps, order."""

from collections.abc import Sequence

import numpy as np
import pytest

from extpose_blender.engine.detect.fake import walking_person
from extpose_blender.engine.track.build import build_tracks
from extpose_blender.engine.track.gaps import fill_rows
from extpose_blender.engine.track.prominence import select_people
from extpose_blender.engine.track.sizes import body_heights
from extpose_blender.protocol.errors import NoPerson, UsageError
from extpose_blender.protocol.flow import FrameDetections, Track
from extpose_blender.protocol.skeletons import COCO_17_FROM_MEDIAPIPE_33

WIDTH, HEIGHT = 1280, 720
SKELETON = "mediapipe33"


def person_at(
    x_px: float, time_s: float, px_per_m: float = 200.0, noise_px: float = 0.0
) -> np.ndarray:
    """(33, 3) somebody who walks, with the hips at x."""
    rng = np.random.default_rng(int(1000 * time_s) + int(px_per_m))
    xy = (x_px, 380.0) + px_per_m * walking_person(time_s)[:, :2]
    xy = xy + rng.normal(0, noise_px, xy.shape) if noise_px else xy
    return np.hstack([xy, np.full((len(xy), 1), 0.9)]).astype(np.float32)


def one_frame(row: int, poses: Sequence[np.ndarray], score: float = 0.95) -> FrameDetections:
    points = np.array(poses, np.float32)
    points = points if len(poses) else np.zeros((0, 33, 3), np.float32)
    count, joints = points.shape[:2]
    return FrameDetections(
        row,
        points,
        np.zeros((count, joints, 4), np.float32),
        np.full(count, score, np.float32),
        np.zeros((count, 2, 21, 3), np.float32),
    )


def track(
    frames: Sequence[FrameDetections], fps: float = 25.0, rows: int | None = None
) -> list[Track]:
    return build_tracks(frames, SKELETON, fps, WIDTH, HEIGHT, rows or len(frames))


def middle_x(person: Track) -> np.ndarray:
    return person.keypoints_2d[:, [23, 24], 0].mean(1)


def crossing(fps: float, seconds: float = 4.0, sizes: tuple[float, float] = (200.0, 185.0)):
    """Two people who cross in the middle: x of each, and their poses, per row."""
    times = np.arange(round(seconds * fps)) / fps
    xs = np.stack([200 + 880 * times / seconds, 1080 - 880 * times / seconds])
    poses = [
        [person_at(xs[i, t], times[t] + 0.37 * i, sizes[i], noise_px=1.5) for i in (0, 1)]
        for t in range(len(times))
    ]
    return xs, poses


@pytest.mark.parametrize("fps", [12.0, 25.0, 60.0])
def test_ids_stay_through_a_crossing(fps: float) -> None:
    xs, poses = crossing(fps)
    people = track([one_frame(t, both) for t, both in enumerate(poses)], fps)
    assert len(people) == 2
    for person in people:
        wanted = min(xs, key=lambda x: abs(x[0] - middle_x(person)[0]))
        assert np.abs(middle_x(person) - wanted).max() < 8
        assert person.seen.mean() > 0.95  # where both have one pose, one is seen


@pytest.mark.parametrize("fps", [12.0, 25.0, 60.0])
@pytest.mark.parametrize("hidden_s", [0.2, 0.5, 1.0])
def test_ids_stay_when_one_is_hidden_while_they_cross(fps: float, hidden_s: float) -> None:
    xs, poses = crossing(fps)
    frames = []
    for t, both in enumerate(poses):
        hidden = abs(t / fps - 2.0) < hidden_s / 2
        frames.append(one_frame(t, both[:1] if hidden else both))
    people = track(frames, fps)
    assert len(people) == 2
    for person in people:
        wanted = min(xs, key=lambda x: abs(x[0] - middle_x(person)[0]))
        assert np.abs(middle_x(person) - wanted)[person.seen].max() < 8


def test_order_of_people_within_frames_does_not_matter() -> None:
    _, poses = crossing(25.0)
    rng = np.random.default_rng(1)
    straight = track([one_frame(t, both) for t, both in enumerate(poses)])
    mixed = track(
        [one_frame(t, [both[i] for i in rng.permutation(2)]) for t, both in enumerate(poses)]
    )
    for a, b in zip(straight, mixed, strict=True):
        np.testing.assert_array_equal(a.keypoints_2d, b.keypoints_2d)
        assert a.prominence == b.prominence


def test_short_gap_is_filled_and_long_gap_is_not() -> None:
    frames = [
        one_frame(t, [] if 20 <= t < 28 or 50 <= t < 80 else [person_at(300 + 4 * t, t / 25)])
        for t in range(100)
    ]
    (person,) = track(frames)
    scores = person.keypoints_2d[..., 2]
    assert not person.seen[20:28].any() and not person.seen[50:80].any()
    assert (scores[20:28] > 0).all()
    assert scores[20:28].max() < scores[person.seen].min()
    assert (scores[50:80] == 0).all()
    assert np.abs(middle_x(person)[18:30] - (300 + 4 * np.arange(18, 30))).max() < 1.5
    seen = [frame.keypoints_2d[0] for frame in frames if len(frame)]
    np.testing.assert_array_equal(person.keypoints_2d[person.seen], seen)


def test_rows_before_and_after_somebody_was_there_have_no_score() -> None:
    frames = [one_frame(t, [person_at(500, t / 25)] if 30 <= t < 70 else []) for t in range(100)]
    (person,) = track(frames)
    assert person.active == slice(30, 70)
    assert (person.keypoints_2d[:30, :, 2] == 0).all() and (
        person.keypoints_2d[70:, :, 2] == 0
    ).all()


def test_flicker_is_left_out_but_a_single_frame_is_enough_for_a_clip_of_one() -> None:
    frames = [
        one_frame(t, [person_at(300, t / 25)] + ([person_at(900, t / 25)] if t in (40, 41) else []))
        for t in range(100)
    ]
    assert len(track(frames)) == 1
    (person,) = track(frames[:1])
    assert len(person) == 1 and person.seen.all()


def test_unsure_detections_continue_but_do_not_begin() -> None:
    frames = [
        one_frame(t, [person_at(300, t / 25)], score=0.4 if 30 <= t < 60 else 0.9)
        for t in range(90)
    ]
    (person,) = track(frames)
    assert person.seen.all()
    assert track([one_frame(t, [person_at(300, t / 25)], score=0.4) for t in range(90)]) == []


def test_double_detections_are_one_person() -> None:
    frames = [one_frame(t, [person_at(300, t / 25), person_at(302, t / 25)]) for t in range(50)]
    assert len(track(frames)) == 1


def test_somebody_elsewhere_after_a_gap_is_somebody_else() -> None:
    frames = [
        one_frame(
            t, [person_at(200, t / 25)] if t < 40 else [person_at(1100, t / 25)] if t > 60 else []
        )
        for t in range(100)
    ]
    assert len(track(frames)) == 2


def test_person_at_rest_is_found_again_after_a_long_gap() -> None:
    frames = [one_frame(t, [] if 40 <= t < 110 else [person_at(400, t / 25)]) for t in range(150)]
    assert len(track(frames)) == 1


def test_absent_rows_and_absent_people_are_fine() -> None:
    frames = [one_frame(t, [person_at(300, t / 25)]) for t in range(0, 50, 2)]
    (person,) = track(frames, rows=60)
    assert len(person) == 60 and person.seen.sum() == 25
    assert track([], rows=10) == []
    assert track([one_frame(t, []) for t in range(10)]) == []


def test_most_prominent_comes_first() -> None:
    def frame(t: int) -> FrameDetections:
        late = [person_at(640, t / 25, 210.0)] if t > 70 else []
        return one_frame(
            t, [person_at(1150, t / 25, 200.0), person_at(600, t / 25, 190.0), *late,
                person_at(300, t / 25, 60.0)]
        )  # fmt: skip

    people = track([frame(t) for t in range(100)])
    assert [p.person_id for p in people] == list(range(len(people)))
    assert middle_x(people[0])[0] == pytest.approx(600, abs=5)
    assert [p.prominence for p in people] == sorted((p.prominence for p in people), reverse=True)


def test_other_skeletons_are_tracked_too() -> None:
    frames = [
        one_frame(t, [person_at(300 + 5 * t, t / 25)[list(COCO_17_FROM_MEDIAPIPE_33)]])
        for t in range(30)
    ]
    (person,) = build_tracks(frames, "coco17", 25.0, WIDTH, HEIGHT, 30)
    assert person.seen.all() and person.points.name == "coco17"


def test_height_does_not_depend_on_two_misplaced_points() -> None:
    pose = person_at(300, 0.0)
    wrong = pose.copy()
    wrong[[15, 27], :2] += 400
    plain, bent = body_heights(np.stack([pose, wrong]), SKELETON)
    assert 0.7 < bent / plain < 1.6


def test_filled_points_do_not_overshoot() -> None:
    values = np.zeros((4, 1, 2))
    values[:, 0] = [[0, 1], [0, 1], [10, 0.5], [10, 1]]
    filled = fill_rows(values, np.array([0, 1, 5, 6]), 8, longest_gap=3)
    assert (filled[:, 0, 0] >= 0).all() and (filled[:, 0, 0] <= 10).all()
    assert (np.diff(filled[:, 0, 0]) >= 0).all()
    assert filled[2:5, 0, 1] == pytest.approx(0.25)
    assert filled[7, 0, 1] == 0


@pytest.fixture
def three_people() -> list[Track]:
    return track(
        [one_frame(t, [person_at(x, t / 25) for x in (200, 640, 1000)]) for t in range(30)]
    )


def test_people_are_selected(three_people: list[Track]) -> None:
    assert [p.person_id for p in select_people(three_people, "auto")] == [0]
    assert [p.person_id for p in select_people(three_people, "all")] == [0, 1, 2]
    assert [p.person_id for p in select_people(three_people, 2)] == [2]
    assert [p.person_id for p in select_people(three_people, "1")] == [1]


def test_wrong_selection_says_what_there_is(three_people: list[Track]) -> None:
    with pytest.raises(UsageError, match="3 people"):
        select_people(three_people, 3)
    with pytest.raises(UsageError, match="somebody"):
        select_people(three_people, "somebody")
    with pytest.raises(NoPerson):
        select_people([], "auto")


def test_two_wrong_matches_do_not_beat_a_right_one() -> None:
    # One is lost beside a second; then a third turns up: nobody may take over another's place.
    def frame(t: int) -> FrameDetections:
        lost = [person_at(420, t / 25, 120.0)] if t < 50 else []
        third = [person_at(640, t / 25, 110.0)] if t >= 58 else []
        return one_frame(t, [*lost, person_at(520, t / 25, 210.0), *third])

    people = track([frame(t) for t in range(110)])
    always = [p for p in people if p.seen.all()]
    assert len(people) == 3 and len(always) == 1
    assert np.abs(middle_x(always[0]) - 520).max() < 5
