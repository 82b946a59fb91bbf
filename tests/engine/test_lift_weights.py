"""Capture with a lifter that reads keypoints and weights: `poseformer`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine.lift.poseformer.config import PoseFormerConfig
from extpose_blender.engine.lift.poseformer.network import PoseFormer
from extpose_blender.engine.lift.poseformer.weights_file import TrainedFor, write_weights
from extpose_blender.engine.pipeline import capture
from extpose_blender.engine.report import Listener
from extpose_blender.protocol.errors import BadModelFile
from extpose_blender.protocol.files import read_json, sha256_of
from extpose_blender.protocol.job import Job
from extpose_blender.protocol.motion import read_motion
from extpose_blender.protocol.options import CaptureOptions

from .conftest import write_clip


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "walk.mp4", 20, (320, 240))


def write_random(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    net = PoseFormer(PoseFormerConfig(frames=9, dim=16, depth=1, heads=2))
    with torch.no_grad():
        net.pose.weight.normal_(std=0.1)
    write_weights(path, net, TrainedFor("open", "mediapipe33", "CC0-1.0", "a test"))
    return path


def poses(video: Path, out: Path, weights: Path, **choices: str) -> tuple[np.ndarray, Path]:
    options = CaptureOptions.from_dict(
        {"detector": "fake", "lifter": "poseformer", "weights": str(weights), **choices}
    )
    done = capture(Job(video, out, options), Listener())
    return read_motion(Path(done.outputs[0])).poses, Path(done.report)


def test_other_weights_give_another_motion_in_the_same_folder(video: Path, tmp_path: Path) -> None:
    weights = [write_random(tmp_path / f"{seed}.safetensors", seed) for seed in (0, 1)]
    first, report = poses(video, tmp_path / "out", weights[0])
    models = read_json(report)["models"]["lifter"]
    assert models == {"name": "poseformer", "sha256": {"0.safetensors": sha256_of(weights[0])}}
    second, _ = poses(video, tmp_path / "out", weights[1])
    assert np.abs(second - first).max() > 0.01
    again, _ = poses(video, tmp_path / "out", weights[0])
    np.testing.assert_array_equal(again, first)


def test_fit_may_go_over_its_result(video: Path, tmp_path: Path) -> None:
    weights = write_random(tmp_path / "a.safetensors", 0)
    refined, report = poses(video, tmp_path / "out", weights, refine="fit")
    assert np.isfinite(refined).all()
    hashes = read_json(report)["models"]["lifter"]["sha256"]
    assert set(hashes) == {"a.safetensors", "pose.npz"}


def test_weights_of_another_network_are_refused(video: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"no weights")
    with pytest.raises(BadModelFile, match="safetensors"):
        poses(video, tmp_path / "out", path)
