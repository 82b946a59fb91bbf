"""Result files: round trips, nothing half-written, nothing executed."""

from __future__ import annotations

import os
import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.body_file import (
    BodyGeometry,
    read_body_geometry,
    write_body_geometry,
)
from extpose_blender.protocol.errors import BadMotionFile, BadShape, OutputNotWritable
from extpose_blender.protocol.files import read_npz, write_npz, written_aside
from extpose_blender.protocol.motion import Motion, read_motion, write_motion
from extpose_blender.protocol.skeletons import MEDIAPIPE_33, SMPLH_52


def make_motion(rows: int = 4) -> Motion:
    rng = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Motion(
        poses=numbers(rows, 156), trans=numbers(rows, 3), betas=numbers(10),
        surface_model_type="smplh", body_id="open", body_sha256="0" * 64, mocap_framerate=30.0,
        frame_index=np.arange(rows), time_s=np.arange(rows) / 30.0, joints=numbers(rows, 52, 3),
        joint_names=SMPLH_52.joint_names, keypoints_2d=numbers(rows, 33, 3),
        keypoint_names=MEDIAPIPE_33.joint_names, confidence=np.ones((rows, 52), np.float32),
        camera_T_world=np.tile(np.eye(4, dtype=np.float32), (rows, 1, 1)),
        camera_K=np.eye(3, dtype=np.float32), foot_contact=np.zeros((rows, 4), bool),
        meta={"source": "ü.mp4"},
    )  # fmt: skip


def make_body() -> BodyGeometry:
    return BodyGeometry(
        body_id="open", surface_model_type="smplh",
        rest_vertices_m=np.eye(3, dtype=np.float32), faces=np.array([[0, 1, 2]], np.int32),
        skin_joint=np.array([[0, 1], [1, 0], [2, 0]], np.int16),
        skin_weight=np.array([[0.5, 0.5], [1, 0], [1, 0]], np.float32),
        rest_joints_m=np.zeros((3, 3), np.float32), joint_names=("a", "b", "c"),
        parents=np.array([-1, 0, 1], np.int32),
    )  # fmt: skip


@pytest.mark.parametrize("rows", [1, 4])
def test_motion_round_trip(tmp_path: Path, rows: int) -> None:
    motion = make_motion(rows)
    write_motion(tmp_path / "person_0.npz", motion)
    again = read_motion(tmp_path / "person_0.npz")
    for f in fields(Motion):
        assert np.array_equal(getattr(again, f.name), getattr(motion, f.name)), f.name


def test_motion_file_needs_no_pickle_and_has_amass_keys(tmp_path: Path) -> None:
    write_motion(tmp_path / "m.npz", make_motion())
    with np.load(tmp_path / "m.npz", allow_pickle=False) as data:
        assert {
            "poses",
            "trans",
            "betas",
            "gender",
            "mocap_framerate",
            "surface_model_type",
        } <= set(data.files)
        assert str(data["gender"]) == "neutral"
        assert data["mocap_framerate"].dtype == np.float64


def test_body_round_trip_and_dense_weights(tmp_path: Path) -> None:
    write_body_geometry(tmp_path / "b.npz", make_body())
    again = read_body_geometry(tmp_path / "b.npz")
    assert again.joint_names == ("a", "b", "c")
    assert again.dense_weights().tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]]


def test_wrong_shape_names_field_wanted_and_actual() -> None:
    with pytest.raises(BadShape, match=r"`trans` must be \(T=4, 3\), not \(3, 3\)"):
        replace(make_motion(), trans=np.zeros((3, 3), np.float32))
    with pytest.raises(BadShape, match="`poses` holds 1 values that are not finite"):
        poses = make_motion().poses.copy()
        poses[0, 0] = np.nan
        replace(make_motion(), poses=poses)


@pytest.mark.parametrize("content", [b"", b"noise", b"PK\x03\x04broken"])
def test_damaged_file_is_an_input_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.npz").write_bytes(content)
    with pytest.raises(BadMotionFile) as caught:
        read_motion(tmp_path / "m.npz")
    assert caught.value.exit_code == 3


def test_a_pickle_in_a_motion_file_does_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    np.savez(tmp_path / "m.npz", poses=np.array([Bomb()], dtype=object))
    (tmp_path / "p.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("m.npz", "p.npz"):
        with pytest.raises(BadMotionFile):
            read_motion(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_missing_key_is_named(tmp_path: Path) -> None:
    write_motion(tmp_path / "m.npz", make_motion())
    arrays = read_npz(tmp_path / "m.npz")
    del arrays["trans"]
    write_npz(tmp_path / "m.npz", arrays)
    with pytest.raises(BadMotionFile, match="trans"):
        read_motion(tmp_path / "m.npz")


def test_failure_while_writing_keeps_the_old_file_and_leaves_no_part(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(OutputNotWritable), written_aside(path) as aside:
        aside.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.txt"]


def test_unwritable_folder_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputNotWritable) as caught:
        write_npz(tmp_path / "file" / "m.npz", {"a": np.zeros(1)})
    assert caught.value.exit_code == 5
