"""A left hand end to end: what the network says of its mirrored crop lies on it in the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from extpose_blender.engine.body.load import Body, load_body
from extpose_blender.engine.body.model_joints import pose_model_joints
from extpose_blender.engine.lift.extpose import camera as cam
from extpose_blender.engine.lift.extpose.crop import (
    CropBox,
    box_around,
    crop_picture,
    keypoints_in_crop,
    normalize,
)
from extpose_blender.engine.lift.extpose.network import ExtPose
from tests.engine.body.fixture_body import write_shared_body

from .networks import small_network

WIDTH, HEIGHT = 640, 480
Archive = np.lib.npyio.NpzFile


@pytest.fixture(scope="module")
def hand(
    shared_fixture: Callable[[str], Archive], tmp_path_factory: pytest.TempPathFactory
) -> Body:
    pytest.importorskip("smplx")
    archive = shared_fixture("mano_layer_synthetic.npz")
    return load_body(write_shared_body(archive, tmp_path_factory.mktemp("hand")))


@pytest.fixture(scope="module")
def net() -> ExtPose:
    """A hand network with random weights whose hands lie within the crop."""
    made = small_network(body="mano", image_size=(256, 192), double=False)
    with torch.no_grad():
        made.mano_head.deccam.weight.mul_(0.01)
        made.mano_head.deccam.bias.copy_(torch.tensor([8.0, 0.005, -0.01]))
    return made


def _see(
    net: ExtPose, hand: Body, image_rgb: np.ndarray, box: CropBox, right: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """21 joints in pixels of the picture and in crop units of what the network saw, and in 3D."""
    picture = torch.from_numpy(crop_picture(image_rgb, box, mirrored=not right))
    with torch.no_grad():
        out = net(image=normalize(picture)[None, None])
        joints = pose_model_joints(hand, out.betas, out.rotmat[:, 0]).joints
    camera, is_right = out.camera[:, 0], torch.tensor([right])
    in_crop = cam.project_in_crop(joints, cam.translation_in_crop(camera))
    size = torch.tensor([WIDTH, HEIGHT], dtype=torch.float32)
    focal = float(cam.focal_of_full(size))
    shift = cam.translation_in_full(
        cam.unmirrored_camera(camera, is_right),
        torch.tensor([box.center_xy_px]),
        torch.tensor([box.side_px]),
        size,
        focal,
    )
    joints = cam.unmirrored_points(joints, is_right)
    pixels = cam.project(joints, shift, torch.tensor([focal, focal]), size / 2)
    return pixels[0], in_crop[0], joints[0]


def test_left_hand_is_the_mirror_image_of_a_right_one(net: ExtPose, hand: Body) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    mirror = np.ascontiguousarray(picture[:, ::-1])
    box = box_around((380, 150, 460, 250), padding=2.0)
    np.testing.assert_array_equal(
        crop_picture(picture, box, mirrored=True), crop_picture(mirror, box.mirrored(WIDTH))
    )
    left, seen_left, deep_left = _see(net, hand, picture, box, right=False)
    right, seen_right, deep_right = _see(net, hand, mirror, box.mirrored(WIDTH), right=True)
    np.testing.assert_array_equal(seen_left, seen_right)
    np.testing.assert_array_equal(deep_left * torch.tensor([-1, 1, 1]), deep_right)
    mirrored_right = torch.stack([WIDTH - 1 - right[:, 0], right[:, 1]], -1)
    np.testing.assert_allclose(left, mirrored_right, atol=0.2)


@pytest.mark.parametrize("is_right", [True, False])
def test_hand_lies_where_the_crop_shows_it(net: ExtPose, hand: Body, is_right: bool) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    box = box_around((300, 200, 390, 280), padding=2.0)
    pixels, in_crop, _ = _see(net, hand, picture, box, is_right)
    back = keypoints_in_crop(pixels.numpy(), box, None if is_right else WIDTH) / 256 - 0.5
    assert np.ptp(in_crop.numpy(), axis=0).min() > 0.05
    np.testing.assert_allclose(back, in_crop, atol=0.02)  # Perspective differs a little.
