"""Crops equal those of the public models, and only what a crop shows is ever touched."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from extpose_blender.engine.lift.extpose.crop import (
    CROP_SIZE,
    NETWORK_COLUMNS,
    CropBox,
    affine_of_box,
    box_around,
    box_of_keypoints,
    crop_picture,
    expand_to_aspect,
    keypoints_in_crop,
    normalize,
)
from extpose_blender.protocol.errors import BadShape

Archive = np.lib.npyio.NpzFile
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def arrays(shared_fixture: Callable[[str], Archive]) -> Archive:
    return shared_fixture("crop.npz")


def _rgb(arrays: Archive, name: str) -> np.ndarray:
    return np.ascontiguousarray(arrays[name][..., ::-1])


def _smooth_picture(height: int, width: int) -> np.ndarray:
    rough = RNG.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC))


def test_boxes_grow_to_the_aspect(arrays: Archive) -> None:
    grown = expand_to_aspect(arrays["aspect/in_wh"], arrays["aspect/target_wh"])
    np.testing.assert_allclose(grown, arrays["aspect/out_wh"], atol=1e-9)
    for given, wanted in zip(arrays["aspect/in_xyxy"], arrays["aspect/out_xyxy"], strict=True):
        box = box_around(given)
        size = expand_to_aspect(given[2:] - given[:2])
        corners = np.concatenate([box.center_xy_px - size / 2, box.center_xy_px + size / 2])
        np.testing.assert_allclose(corners, wanted, atol=1e-9)
        assert box.side_px == pytest.approx((wanted[2:] - wanted[:2]).max(), abs=1e-9)


def test_affine_maps_are_the_reference_s(arrays: Archive) -> None:
    rows = arrays["affine/params_cx_cy_sw_sh_dw_dh_scale_rot"]
    for (x, y, w, h, out_w, out_h, scale, turn), wanted in zip(
        rows, arrays["affine/trans"], strict=True
    ):
        got = affine_of_box((x, y), (w * scale, h * scale), (out_w, out_h), turn)
        np.testing.assert_allclose(got, wanted, atol=1e-9)


def test_patches_are_the_reference_s(arrays: Archive) -> None:
    image = _rgb(arrays, "img0_bgr")
    rows = arrays["patch/params_cx_cy_bbox_flip_scale_rot"]
    for (x, y, side, flip, scale, turn), patch, affine in zip(
        rows, arrays["patch/out_bgr_u8"], arrays["patch/trans"], strict=True
    ):
        box = CropBox((x, y), side * scale, turn)
        shown = box.mirrored(image.shape[1]) if flip else box
        np.testing.assert_allclose(shown.affine(), affine, atol=1e-9)
        crop = crop_picture(image, box, bool(flip), antialias=False, columns=None)
        np.testing.assert_array_equal(crop, patch[..., ::-1])


@pytest.mark.parametrize(
    ("group", "picture", "row"),
    [("vitdet_body", "img0_bgr", row) for row in range(3)]
    + [("vitdet_hand", "img0_bgr", row) for row in range(3)]
    + [("vitdet_body_blur", "img1_bgr", 0)],
)
def test_network_input_is_the_reference_s(
    arrays: Archive, group: str, picture: str, row: int
) -> None:
    image, name = _rgb(arrays, picture), f"{group}/{row}"
    is_hand = group == "vitdet_hand"
    right = bool(arrays[f"{group}/right"][row]) if is_hand else True
    padding = float(arrays[f"{name}/rescale_factor"]) if is_hand else 1.0
    box = box_around(arrays[f"{group}/boxes_xyxy"][row], padding)
    np.testing.assert_allclose(box.center_xy_px, arrays[f"{name}/box_center"], atol=1e-4)
    assert box.side_px == pytest.approx(float(arrays[f"{name}/box_size"]), abs=1e-4)
    np.testing.assert_array_equal(image.shape[1::-1], arrays[f"{name}/img_size"])
    wanted = arrays[f"{name}/img"]

    exact = crop_picture(image, box, not right, columns=None, rounded=False)
    np.testing.assert_allclose(normalize(torch.tensor(exact)), wanted, atol=5e-6)

    rounded = crop_picture(image, box, not right, columns=None)
    assert rounded.dtype == np.uint8
    error = normalize(torch.tensor(rounded)).numpy() - wanted
    assert np.abs(error).max() < 0.0101  # half a grey level, where the reference keeps fractions
    assert abs(error.mean()) < 1e-3

    seen = crop_picture(image, box, not right)
    np.testing.assert_array_equal(seen, rounded[:, NETWORK_COLUMNS])


def _crop_naive(
    image: np.ndarray, box: CropBox, mirrored: bool, columns: slice | None
) -> np.ndarray:
    """The whole picture mirrored, blurred by scipy and warped, as the reference does."""
    if mirrored:
        image, box = image[:, ::-1], box.mirrored(image.shape[1])
    shrinks = box.side_px / CROP_SIZE / 2
    blurred = image.astype(np.float64)
    if shrinks > 1.1:
        sigma = (shrinks - 1) / 2
        blurred = gaussian_filter(blurred, (sigma, sigma, 0), mode="nearest", truncate=4.0)
    crop = cv2.warpAffine(blurred, box.affine(), (CROP_SIZE, CROP_SIZE), flags=cv2.INTER_LINEAR)
    return crop[:, columns or slice(None)]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("columns", [None, NETWORK_COLUMNS, slice(200, 203)])
@pytest.mark.parametrize(
    "box",
    [
        CropBox((301.25, 222.5), 180.0),
        CropBox((20.0, 430.0), 320.0),
        CropBox((320.0, 240.0), 700.4, 33.0),
        CropBox((600.3, 100.7), 1400.0),
        CropBox((310.0, 200.0), 90.0, -75.0),
        CropBox((-150.0, 900.0), 1000.0, 10.0),
        CropBox((320.0, 240.0), 4000.0),
    ],
)
def test_equals_blurring_and_warping_the_whole_picture(
    box: CropBox, columns: slice | None, mirrored: bool
) -> None:
    image = _smooth_picture(480, 640)
    got = crop_picture(image, box, mirrored, columns=columns, rounded=False)
    np.testing.assert_allclose(got, _crop_naive(image, box, mirrored, columns), atol=0.51)
    inside = box.side_px / CROP_SIZE / 2 > 1.1
    if inside:  # Float all the way.
        np.testing.assert_allclose(got, _crop_naive(image, box, mirrored, columns), atol=2e-3)


def test_pixels_outside_the_shown_part_do_not_matter() -> None:
    image, box = _smooth_picture(500, 900), CropBox((450.0, 250.0), 600.0)
    other = image.copy()
    half = 600 * 96 / 256 + 8
    other[:, : int(450 - half)] = 255
    other[:, int(450 + half) :] = 255
    np.testing.assert_array_equal(crop_picture(image, box), crop_picture(other, box))


def test_box_beyond_the_picture_is_black() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    for mirrored in (False, True):
        crop = crop_picture(image, CropBox((-500.0, 50.0), 100.0), mirrored)
        assert crop.shape == (256, 192, 3)
        assert not crop.any()
    assert not crop_picture(image, CropBox((50.0, 5000.0), 900.0), rounded=False).any()


def test_centre_of_the_box_lands_on_the_centre_of_the_crop() -> None:
    box = CropBox((123.4, 77.7), 88.0)
    places = np.array([[123.4, 77.7, 0.5], [123.4 + 44, 77.7 - 44, 0.1]], np.float32)
    got = keypoints_in_crop(places, box)
    np.testing.assert_allclose(got, [[128, 128, 0.5], [256, 0, 0.1]], atol=1e-4)
    assert got.dtype == np.float32


def test_keypoints_follow_the_mirrored_picture() -> None:
    image = np.zeros((200, 300, 3), np.uint8)
    image[60:63, 200:203] = 255
    box = CropBox((190.0, 70.0), 120.0)
    crop = crop_picture(image, box, mirrored=True, columns=None)
    rows, columns = np.nonzero(crop[..., 0])
    weights = crop[rows, columns, 0].astype(float)
    middle = np.average(np.stack([columns, rows], 1), axis=0, weights=weights)
    points = np.array([[[201.0, 61.0, 0.9]]])
    got = keypoints_in_crop(points, box, mirrored_width=300)
    np.testing.assert_allclose(got[0, 0, :2], middle, atol=0.1)
    assert got.shape == points.shape
    assert got[0, 0, 2] == 0.9


def test_mirroring_twice_gives_the_box_back() -> None:
    box = CropBox((10.5, 20.0), 30.0, 5.0)
    assert box.mirrored(640).mirrored(640) == box


def test_padding_comes_before_the_aspect() -> None:
    assert box_around((0, 0, 30, 80), 2.0).side_px == pytest.approx(160)
    assert box_around((0, 0, 90, 80), 2.0).side_px == pytest.approx(240)
    assert box_around((0, 0, 90, 80), 2.0, aspect_wh=None).side_px == pytest.approx(180)


@pytest.mark.parametrize("box", [(10, 10, 10, 10), (20, 0, 10, 5), (0, 0, np.nan, 5), (0, 0, 5)])
def test_empty_boxes_are_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(BadShape):
        box_around(np.array(box))


def test_box_of_keypoints_counts_only_what_is_seen() -> None:
    keypoints = np.zeros((6, 3), np.float32)
    keypoints[:4] = [[10, 20, 0.9], [30, 60, 0.8], [20, 40, 0.31], [12, 50, 1.0]]
    keypoints[4] = [500, 500, 0.3]
    keypoints[5] = [np.nan, 0, 0.9]
    box = box_of_keypoints(keypoints)
    assert box is not None
    assert box.center_xy_px == (20, 40)
    assert box.side_px == pytest.approx(1.2 * 40)
    assert box_of_keypoints(keypoints, fewest=5) is None
    assert box_of_keypoints(keypoints, min_score=0.5) is None
    assert box_of_keypoints(np.full((6, 3), 0.9)) is None


def test_wrong_pictures_are_refused() -> None:
    with pytest.raises(BadShape, match="image_rgb"):
        crop_picture(np.zeros((10, 10), np.uint8), CropBox((5, 5), 10))
    with pytest.raises(BadShape, match="image_rgb"):
        crop_picture(np.zeros((10, 10, 3), np.float32), CropBox((5, 5), 10))


def test_normalize_takes_any_batch_and_leaves_its_input() -> None:
    pictures = torch.randint(0, 256, (2, 3, 8, 6, 3), dtype=torch.uint8)
    got = normalize(pictures)
    assert got.shape == (2, 3, 3, 8, 6)
    assert got.is_contiguous()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = ((pictures.double() / 255 - mean) / std).movedim(-1, 2)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert normalize(pictures, torch.bfloat16).dtype == torch.bfloat16
    floats = pictures.float()
    kept = floats.clone()
    normalize(floats)
    assert torch.equal(floats, kept)
    one_channel_last = floats.movedim(-3, -1).contiguous().movedim(-1, -3)
    np.testing.assert_array_equal(normalize(one_channel_last), got)
    black = normalize(torch.zeros(1, 1, 3, dtype=torch.uint8)).flatten()
    np.testing.assert_allclose(black, [-2.117904, -2.035714, -1.804444], atol=1e-6)
