"""The camera equals the public models', and both of its forms agree about the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.layer import rotvec_to_rotmat
from extpose_blender.engine.lift.extpose import camera as cam
from extpose_blender.protocol import geometry

Archive = np.lib.npyio.NpzFile


@pytest.fixture(scope="module")
def tensors(shared_fixture: Callable[[str], Archive]) -> dict[str, torch.Tensor]:
    archive = shared_fixture("geometry.npz")
    return {name: torch.tensor(archive[name]) for name in archive.files}


def test_projections_are_the_reference_s(tensors: dict[str, torch.Tensor]) -> None:
    points, shift = tensors["proj/points"], tensors["proj/translation"]
    focal = tensors["proj/focal_px"]
    np.testing.assert_allclose(
        cam.project(points, shift, focal / 256), tensors["proj/out_norm"], atol=1e-5
    )
    np.testing.assert_allclose(
        cam.project_in_crop(points, shift), tensors["proj/out_norm"], atol=1e-5
    )
    pixels = cam.project(
        points, shift, focal, tensors["proj/camera_center"], tensors["proj/rotation"]
    )
    np.testing.assert_allclose(pixels, tensors["proj/out_px"], atol=1e-3)


def test_translations_are_the_reference_s(tensors: dict[str, torch.Tensor]) -> None:
    camera, sizes = tensors["cam/pred_cam"], tensors["cam/img_size_wh"]
    box = (tensors["cam/box_center"], tensors["cam/box_size"], sizes)
    focal = cam.focal_of_full(sizes)
    assert float(focal) == float(tensors["cam/scaled_focal"])
    hands = cam.unmirrored_camera(camera, tensors["cam_hand/right"])
    pairs = [
        (cam.translation_in_crop(camera), "cam/pred_cam_t"),
        (cam.translation_in_full(camera, *box, focal), "cam/full_scaled"),
        (cam.translation_in_full(camera, *box, 5000.0), "cam/full_default5000"),
        (cam.translation_in_full(hands, *box, focal), "cam_hand/full_scaled"),
    ]
    for got, name in pairs:
        np.testing.assert_allclose(got, tensors[name], rtol=1e-5, atol=1e-6)


def test_rotations_are_the_reference_s(tensors: dict[str, torch.Tensor]) -> None:
    """Ours are the exact ones; the reference adds 1e-8 to every angle."""
    rotvec, wanted = tensors["aa/in"], tensors["aa/out"]
    np.testing.assert_allclose(rotvec_to_rotmat(rotvec), wanted, atol=1e-5)
    np.testing.assert_allclose(geometry.rotvec_to_rotmat(rotvec.numpy()), wanted, atol=1e-5)
    quat = tensors["quat/in_wxyz"]
    unit = quat / quat.norm(dim=1, keepdim=True)
    np.testing.assert_allclose(
        geometry.quat_to_rotmat(unit.numpy()), tensors["quat/out"], atol=1e-5
    )


def _scene(*batch: int) -> tuple[torch.Tensor, ...]:
    """Cameras, flat bodies facing them, centres and sides of boxes."""
    generator = torch.Generator().manual_seed(3)
    camera = torch.randn(*batch, 3, generator=generator, dtype=torch.float64) * 0.1
    camera[..., 0] += 0.9
    points = torch.randn(*batch, 17, 3, generator=generator, dtype=torch.float64) * 0.5
    points[..., 2] = 0
    center = torch.rand(*batch, 2, generator=generator, dtype=torch.float64) * 500 + 300
    side = torch.rand(batch, generator=generator, dtype=torch.float64) * 300 + 200
    return camera, points, center, side


@pytest.mark.parametrize("focal", [700.0, 25000.0])
@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_person_stays_at_its_place_in_the_picture(batch: tuple[int, ...], focal: float) -> None:
    """What lies at the body's own depth is seen at the same pixel by both cameras."""
    camera, points, center, side = _scene(*batch)
    size = torch.tensor([1280.0, 960.0], dtype=torch.float64)
    in_crop = cam.project_in_crop(points, cam.translation_in_crop(camera))
    from_crop = center[..., None, :] + in_crop * side[..., None, None]
    shift = cam.translation_in_full(camera, center, side, size, focal)
    both = torch.full((2,), focal, dtype=torch.float64)
    in_full = cam.project(points, shift, both, size / 2)
    assert in_full.shape == (*batch, 17, 2)
    np.testing.assert_allclose(in_full, from_crop, atol=1e-5)


def test_focal_length_scales_depth_alone() -> None:
    camera, _, center, side = _scene(4)
    size = torch.tensor([640.0, 480.0], dtype=torch.float64)
    near = cam.translation_in_full(camera, center, side, size, 500.0)
    far = cam.translation_in_full(camera, center, side, size, torch.full((4,), 1500.0))
    np.testing.assert_allclose(far / near, torch.tensor([[1.0, 1.0, 3.0]] * 4), atol=1e-9)


def test_gradients_reach_camera_and_points() -> None:
    camera, points, center, side = _scene(2)
    camera.requires_grad_()
    points.requires_grad_()

    def both(camera: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        size = torch.tensor([640.0, 480.0], dtype=torch.float64)
        crop = cam.project_in_crop(points, cam.translation_in_crop(camera))
        full = cam.translation_in_full(camera, center, side, size, 900.0)
        return crop.sum() + full.sum()

    assert torch.autograd.gradcheck(both, (camera, points))


def test_unmirroring_is_a_reflection_of_the_whole_hand() -> None:
    """Turned by unmirrored rotations, mirrored bones give the mirrored points."""
    rotvec = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    right = torch.tensor([1, 0, 1, 0, 0, 1])
    turns = rotvec_to_rotmat(rotvec)
    bones = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    flipped = cam.unmirrored_rotmat(turns, right)
    of_mirrored = (flipped @ cam.unmirrored_points(bones, right)[..., None])[..., 0]
    mirrored = cam.unmirrored_points((turns @ bones[..., None])[..., 0], right)
    np.testing.assert_allclose(of_mirrored, mirrored, atol=1e-12)
    np.testing.assert_array_equal(flipped[right == 1], turns[right == 1])
    signs = rotvec.new_tensor([1, -1, -1])
    np.testing.assert_allclose(
        flipped[right == 0], rotvec_to_rotmat(rotvec * signs)[right == 0], atol=1e-12
    )


def test_left_hand_lies_where_its_mirrored_crop_shows_it() -> None:
    """The left-hand rule end to end: crop units of the mirrored crop against the picture itself."""
    camera, points, center, side = _scene(5)
    left = torch.zeros(5)
    size = torch.tensor([1280.0, 960.0], dtype=torch.float64)
    in_crop = cam.project_in_crop(points, cam.translation_in_crop(camera))
    mirrored_center = torch.stack([size[0] - center[:, 0] - 1, center[:, 1]], -1)
    in_mirrored = mirrored_center[:, None] + in_crop * side[:, None, None]
    in_picture = torch.stack([size[0] - in_mirrored[..., 0] - 1, in_mirrored[..., 1]], -1)

    focal = float(cam.focal_of_full(size))
    shift = cam.translation_in_full(cam.unmirrored_camera(camera, left), center, side, size, focal)
    both = torch.full((2,), focal, dtype=torch.float64)
    got = cam.project(cam.unmirrored_points(points, left), shift, both, size / 2)
    np.testing.assert_allclose(got, in_picture, atol=1e-5)
