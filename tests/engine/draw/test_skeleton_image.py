"""Skeleton images: strokes lie where the points are, cover by score, and public styles agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.engine.draw import palettes, skeleton_image
from extpose_blender.engine.draw.skeleton_image import (
    body_points,
    draw_skeleton_images,
    to_openpose18,
)
from extpose_blender.protocol.errors import BadShape, UsageError
from extpose_blender.protocol.skeletons import COCO_17, MEDIAPIPE_33, Skeleton, with_hands

Fixture = Callable[[str], np.lib.npyio.NpzFile]

PUBLIC = (
    ("body/controlnet_rgb", "controlnet", "body", "openpose18"),
    ("body/dwpose_rgb", "dwpose", "body", "openpose18"),
    ("body/mimicmotion_conf_rgb", "mimicmotion", "body", "openpose18"),
    ("body/mmpose_alpha", "mmpose", "body", "coco17"),
    ("hand/controlnet_rgb", "controlnet", "hand", "hand"),
    ("hand/mimicmotion_conf_rgb", "mimicmotion", "hand", "hand"),
    ("hand/mmpose_alpha", "mmpose", "hand", "hand"),
    ("hand/openpose_hamer_rgb_f32", "openpose", "hand", "hand"),
)


def some_points(kind: str, count: int, sigma_px: float, seed: int = 0) -> np.ndarray:
    """(count, K, 3) points around the middle of a 256 by 192 picture, scores from 0.05 to 1."""
    joints = 18 if kind == "body" else 21
    rng = np.random.default_rng(seed)
    xy = rng.normal([95.5, 127.5], sigma_px, (count, joints, 2))
    return np.concatenate([xy, rng.uniform(0.05, 1.0, (count, joints, 1))], axis=2)


def draw_slowly(points: np.ndarray, kind: str, size_hw: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """The picture by the definition, pixel by pixel, and which pixels lie on no stroke's edge."""
    hand = kind == "hand"
    limbs = palettes.HAND_21_LIMBS if hand else palettes.OPENPOSE_18_LIMBS
    color = np.array(palettes.OPENPOSE_HAND_COLORS if hand else palettes.OPENPOSE_18_COLORS, float)
    scale = size_hw[0] / 256
    half_width, radius = scale * (1.0 if hand else 2.0), scale * 4.0
    pixel = np.stack(np.meshgrid(np.arange(size_hw[1]), np.arange(size_hw[0])), axis=-1)
    canvas, plain = np.zeros((*size_hw, 3)), np.ones(size_hw, bool)
    strokes = [*limbs, *((k, k) for k in range(len(points)))]
    for a, b in strokes:
        (start, end), sure = points[[a, b], :2], points[[a, b], 2]
        if sure.min() < 0.3:
            continue
        if a == b:
            distance, t = np.linalg.norm(pixel - start, axis=-1) - radius, np.zeros(size_hw)
        else:
            length = np.linalg.norm(end - start)
            along = (end - start) / length
            s = (pixel - start) @ along
            across = np.abs((pixel - start) @ [-along[1], along[0]])
            distance = np.maximum(across - half_width, np.abs(s - length / 2) - length / 2)
            t = s / length
        paint = color[a] + t[..., None] * (color[b] - color[a])
        alpha = np.where(distance < 0, sure.mean(), 0.0)[..., None]
        canvas = alpha * paint + (1 - alpha) * canvas
        plain &= np.abs(distance) > (2.0 if a == b else 0.3)  # Circles have soft edges.
    return canvas, plain


@pytest.mark.parametrize(("name", "style", "kind", "points"), PUBLIC)
def test_public_styles_are_drawn_as_their_programs_do(
    name: str, style: str, kind: str, points: str, shared_fixture: Fixture
) -> None:
    data = shared_fixture("skeleton_render.npz")
    skeleton = np.concatenate([data[f"{points}/xy"], data[f"{points}/score"][:, None]], axis=1)
    (image,) = draw_skeleton_images(skeleton[None], kind, tuple(data["cfg/size_hw"]), style)
    different = (image != data[name]).any(axis=2).mean()
    assert different <= (0.0 if _same_opencv(data) else 0.01)


