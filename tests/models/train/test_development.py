"""Scores as training goes: what was seen comes back from its file, and errors are those of the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine.lift.poseformer.config import PoseFormerConfig
from extpose_blender.engine.lift.poseformer.network import PoseFormer
from extpose_blender.protocol.skeletons import LIMB_JOINTS, SMPL_24
from models.evaluate.truth import TruthClip
from models.train.development import (
    Sighting,
    estimate,
    read_sightings,
    score_network,
    write_sightings,
)
from tests.engine.lift.synthetic import CAMERA, walking_person


@pytest.fixture
def sighting() -> Sighting:
    person = walking_person(rows=30)
    joints = person.joints_m[:, list(SMPL_24.indices(*LIMB_JOINTS))]
    truth = TruthClip("walk", Path(), 30.0, LIMB_JOINTS, joints, ("left_hip", "right_hip"))
    return Sighting(person.track, CAMERA, truth)


def test_what_was_seen_comes_back(sighting: Sighting, tmp_path: Path) -> None:
    path = tmp_path / "seen.npz"
    write_sightings(path, [sighting, sighting])
    for found in read_sightings(path):
        assert found.intrinsics == sighting.intrinsics
        assert found.truth.joint_names == sighting.truth.joint_names
        np.testing.assert_array_equal(found.track.keypoints_2d, sighting.track.keypoints_2d)
        np.testing.assert_allclose(found.truth.joints_m, sighting.truth.joints_m, atol=1e-6)


def test_estimates_are_what_the_lifter_says(sighting: Sighting, tmp_path: Path) -> None:
    from extpose_blender.engine.body.load import load_body
    from extpose_blender.engine.lift.poseformer.lifter import PoseFormerLifter
    from extpose_blender.engine.lift.poseformer.weights_file import TrainedFor, write_weights
    from tests.engine.lift.synthetic import joints_of

    torch.manual_seed(0)
    net = PoseFormer(PoseFormerConfig(frames=9, dim=16, depth=1, heads=2)).eval()
    weights = tmp_path / "a.safetensors"
    write_weights(weights, net, TrainedFor("open", "mediapipe33", "CC0-1.0", ""), torch.float32)
    lifted = PoseFormerLifter(load_body("open"), weights=str(weights))(sighting.track, CAMERA)
    joints = joints_of(lifted)[:, list(SMPL_24.indices(*LIMB_JOINTS))]
    found, seen = estimate(net, sighting)
    assert seen.all()
    # The lifter also says where; both round the hips.
    np.testing.assert_allclose(
        found - found[:, 6:8].mean(1, keepdims=True),
        joints - joints[:, 6:8].mean(1, keepdims=True),
        atol=2e-3,
    )


def test_a_fresh_network_scores_as_the_hints_do(sighting: Sighting, tmp_path: Path) -> None:
    path = tmp_path / "seen.npz"
    write_sightings(path, [sighting])
    torch.manual_seed(0)
    net = PoseFormer(PoseFormerConfig(frames=9, dim=16, depth=1, heads=2))
    scores = score_network(net, path)
    assert set(scores) == {"PA-MPJPE mm", "MPJPE mm", "acceleration m/s²"}
    assert scores["PA-MPJPE mm"] < 60
