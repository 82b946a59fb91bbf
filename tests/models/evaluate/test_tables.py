"""The command from files to table: what a network says is flawless when it is also the truth."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from extpose_blender.engine.body.load import load_body
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from models.evaluate.__main__ import main
from models.evaluate.benchmarks import predict_hands, set_boxes, set_shots, track_shots
from models.evaluate.bodies import pose_set
from models.evaluate.networks import Run, SetNetwork, cut_track
from models.evaluate.protocols.keypoints import hand_keypoints_px
from models.evaluate.sets.pictures import read_picture_set
from models.evaluate.sets.threedpw import read_sequence
from models.evaluate.table_command import parse_run
from models.evaluate.tables import Row, Table, format_table, read_tables
from tests.engine.body.conftest import make_body
from tests.engine.tiny_network import write_tiny_weights
from tests.models.evaluate.made_sets import (
    person_points,
    write_picture_set,
    write_pictures,
    write_sequence,
)

NAMES = ["a.jpg", "b.jpg", "c.jpg"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_tiny_weights(tmp_path / "tiny.safetensors", frames=4)


@pytest.fixture
def hand_weights(tmp_path: Path) -> Path:
    return write_tiny_weights(tmp_path / "tiny.safetensors", "image", 1, body="mano")


@pytest.fixture
def right_hand(tmp_path: Path) -> Path:
    arrays = make_body("mano", 778)
    arrays["v_template"] *= 0.1
    joints = arrays["J_regressor"] @ arrays["v_template"]
    if joints[1:, 0].mean() > joints[0, 0]:  # the fingers of a right hand point to -x
        arrays["v_template"][:, 0] *= -1
    path = tmp_path / "MANO_RIGHT.npz"
    np.savez(path, **arrays)
    return path


def regressor(rows: int) -> np.ndarray:
    """Joints that are vertices, spread over the body."""
    count = len(load_body("open").v_template)
    weights = np.zeros((rows, count))
    weights[np.arange(rows), np.random.default_rng(rows).choice(count, rows, replace=False)] = 1
    return weights


def numbers(path: Path, label: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["rows"][label]
    return found


def video_arguments(tmp_path: Path, weights: Path, *more: str) -> list[str]:
    np.save(tmp_path / "J_regressor_h36m.npy", regressor(17))
    return [
        "table", "3dpw", "--data", str(tmp_path / "test"), "--images", str(tmp_path / "imageFiles"),
        "--body", "open", "--male", "open", "--female", "open", "--device", "cpu",
        "--regressor", str(tmp_path / "J_regressor_h36m.npy"), "--json", str(tmp_path / "out.json"),
        "--run", f"tiny={weights}", *more,
    ]  # fmt: skip


def test_windows_lie_side_by_side_and_the_last_is_full() -> None:
    assert cut_track(48, 16) == [range(0, 16), range(16, 32), range(32, 48)]
    assert cut_track(40, 16) == [range(0, 16), range(16, 32), range(24, 40)]
    assert cut_track(5, 16) == [range(0, 5)]
    assert cut_track(3, 1) == [range(0, 1), range(1, 2), range(2, 3)]
    for count in range(1, 40):
        windows = cut_track(count, 7)
        assert {row for window in windows for row in window} == set(range(count))
        assert all(len(window) == min(7, count) for window in windows)


@pytest.mark.parametrize("frames", [1, 4])
def test_a_track_is_flawless_when_the_network_is_the_truth(
    frames: int, weights: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    # Single pictures have shapes of their own, the truth has one: they must be alike then.
    points = [person_points(rng, 7) if frames > 1 else person_points(rng, 1).repeat(7, axis=0)]
    path = tmp_path / "test" / "walk.pkl"
    for i in range(7):
        name = f"walk/image_{i:05d}.jpg"
        write_pictures(tmp_path / "imageFiles", [name], seed=i if frames > 1 else 0)
    write_sequence(path, points)
    network = SetNetwork(Run("tiny", str(weights), frames=frames), "smpl")
    found = network.track(track_shots(read_sequence(path)[0], tmp_path / "imageFiles"))
    camera = np.tile(np.eye(4), (7, 1, 1))
    camera[:, :3, :3] = rotvec_to_rotmat(rng.normal(size=(7, 3)))
    write_sequence(path, points, [found.rotmat], [found.betas[0]], camera=camera)
    assert main(video_arguments(tmp_path, Path(f"{weights},frames={frames}"))) == 0
    scores = numbers(tmp_path / "out.json", "tiny")
    assert scores.pop("acceleration_m_s2") == pytest.approx(0, abs=0.1)
    assert scores == pytest.approx({"pa_mpjpe_mm": 0, "mpjpe_mm": 0, "pve_mm": 0}, abs=0.01)


def test_a_turned_truth_costs_mpjpe_but_not_pa(weights: Path, tmp_path: Path) -> None:
    points = [person_points(np.random.default_rng(0), 5)]
    path = tmp_path / "test" / "walk.pkl"
    write_pictures(tmp_path / "imageFiles", [f"walk/image_{i:05d}.jpg" for i in range(5)])
    write_sequence(path, points)
    found = SetNetwork(Run("tiny", str(weights)), "smpl").track(
        track_shots(read_sequence(path)[0], tmp_path / "imageFiles")
    )
    found.rotmat[:, 0] = rotvec_to_rotmat(np.array([0.0, 0.4, 0.0])) @ found.rotmat[:, 0]
    write_sequence(path, points, [found.rotmat], [found.betas[0]])
    assert main(video_arguments(tmp_path, weights)) == 0
    scores = numbers(tmp_path / "out.json", "tiny")
    assert scores["pa_mpjpe_mm"] == pytest.approx(0, abs=0.05)
    assert scores["mpjpe_mm"] > 20


def test_other_detections_change_what_is_seen(weights: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = person_points(rng, 3)  # too few for an acceleration that counts
    write_pictures(tmp_path / "imageFiles", [f"walk/image_{i:05d}.jpg" for i in range(3)])
    write_sequence(tmp_path / "test" / "walk.pkl", [points])
    same, other = tmp_path / "same.npz", tmp_path / "other.npz"
    np.savez(same, walk_0=points, skeleton="openpose18")
    np.savez(other, walk_0=person_points(rng, 3))
    scores = []
    for more in ((), ("--keypoints", str(same)), ("--keypoints", str(other))):
        assert main(video_arguments(tmp_path, weights, *more)) == 0
        scores.append(numbers(tmp_path / "out.json", "tiny"))
    assert scores[0] == scores[1] != scores[2]
    assert set(scores[0]) == {"mpjpe_mm", "pa_mpjpe_mm", "pve_mm"}
    np.savez(other, walk_0=points[:2])
    assert main(video_arguments(tmp_path, weights, "--keypoints", str(other))) == 3


def test_bodies_in_pictures_are_flawless_when_the_network_is_the_truth(
    weights: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path, NAMES)
    data, extra = tmp_path / "set.npz", regressor(19)
    (tmp_path / "SMPL_to_J19.pkl").write_bytes(pickle.dumps(extra, 2))
    write_picture_set(data, NAMES)
    pictures = read_picture_set(data)
    boxes = set_boxes(pictures)
    predicted = SetNetwork(Run("tiny", str(weights), "image"), "smpl").pictures(
        set_shots(pictures, tmp_path, boxes, None)
    )
    posed = pose_set(load_body("open"), predicted, extra)
    flat = posed.keypoints_crop * np.array([b.side_px for b in boxes])[:, None, None]
    flat = np.concatenate([flat + pictures.center_xy_px[:, None], np.ones((3, 44, 1))], -1)
    deep = np.concatenate([posed.joints_m, np.ones((3, 44, 1))], -1)
    write_picture_set(
        data, NAMES, body_keypoints_2d=flat[:, :25], extra_keypoints_2d=flat[:, 25:],
        body_keypoints_3d=deep[:, :25], extra_keypoints_3d=deep[:, 25:],
    )  # fmt: skip
    common = [
        "--data", str(data), "--images", str(tmp_path), "--body", "open", "--device", "cpu",
        "--regressor", str(tmp_path / "SMPL_to_J19.pkl"), "--json", str(tmp_path / "out.json"),
        "--run", f"tiny={weights},streams=image",
    ]  # fmt: skip
    assert main(["table", "h36m", *common]) == 0
    assert numbers(tmp_path / "out.json", "tiny") == pytest.approx(
        {"mpjpe_mm": 0, "pa_mpjpe_mm": 0}, abs=0.01
    )
    assert main(["table", "coco", *common]) == 0
    assert numbers(tmp_path / "out.json", "tiny") == {"pck_05": 1.0, "pck_10": 1.0}


def test_a_set_without_true_joints_is_refused(weights: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path, NAMES)
    np.save(tmp_path / "J19.npy", regressor(19))
    write_picture_set(tmp_path / "set.npz", NAMES)
    common = ["--data", str(tmp_path / "set.npz"), "--images", str(tmp_path), "--device", "cpu"]
    common += ["--body", "open", "--regressor", str(tmp_path / "J19.npy")]
    assert main(["table", "h36m", *common, "--run", f"t={weights},streams=image"]) == 3
    assert main(["table", "h36m", *common, "--run", f"t={weights}"]) == 2  # nothing to draw
    assert main(["table", "freihand", *common, "--run", f"t={weights}", "--out", "x"]) == 3


def test_hands_of_both_sides_are_flawless_when_the_network_is_the_truth(
    hand_weights: Path, right_hand: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path, NAMES)
    data = tmp_path / "set.npz"
    known = {
        "right": np.array([1.0, 0.0, 1.0]),
        "scale": np.array([[30.0, 44], [50, 20], [40, 40]]),
    }
    write_picture_set(data, NAMES, hand_keypoints_2d=np.zeros((3, 21, 3)), **known)
    pictures, hand = read_picture_set(data), load_body(str(right_hand))
    network = SetNetwork(Run("tiny", str(hand_weights)), "mano")
    boxes = set_boxes(pictures, hint=True)
    assert [box.side_px for box in boxes] == [88, 100, 80]
    predicted = network.pictures(set_shots(pictures, tmp_path, boxes, None))
    side = np.array([box.side_px for box in boxes])
    flat = pose_set(hand, predicted, None).keypoints_crop
    flat = hand_keypoints_px(flat, pictures.right, pictures.center_xy_px, side)
    flat = np.concatenate([flat, np.ones((3, 21, 1))], -1)
    write_picture_set(data, NAMES, hand_keypoints_2d=flat, **known)
    common = [
        "--data", str(data), "--images", str(tmp_path), "--body", str(right_hand),
        "--json", str(tmp_path / "out.json"), "--run", f"tiny={hand_weights}", "--device", "cpu",
    ]  # fmt: skip
    assert main(["table", "hint-newdays", *common]) == 0
    assert numbers(tmp_path / "out.json", "tiny") == {"pck_05": 1, "pck_10": 1, "pck_15": 1}
    for name in ("freihand", "ho3d"):
        assert main(["table", name, *common, "--out", str(tmp_path / name)]) == 0
        joints, vertices = json.loads((tmp_path / name / "tiny.json").read_text(encoding="utf-8"))
        (tmp_path / name / "evaluation_xyz.json").write_text(json.dumps(joints))
        (tmp_path / name / "evaluation_verts.json").write_text(json.dumps(vertices))
        more = [
            "--truth",
            str(tmp_path / name),
            "--predictions",
            f"file={tmp_path}/{name}/tiny.json",
        ]
        assert main(["table", name, *common, *more]) == 0
        for label in ("tiny", "file"):
            scores = numbers(tmp_path / "out.json", label)
            assert scores["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-4)
            assert [scores["auc_joints"], scores["f_at_5mm"]] == pytest.approx([1, 1], abs=0.006)


def test_left_hands_are_seen_mirrored_and_given_back_as_left(
    hand_weights: Path, right_hand: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path, ["right.png"])
    picture = cv2.imread(str(tmp_path / "right.png"))
    cv2.imwrite(str(tmp_path / "left.png"), picture[:, ::-1])
    write_picture_set(
        tmp_path / "set.npz", ["right.png", "left.png"], right=np.array([1, 0]),
        center=np.array([[50.0, 40.0], [119 - 50.0, 40.0]]),
        hand_keypoints_2d=np.zeros((2, 21, 3)),
    )  # fmt: skip
    pictures = read_picture_set(tmp_path / "set.npz")
    network = SetNetwork(Run("tiny", str(hand_weights)), "mano")
    predicted = network.pictures(set_shots(pictures, tmp_path, set_boxes(pictures), None))
    hands = predict_hands(predicted, pictures, load_body(str(right_hand)))
    assert hands.joints_m[1] == pytest.approx(hands.joints_m[0] * [-1, 1, 1], abs=1e-6)
    assert hands.vertices_m[1] == pytest.approx(hands.vertices_m[0] * [-1, 1, 1], abs=1e-6)


def test_published_numbers_stand_beside_ours_with_their_source() -> None:
    table = Table(
        "A set", "hands", {"pa_mpjpe_mm": "PA", "auc_joints": "AUC"},
        (Row("theirs", {"pa_mpjpe_mm": 6.0}, "a paper"),),
    )  # fmt: skip
    lines = format_table(table, [Row("ours", {"pa_mpjpe_mm": 5.04, "auc_joints": 0.85})]).split(
        "\n"
    )
    assert lines[2:6] == [
        "|            |  PA |   AUC |",
        "|------------|----:|------:|",
        "| theirs [1] | 6.0 |     – |",
        "| ours       | 5.0 | 0.850 |",
    ]
    assert lines[7] == "[1] a paper"


def test_every_published_number_has_a_source_and_a_column(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, table in read_tables().items():
        assert all(row.source and row.values for row in table.published)
        assert main(["table", name]) == 0
    assert "34.0" in capsys.readouterr().out


def test_a_run_is_read_with_its_choices() -> None:
    run = parse_run("My run=file.safetensors,streams=image,frames=8,temporal_position=true")
    assert run == Run("My run", "file.safetensors", "image", 8, {"temporal_position": True})
    assert parse_run("a=b,block_layout=union").choices == {"block_layout": "union"}


@pytest.mark.parametrize(
    "text", ["only", "=x", "a=", "a=b,frames", "a=b,frames=0", "a=b,frames=many"]
)
def test_a_wrong_run_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["table", "h36m", "--run", text])


def test_missing_flags_are_named(capsys: pytest.CaptureFixture[str], weights: Path) -> None:
    assert main(["table", "3dpw", "--run", f"a={weights}", "--body", "open"]) == 2
    assert "`--data`, `--images`, `--male`, `--female`, `--regressor`" in capsys.readouterr().err
    assert main(["table", "h36m", "--predictions", "a=b.json"]) == 2