def _same_opencv(data: np.lib.npyio.NpzFile) -> bool:
    import cv2

    return bool(cv2.__version__.startswith(str(data["cfg/opencv_version"])))


@pytest.mark.parametrize("kind", ["body", "hand"])
@pytest.mark.parametrize("size_hw", [(256, 192), (256, 256), (128, 96), (320, 200)])
@pytest.mark.parametrize("sigma_px", [25.0, 120.0])
def test_picture_equals_its_definition(
    kind: str, size_hw: tuple[int, int], sigma_px: float
) -> None:
    points = some_points(kind, 6, sigma_px)
    for skeleton, image in zip(points, draw_skeleton_images(points, kind, size_hw), strict=True):
        wanted, plain = draw_slowly(skeleton, kind, size_hw)
        assert plain.mean() > 0.4
        # Every stroke rounds to whole levels, and a bone has 64 colours.
        assert np.abs(image - wanted)[plain].max() <= 5.0


def test_long_slanting_bones_are_the_same_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    points = some_points("body", 12, 150.0)
    in_bands = draw_skeleton_images(points)
    monkeypatch.setattr(skeleton_image, "_BAND_PX", 10_000)
    whole = draw_skeleton_images(points)
    assert (in_bands != whole).any(axis=3).mean() < 1e-3


def test_a_batch_is_each_skeleton_alone() -> None:
    points = some_points("body", 5, 40.0)
    alone = [draw_skeleton_images(skeleton[None])[0] for skeleton in points]
    np.testing.assert_array_equal(draw_skeleton_images(points), alone)
    assert draw_skeleton_images(points[:0]).shape == (0, 256, 192, 3)


def test_offset_cuts_the_network_columns_out_of_the_crop() -> None:
    points = some_points("body", 3, 60.0)
    square = draw_skeleton_images(points, size_hw=(256, 256))
    cut = draw_skeleton_images(points, size_hw=(256, 192), offset_xy=(32, 0))
    assert (cut != square[:, :, 32:224]).mean() < 1e-4, "but for pixels exactly on an edge"


def test_scores_are_transparency_over_what_is_below() -> None:
    points = np.zeros((1, 18, 3))
    points[0, [1, 2, 3]] = [[20, 100, 0.5], [120, 100, 0.5], [120, 200, 0.29]]
    (image,) = draw_skeleton_images(points)
    neck, shoulder = (np.array(palettes.OPENPOSE_18_COLORS[k], float) for k in (1, 2))
    middle = 0.5 * (neck + shoulder) * 0.5
    np.testing.assert_allclose(image[100, 70], middle, atol=2)
    np.testing.assert_allclose(image[97, 20], 0.5 * neck, atol=1)
    np.testing.assert_allclose(image[100, 21], 0.5 * neck + 0.5 * 0.5 * neck, atol=3)
    assert not image[107:].any(), "an elbow below the threshold and its bone"


def test_circles_and_bones_have_the_sizes_they_should() -> None:
    points = np.zeros((1, 18, 3))
    points[0, [1, 2]] = [[50, 50, 1], [150, 50, 1]]
    (image,) = draw_skeleton_images(points)
    lit = image.any(axis=2)
    assert lit[:, 100].sum() == pytest.approx(4, abs=1)
    assert lit[:, 50].sum() == pytest.approx(9, abs=2)


@pytest.mark.parametrize("style", ["extpose", "controlnet", "dwpose", "mimicmotion"])
@pytest.mark.parametrize("where", [np.nan, np.inf, -np.inf, 1e12, -1e6, 12_000.0])
def test_points_that_are_nowhere_do_no_harm(style: str, where: float) -> None:
    points = some_points("body", 1, 30.0)
    points[..., 2] = 1.0
    far = points.copy()
    far[0, 7, 0] = where
    far[0, 13, 2] = np.nan
    with_wrists = draw_skeleton_images(points, style=style)
    without = draw_skeleton_images(far, style=style)
    assert without.any()
    assert (with_wrists != without).any()


