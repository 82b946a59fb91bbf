"""Batches repeat from seed and step, and their parts agree with each other."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import torch

from extpose_blender.engine.body.load import load_body
from extpose_blender.protocol.skeletons import SMPLH_52
from models.data.cameras import project
from models.data.clips import Clips, ClipSource
from models.data.motion import MotionBank


def same(a: Clips, b: Clips) -> bool:
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Clips))


def test_a_batch_is_a_function_of_seed_and_step(source: ClipSource, bank: MotionBank) -> None:
    fresh = ClipSource(bank, seed=source.seed)
    later = source.batch(5, 6, 8)
    source.batch(2, 3, 4)
    assert same(later, fresh.batch(5, 6, 8))
    assert not same(later, source.batch(6, 6, 8))
    assert not same(later, ClipSource(bank, seed=source.seed + 1).batch(5, 6, 8))


def test_shapes_and_finite_numbers(source: ClipSource) -> None:
    clips = source.batch(0, 5, 7)
    shapes = {
        "keypoints_px": (7, 33, 3), "hints_m": (7, 33, 4), "seen": (7,), "true_px": (7, 33, 2),
        "landmarks_m": (7, 33, 3), "rotmat": (7, 24, 3, 3), "betas": (10,), "transl_m": (7, 3),
        "joints_m": (7, 24, 3), "joints_px": (7, 24, 2), "focal_px": (), "size_wh": (2,),
        "fps": (), "world_T_camera": (7, 4, 4), "hand_rotvec": (7, 30, 3),
    }  # fmt: skip
    for name, shape in shapes.items():
        array = getattr(clips, name)
        assert tuple(array.shape) == (5, *shape), name
        assert torch.isfinite(array.float()).all(), name
    assert len(clips.select(torch.tensor([1, 3]))) == 2


def test_the_pose_puts_the_open_body_where_the_joints_are(source: ClipSource) -> None:
    clips = source.batch(1, 4, 5)
    layer = load_body("open").layer
    rotmat = torch.eye(3).repeat(20, len(SMPLH_52), 1, 1)
    rotmat[:, :22] = clips.rotmat.flatten(0, 1)[:, :22]
    betas = clips.betas.repeat_interleave(5, 0)
    joints = layer.joints(betas, rotmat, clips.transl_m.flatten(0, 1))
    np.testing.assert_allclose(joints[:, :22], clips.joints_m.flatten(0, 1)[:, :22], atol=2e-5)


def test_points_are_the_projections_of_their_places(source: ClipSource) -> None:
    clips = source.batch(2, 6, 5)
    for flat, deep in ((clips.true_px, clips.landmarks_m), (clips.joints_px, clips.joints_m)):
        expected = project(deep, clips.focal_px, clips.size_wh)
        np.testing.assert_allclose(flat, expected, rtol=1e-5)


def test_people_who_are_not_seen_have_no_points(source: ClipSource) -> None:
    clips = source.batch(3, 64, 8)
    gone = ~clips.seen
    assert gone.any() and clips.seen.any()
    assert not clips.keypoints_px[gone].any() and not clips.hints_m[gone].any()
