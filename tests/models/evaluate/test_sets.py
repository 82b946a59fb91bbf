"""Files as published come out as they went in; anything else is refused by name, and nothing runs."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.errors import InputError
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from models.evaluate.sets.hand_files import (
    Hands,
    read_hand_predictions,
    read_hand_truth,
    write_hand_predictions,
)
from models.evaluate.sets.pictures import read_picture_set
from models.evaluate.sets.threedpw import read_sequence, read_tracks
from tests.models.evaluate.made_sets import person_points, write_picture_set, write_sequence


class Attack:
    """Would make a file if a pickle were trusted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_a_sequence_gives_people_in_the_camera(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = [person_points(rng, 5), person_points(rng, 5)]
    rotmat = [rotvec_to_rotmat(rng.normal(0, 0.5, (5, 24, 3))) for _ in points]
    betas = [rng.normal(size=10), rng.normal(size=300)]
    camera = np.tile(np.eye(4), (5, 1, 1))
    camera[:, :3, :3] = rotvec_to_rotmat(rng.normal(size=(5, 3)))
    camera[:, :3, 3] = rng.normal(size=(5, 3))
    valid = [np.array([1, 0, 1, 1, 0]), np.zeros(5, bool)]
    valid[1][3:] = True
    write_sequence(tmp_path / "walk_00.pkl", points, rotmat, betas, valid, camera)
    man, woman = read_tracks(tmp_path)
    assert (man.name, man.sex, woman.name, woman.sex) == (
        "walk_00_0", "male", "walk_00_1", "female",
    )  # fmt: skip
    assert man.pictures == tuple(f"walk_00/image_0000{i}.jpg" for i in (0, 2, 3))
    assert man.rotmat == pytest.approx(rotmat[0][[0, 2, 3]], abs=1e-9)
    assert woman.rotmat == pytest.approx(rotmat[1][3:], abs=1e-9)
    assert np.array_equal(woman.points, points[1][3:])
    assert np.array_equal(woman.betas, betas[1][:10])


def test_people_who_are_never_valid_are_left_out(tmp_path: Path) -> None:
    points = [person_points(np.random.default_rng(0), 3)] * 2
    write_sequence(tmp_path / "a.pkl", points, valid=[np.zeros(3), np.ones(3)])
    assert [track.name for track in read_sequence(tmp_path / "a.pkl")] == ["a_1"]


def test_a_hostile_sequence_runs_nothing(tmp_path: Path) -> None:
    points = [person_points(np.random.default_rng(0), 2)]
    write_sequence(tmp_path / "a.pkl", points, trans=Attack(tmp_path / "was here"))
    with pytest.raises(InputError, match="no sequence of 3DPW"):
        read_sequence(tmp_path / "a.pkl")
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cam_poses": np.zeros((2, 3, 4))}, "cam_poses"),
        ({"poses": [np.zeros((2, 69))]}, "poses"),
        ({"genders": ["x"]}, "genders"),
        ({"poses2d": [np.zeros((2, 3, 17))]}, "poses2d"),
    ],
)
def test_a_wrong_sequence_is_named(changes: dict[str, object], words: str, tmp_path: Path) -> None:
    points = [person_points(np.random.default_rng(0), 2)]
    write_sequence(tmp_path / "a.pkl", points, **changes)
    with pytest.raises(InputError, match=words):
        read_sequence(tmp_path / "a.pkl")


@pytest.mark.parametrize("content", [b"", b"\x80\x02.", pickle.dumps([1, 2]), pickle.dumps({})])
def test_what_is_no_sequence_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(InputError, match="no sequence"):
        read_sequence(tmp_path / "a.pkl")
    with pytest.raises(InputError, match="holds no sequence"):
        list(read_tracks(tmp_path / "elsewhere"))