def test_points_on_top_of_each_other_are_one_circle() -> None:
    points = np.full((1, 18, 3), [60.0, 60.0, 1.0])
    (image,) = draw_skeleton_images(points)
    np.testing.assert_array_equal(image[60, 60], palettes.OPENPOSE_18_COLORS[17])


def test_openpose18_is_made_of_coco17(shared_fixture: Fixture) -> None:
    data = shared_fixture("skeleton_render.npz")
    coco = np.concatenate([data["coco17/xy"], data["coco17/score"][:, None]], axis=1)
    wanted = np.concatenate([data["openpose18/xy"], data["openpose18/score"][:, None]], axis=1)
    np.testing.assert_allclose(to_openpose18(coco), wanted, atol=1e-12)
    many = np.broadcast_to(coco, (4, 3, 17, 3))
    np.testing.assert_allclose(to_openpose18(many), np.broadcast_to(wanted, (4, 3, 18, 3)))


def test_neck_needs_both_shoulders() -> None:
    coco = np.ones((17, 3), np.float32)
    coco[COCO_17.index["left_shoulder"], 2] = 0.3
    assert to_openpose18(coco)[1, 2] == 0.0
    assert to_openpose18(coco).dtype == np.float32


@pytest.mark.parametrize("skeleton", [COCO_17, MEDIAPIPE_33])
@pytest.mark.parametrize("hands", [False, True])
def test_detectors_points_are_found_by_name(skeleton: Skeleton, hands: bool) -> None:
    names = (with_hands(skeleton) if hands else skeleton).joint_names
    keypoints = np.zeros((2, len(names), 3))
    keypoints[..., 0] = np.arange(len(names))
    keypoints[..., 2] = 1.0
    points = body_points(keypoints, skeleton.name)
    for k, name in enumerate(palettes.OPENPOSE_18_NAMES):
        if name != "neck":
            assert names[int(points[1, k, 0])] == name


def test_palettes_are_the_public_ones(shared_path: Callable[[str], Path]) -> None:
    wanted = json.loads(shared_path("fixtures/constants.json").read_text())["skeleton"]
    names = [
        name.replace("left_", "l_").replace("right_", "r_") for name in palettes.OPENPOSE_18_NAMES
    ]
    assert names == wanted["openpose18_names"]
    for ours, key in (
        (palettes.OPENPOSE_18_LIMBS, "openpose18_limbs_0based"),
        (palettes.OPENPOSE_18_COLORS, "openpose18_colors_rgb"),
        (palettes.HAND_21_LIMBS, "hand21_limbs"),
        (palettes.OPENPOSE_HAND_COLORS, "openpose_hand21_colors_rgb"),
        (palettes.MMPOSE_BODY_COLORS, "mmpose_coco17_keypoint_colors_rgb"),
        (palettes.MMPOSE_BODY_LIMBS, "mmpose_coco17_links"),
        (palettes.MMPOSE_BODY_LIMB_COLORS, "mmpose_coco17_link_colors_rgb"),
        (palettes.MMPOSE_HAND_COLORS, "mmpose_hand21_keypoint_colors_rgb"),
        (palettes.MMPOSE_HAND_LIMB_COLORS, "mmpose_hand21_link_colors_rgb"),
    ):
        np.testing.assert_array_equal(ours, wanted[key], err_msg=key)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(BadShape, match="18"):
        draw_skeleton_images(np.zeros((1, 17, 3)))
    with pytest.raises(UsageError, match="`mmpose`"):
        draw_skeleton_images(np.zeros((1, 18, 3)), style="crayon")
    with pytest.raises(UsageError, match="hand"):
        draw_skeleton_images(np.zeros((1, 18, 3)), kind="foot")
    with pytest.raises(UsageError, match="mediapipe33"):
        body_points(np.zeros((3, 3)), "octopus")
    with pytest.raises(BadShape, match="33"):
        body_points(np.zeros((17, 3)), "mediapipe33")
    with pytest.raises(BadShape, match="17"):
        to_openpose18(np.zeros((18, 3)))
