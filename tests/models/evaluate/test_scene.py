"""What is rendered and what is written as its truth are the same body, seen by the same camera."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.resources import find_resource
from extpose_blender.protocol.skeletons import LIMB_JOINTS
from models.evaluate.cameras import place_cameras
from models.evaluate.posed_body import BodyModel, pose_joints, read_body_model, skin
from models.evaluate.rendered_set import BODY, encode, make_clips, read_list
from models.evaluate.room import HALF_SIZE_M
from models.evaluate.scene import Take, TakePlan, camera_truth, make_take
from models.evaluate.truth import rendered_clips
from models.mocap.sequence import read_sequences

PLAN = TakePlan("deepmimic/walk", frames=2, cameras=2, size=(320, 180), seed=3)


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return read_body_model(find_resource(BODY))


@pytest.fixture(scope="module")
def take(model: BodyModel, shared_path: Callable[[str], Path]) -> Take:
    (sequence,) = read_sequences(shared_path("motion/motion_30fps.zip").parent, {PLAN.key})
    return make_take(sequence, model, PLAN)


def project(points: np.ndarray, take: Take, number: int) -> np.ndarray:
    camera = take.cameras[number]
    pixels = camera.see(points.astype(float)) @ camera.K.T
    return np.asarray(pixels[..., :2] / pixels[..., 2:])


def test_held_out_sequences_are_six_and_tuning_uses_others() -> None:
    held_out = {plan.key for plan in read_list("held_out")}
    assert len(held_out) == 6
    assert not held_out & {plan.key for plan in read_list("development")}
    assert sum(plan.frames * plan.cameras for plan in read_list("held_out")) <= 1500


def test_every_listed_sequence_exists(shared_path: Callable[[str], Path]) -> None:
    folder = Path(__file__).parents[3] / "models/evaluate"
    manifest = shared_path("motion/manifest.json").read_text(encoding="utf-8")
    for name in ("held_out", "development"):
        for entry in tomllib.loads((folder / f"{name}.toml").read_text())["sequence"]:
            assert f'"{entry["key"]}"' in manifest
            assert entry["why"]


def test_skinning_equals_the_engine(model: BodyModel) -> None:
    torch = pytest.importorskip("torch")
    from extpose_blender.engine.body.load import load_body

    rng = np.random.default_rng(0)
    rotvec, transl = rng.normal(0, 0.4, (2, 52, 3)), rng.normal(size=(2, 3))
    betas = rng.normal(size=10)
    vertices, joints = model.shaped(betas)
    turned, places = pose_joints(joints, model.parents, rotvec, transl)
    ours = skin(vertices, joints, model.weights, turned, places)
    posed = load_body("open").pose(
        torch.from_numpy(np.stack([betas, betas])).float(),
        torch.from_numpy(rotvec).float(),
        torch.from_numpy(transl).float(),
    )
    assert places == pytest.approx(posed.joints.numpy(), abs=1e-5)
    assert ours == pytest.approx(posed.points.numpy(), abs=1e-5)


def test_cameras_see_the_whole_body_and_stand_in_the_room(take: Take) -> None:
    for number, camera in enumerate(take.cameras):
        pixels = project(take.vertices_m, take, number)
        assert (pixels > 0).all()
        assert (pixels < take.plan.size).all()
        turn = camera.camera_T_world[:3, :3]
        assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)
        middle = take.room.faces.corners_m[..., :2].mean(axis=(0, 1))
        assert np.abs(camera.place_m[:2] - middle).max() < HALF_SIZE_M + 1


def test_cameras_stand_all_round() -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 30, 3)) + np.array([0, 0, 1])
    cameras = place_cameras(points, 3, (640, 360), np.random.default_rng(1))
    yaws = np.sort([np.arctan2(c.place_m[1], c.place_m[0]) for c in cameras])
    assert np.diff(yaws).min() > 1.2
    assert np.ptp([c.place_m[2] for c in cameras]) > 1.0


def test_the_same_seed_makes_the_same_take(
    take: Take, model: BodyModel, shared_path: Callable[[str], Path]
) -> None:
    (sequence,) = read_sequences(shared_path("motion/motion_30fps.zip").parent, {PLAN.key})
    again = make_take(sequence, model, PLAN)
    assert np.array_equal(again.vertices_m, take.vertices_m)
    assert np.array_equal(again.room.faces.colours, take.room.faces.colours)
    other = make_take(sequence, model, replace(PLAN, seed=4))
    assert not np.array_equal(other.truth["betas"], take.truth["betas"])


def test_soles_touch_the_floor(take: Take) -> None:
    assert abs(take.vertices_m[..., 2].min()) < 0.03


def test_truth_in_the_camera_is_truth_in_the_world_seen_from_there(take: Take) -> None:
    truth = camera_truth(take, take.cameras[1])
    matrix = truth["camera_T_world"].astype(float)
    seen = truth["joints_world_m"] @ matrix[:3, :3].T + matrix[:3, 3]
    assert truth["joints_camera_m"] == pytest.approx(seen, abs=1e-5)


@pytest.mark.bpy
@pytest.mark.slow
def test_rendered_joints_lie_on_the_rendered_body(take: Take, tmp_path: Path) -> None:
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("needs the bpy wheel")
    av = pytest.importorskip("av")
    away = take.vertices_m[1] + np.array([0, 0, -50], np.float32)
    glaring = np.tile(np.array([1.0, 0.0, 0.6], np.float32), (len(take.colours), 1))
    shown = replace(take, vertices_m=np.stack([take.vertices_m[0], away]), colours=glaring)
    make_clips(shown, [tmp_path / "walk.cam0", tmp_path / "walk.cam1"])
    clips = list(rendered_clips(tmp_path))
    assert [clip.name for clip in clips] == ["walk.cam0", "walk.cam1"]
    for number, clip in enumerate(clips):
        assert clip.joint_names == LIMB_JOINTS
        with av.open(str(clip.video)) as video:
            person, empty = [
                f.to_ndarray(format="rgb24").astype(int) for f in video.decode(video=0)
            ]
        body = np.abs(person - empty).sum(axis=2) > 24
        pixels = project(take.truth["joints_world_m"][0, :22], take, number).astype(int)
        assert body[pixels[:, 1], pixels[:, 0]].all()


def test_encoding_keeps_every_picture(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(5):
        level = np.full((64, 96, 3), 20 + 40 * number, np.uint8) + rng.integers(0, 8, 3, np.uint8)
        picture = tmp_path / f"{number}.png"
        av.VideoFrame.from_ndarray(level, format="rgb24").to_image().save(picture)
        pictures.append(picture)
    encode(pictures, tmp_path / "clip.mp4", 30.0, 12)
    with av.open(str(tmp_path / "clip.mp4")) as video:
        means = [frame.to_ndarray(format="rgb24").mean() for frame in video.decode(video=0)]
    assert len(means) == 5
    assert np.diff(means) == pytest.approx(40, abs=8)
