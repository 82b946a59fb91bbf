"""Known turns of a camera in a textured room are found; a camera on a tripod is left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from extpose_blender.engine.video.camera_motion import CameraMotion
from extpose_blender.engine.video.clip import Sampling, probe_clip, read_frames
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.files import read_npz, write_npz
from extpose_blender.protocol.flow import Frame, Intrinsics
from extpose_blender.protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat

WIDTH, HEIGHT, ROWS = 640, 360, 90
NOBODY = np.zeros((0, 4))


@cache
def room() -> np.ndarray:
    """A panorama (1024, 2048) with structure of all sizes, drawn once."""
    rng = np.random.default_rng(0)
    image = np.zeros((1024, 2048), np.float32)
    for k in range(3, 9):
        noise = rng.normal(0, 1.6 ** (8 - k), (2**k, 2 ** (k + 1))).astype(np.float32)
        image += cv2.resize(noise, (2048, 1024), interpolation=cv2.INTER_CUBIC)
    low, high = image.min(), image.max()
    return np.asarray((image - low) / (high - low) * 255, np.float32)


def seen(camera0_R_camera: np.ndarray, focal: float) -> np.ndarray:
    """The picture of the room through a camera."""
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5 - WIDTH / 2, np.arange(HEIGHT) + 0.5 - HEIGHT / 2)
    rays = np.stack([x / focal, y / focal, np.ones_like(x)], -1) @ camera0_R_camera.T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    u = (np.arctan2(rays[..., 0], rays[..., 2]) / (2 * np.pi) + 0.5) * 2048
    v = (np.arcsin(rays[..., 1]) / np.pi + 0.5) * 1024
    grey = cv2.remap(room(), u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, 2)


def filmed(turns: np.ndarray, focal: float) -> Iterator[tuple[Frame, np.ndarray]]:
    """Rows with a checked person who walks through, and the person's box."""
    for row, turn in enumerate(turns):
        image = seen(turn, focal)
        left = 100 + 3 * row
        cells = np.indices((280, 100)).sum(axis=0) // 10 % 2 * 255
        image[70:350, left : left + 100] = cells[..., None]
        yield Frame(row, row, row / 30, image), np.array([[left, 70, left + 100, 350.0]])


def turned(kind: str) -> np.ndarray:
    """(ROWS, 3, 3) known rotations of the camera."""
    t = np.arange(ROWS) / ROWS
    shake = np.cumsum(np.random.default_rng(3).normal(0, 0.3, (ROWS, 3)), axis=0)
    smooth = np.stack([np.convolve(s, np.ones(9) / 9, "same") for s in shake.T], axis=1)
    degrees = {
        "pan": np.stack([0 * t, 60 * t, 0 * t], 1),
        "tilt": np.stack([-20 * t, 0 * t, 0 * t], 1),
        "roll": np.stack([0 * t, 0 * t, 25 * t], 1),
        "there and back": np.stack([0 * t, 20 * np.sin(2 * np.pi * t), 3 * t], 1),
        "hand": smooth,
        "slow": np.stack([0 * t, 3 * t, 0 * t], 1),
    }[kind]
    return rotvec_to_rotmat(np.radians(degrees - degrees[0]))


@pytest.mark.parametrize("kind", ["pan", "tilt", "roll", "there and back", "hand", "slow"])
@pytest.mark.parametrize("focal", [450.0, 900.0])
def test_known_turns_are_found(kind: str, focal: float) -> None:
    truth = turned(kind)
    camera = CameraMotion(WIDTH, HEIGHT)
    for frame, boxes in filmed(truth, focal):
        camera.add(frame, boxes)
    found = camera.finish(Intrinsics(focal, WIDTH, HEIGHT, "given"))
    error = np.linalg.norm(rotmat_to_rotvec(np.swapaxes(found, -1, -2) @ truth), axis=-1)
    assert np.degrees(error.max()) < 0.35
    np.testing.assert_array_equal(found[0], np.eye(3))
    np.testing.assert_allclose(
        found @ np.swapaxes(found, -1, -2), np.tile(np.eye(3), (ROWS, 1, 1)), atol=1e-9
    )


def test_a_still_camera_is_exactly_still() -> None:
    """A person walks through, and the sensor is noisy."""
    camera, rng = CameraMotion(WIDTH, HEIGHT), np.random.default_rng(5)
    for frame, boxes in filmed(np.tile(np.eye(3), (ROWS, 1, 1)), 600.0):
        noisy = np.clip(frame.image_rgb + rng.normal(0, 4, frame.image_rgb.shape), 0, 255)
        camera.add(Frame(frame.row, frame.row, frame.time_s, noisy.astype(np.uint8)), boxes)
    found = camera.finish(Intrinsics(600.0, WIDTH, HEIGHT, "given"))
    np.testing.assert_array_equal(found, np.tile(np.eye(3), (ROWS, 1, 1)))


def test_a_blank_wall_and_one_row_are_still() -> None:
    blank = CameraMotion(WIDTH, HEIGHT)
    for row in range(5):
        image = np.full((HEIGHT, WIDTH, 3), 40 * row, np.uint8)
        blank.add(Frame(row, row, row / 10, image), NOBODY)
    one = CameraMotion(WIDTH, HEIGHT)
    one.add(Frame(0, 0, 0.0, seen(np.eye(3), 600.0)), NOBODY)
    for camera, rows in ((blank, 5), (one, 1)):
        found = camera.finish(Intrinsics(600.0, WIDTH, HEIGHT, "given"))
        np.testing.assert_array_equal(found, np.tile(np.eye(3), (rows, 1, 1)))


@pytest.mark.parametrize("stop", [1, 2, 40])
def test_going_on_from_a_state_changes_nothing(stop: int, tmp_path: Path) -> None:
    rows = list(filmed(turned("there and back"), 600.0))
    whole, first, second = (CameraMotion(WIDTH, HEIGHT) for _ in range(3))
    for frame, boxes in rows:
        whole.add(frame, boxes)
    for frame, boxes in rows[:stop]:
        first.add(frame, boxes)
    write_npz(tmp_path / "state.npz", first.state())  # refuses what would need pickle
    second.restore(read_npz(tmp_path / "state.npz"))
    for frame, boxes in rows[stop:]:
        second.add(frame, boxes)
    lens = Intrinsics(600.0, WIDTH, HEIGHT, "given")
    np.testing.assert_array_equal(whole.finish(lens), second.finish(lens))


def test_wrong_arrays_are_refused() -> None:
    camera = CameraMotion(WIDTH, HEIGHT)
    with pytest.raises(BadShape):
        camera.add(Frame(0, 0, 0.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8)), np.zeros(4))
    with pytest.raises(BadShape, match="rows"):
        camera.restore({})


@pytest.mark.parametrize(
    "clip", ["walk_sit_single/video.mp4", "squats_single/video.mp4", "upper_body_4view/cam2.mp4"]
)
def test_real_tripods_are_still(clip: str, shared_path: Callable[[str], Path]) -> None:
    """Without any boxes, so that the person's own movement must be told from the camera's."""
    info = probe_clip(shared_path(f"clips/{clip}"))
    camera = CameraMotion(info.width, info.height)
    for frame in read_frames(info, Sampling()):
        camera.add(frame, NOBODY)
    found = camera.finish(Intrinsics(float(info.width), info.width, info.height, "assumed"))
    np.testing.assert_array_equal(found, np.tile(np.eye(3), (len(found), 1, 1)))