def test_a_body_set_joins_both_groups_of_keypoints(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    flat, deep = rng.random((2, 19, 3)), rng.random((2, 19, 4))
    body = rng.random((2, 25, 3))
    write_picture_set(
        tmp_path / "set.npz", ["a.jpg", "b/c.jpg"], extra_keypoints_2d=flat,
        extra_keypoints_3d=deep, body_keypoints_2d=body,
    )  # fmt: skip
    found = read_picture_set(tmp_path / "set.npz")
    assert (found.pictures, found.is_hands) == (("a.jpg", "b/c.jpg"), False)
    assert np.array_equal(found.keypoints_2d, np.concatenate([body, flat], 1))
    assert np.array_equal(found.keypoints_3d[:, 25:], deep)
    assert not found.keypoints_3d[:, :25].any()
    assert np.array_equal(found.tight_wh_px, [[40, 70], [40, 70]])
    assert found.right.all()
    assert len(found.take(1)) == 1 and len(found.take(None)) == 2


def test_drawn_points_fall_back_on_the_other_convention(tmp_path: Path) -> None:
    body, extra = np.zeros((1, 25, 3)), np.zeros((1, 19, 3))
    body[0, 0] = 1, 2, 0.9  # nose
    body[0, 3] = 3, 4, 0.8  # right elbow
    extra[0, 7] = 5, 6, 0.7  # right elbow, by the other convention
    extra[0, 6] = 7, 8, 0.6  # right wrist
    write_picture_set(
        tmp_path / "set.npz", ["a.jpg"], body_keypoints_2d=body, extra_keypoints_2d=extra
    )
    drawn = read_picture_set(tmp_path / "set.npz").drawn_points()
    assert drawn.shape == (1, 18, 3)
    assert drawn[0, [0, 3, 4]].tolist() == [[1, 2, 0.9], [3, 4, 0.8], [7, 8, 0.6]]
    assert (drawn[..., 2] > 0).sum() == 3


def test_names_that_were_pickled_or_bytes_are_read(tmp_path: Path) -> None:
    hands = np.random.default_rng(0).random((2, 21, 3))
    for kind in ("O", "S"):
        write_picture_set(
            tmp_path / "set.npz", ["a.jpg", "b.jpg"], imgname=np.array(["a.jpg", "b.jpg"], kind),
            hand_keypoints_2d=hands, right=np.array([1.0, 0.0]), scale=np.array([30.0, 50.0]),
        )  # fmt: skip
        found = read_picture_set(tmp_path / "set.npz")
        assert found.pictures == ("a.jpg", "b.jpg")
        assert found.is_hands and found.right.tolist() == [True, False]
        assert found.tight_wh_px.tolist() == [[30, 30], [50, 50]]
        assert np.array_equal(found.drawn_points(), hands)


def test_hostile_names_run_nothing(tmp_path: Path) -> None:
    attack = np.array([Attack(tmp_path / "was here")], dtype=object)
    write_picture_set(tmp_path / "set.npz", ["a.jpg"], imgname=attack)
    with pytest.raises(InputError, match="imgname"):
        read_picture_set(tmp_path / "set.npz")
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"center": np.zeros((3, 2))}, "center"),
        ({"scale": np.zeros((2, 2))}, "size above 0"),
        ({"scale": np.ones(3)}, "scale"),
        ({"extra_keypoints_3d": np.zeros((2, 19, 3))}, "extra_keypoints_3d"),
        ({"right": np.zeros(5)}, "right"),
    ],
)
def test_a_wrong_array_is_named(changes: dict[str, np.ndarray], words: str, tmp_path: Path) -> None:
    write_picture_set(tmp_path / "set.npz", ["a.jpg", "b.jpg"], **changes)
    with pytest.raises(InputError, match=words):
        read_picture_set(tmp_path / "set.npz")


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_picture_set(tmp_path / "set.npz")
    (tmp_path / "set.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match="cannot be read"):
        read_picture_set(tmp_path / "set.npz")
    np.savez(tmp_path / "set.npz", other=np.zeros(3))
    with pytest.raises(InputError, match="has no `imgname`; it has other"):
        read_picture_set(tmp_path / "set.npz")


def test_hands_go_to_the_server_and_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hands = Hands(rng.normal(size=(3, 21, 3)), rng.normal(size=(3, 778, 3)))
    write_hand_predictions(tmp_path / "pred.json", hands)
    found = read_hand_predictions(tmp_path / "pred.json")
    assert np.array_equal(found.joints_m, hands.joints_m)
    assert np.array_equal(found.vertices_m, hands.vertices_m)
    with pytest.raises(InputError, match=r"evaluation_xyz\.json"):
        read_hand_truth(tmp_path)
    (tmp_path / "pred.json").write_text("[[1, 2], [3]]")
    with pytest.raises(InputError, match="holds no hands"):
        read_hand_predictions(tmp_path / "pred.json")
    (tmp_path / "pred.json").write_text("{}")
    with pytest.raises(InputError, match="two lists"):
        read_hand_predictions(tmp_path / "pred.json")
