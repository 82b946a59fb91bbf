"""The public styles of skeleton pictures, stroke for stroke, beside the one that ExtPose sees.

They are here to compare with, and to feed networks that were trained on one of them. Each draws one
skeleton into an empty picture; coordinates are cut to whole pixels as the public code does.

Sources: lllyasviel/ControlNet:annotator/openpose/util.py; IDEA-Research/DWPose:annotator/dwpose/util.py;
Tencent/MimicMotion:mimicmotion/dwpose/util.py; ViTAE-Transformer/ViTPose:mmpose/core/visualization/image.py
(`imshow_keypoints` with weights shown); geopavlakos/hamer:hamer/utils/render_openpose.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from . import palettes

MIN_SCORE = 0.3
"""Points below it are not drawn; the value of every style but OpenPose's own."""

_OPENPOSE_MIN_SCORE = 0.1
_RADIUS = 4
_STICK_HALF_WIDTH = 4
_MMPOSE_STICK_HALF_WIDTH = 2
_LIMB_ALPHA = 0.6
_NEARLY_ZERO = 0.01
"""Points this close to the left or upper edge stand for "not found" in ControlNet's hands."""

Ellipse = np.ndarray
Paint = Sequence[float]


def controlnet_body(canvas: np.ndarray, points: np.ndarray) -> None:
    """Circles first, then every limb blended over what is there with weight 0.6."""
    for (x, y, score), color in zip(points, palettes.OPENPOSE_18_COLORS, strict=True):
        if score >= MIN_SCORE:
            cv2.circle(canvas, (int(x), int(y)), _RADIUS, color, -1)
    for limb, paint in _limbs_in_sight(points):
        _blend(canvas, _LIMB_ALPHA, _filled(_stick(points[list(limb), :2]), paint))


def dwpose_body(canvas: np.ndarray, points: np.ndarray) -> None:
    """Limbs at 0.6 of their colour, circles at full colour on top."""
    _darkened_limbs(canvas, points, by_score=False)


def mimicmotion_body(canvas: np.ndarray, points: np.ndarray) -> None:
    """DWPose's order, every colour multiplied by its score."""
    _darkened_limbs(canvas, points, by_score=True)


def _darkened_limbs(canvas: np.ndarray, points: np.ndarray, by_score: bool) -> None:
    for limb, paint in _limbs_in_sight(points):
        sure = points[limb[0], 2] * points[limb[1], 2] if by_score else 1.0
        cv2.fillConvexPoly(canvas, _stick(points[list(limb), :2]), _scaled(paint, sure))
    canvas[:] = (canvas * _LIMB_ALPHA).astype(np.uint8)
    for (x, y, score), color in zip(points, palettes.OPENPOSE_18_COLORS, strict=True):
        if score >= MIN_SCORE:
            shade = _scaled(color, score if by_score else 1.0)
            cv2.circle(canvas, (int(x), int(y)), _RADIUS, shade, -1)


def mmpose_body(canvas: np.ndarray, points: np.ndarray) -> None:
    """COCO-17 points; circles and limbs blended over with their scores."""
    _mmpose(
        canvas,
        points,
        palettes.MMPOSE_BODY_COLORS,
        palettes.MMPOSE_BODY_LIMBS,
        palettes.MMPOSE_BODY_LIMB_COLORS,
    )


def mmpose_hand(canvas: np.ndarray, points: np.ndarray) -> None:
    """A hand, as `mmpose_body`."""
    _mmpose(
        canvas,
        points,
        palettes.MMPOSE_HAND_COLORS,
        palettes.HAND_21_LIMBS,
        palettes.MMPOSE_HAND_LIMB_COLORS,
    )


def _mmpose(
    canvas: np.ndarray,
    points: np.ndarray,
    colors: Sequence[Paint],
    limbs: Sequence[tuple[int, int]],
    limb_colors: Sequence[Paint],
) -> None:
    height, width = canvas.shape[:2]
    whole = points[:, :2].astype(int)
    score = points[:, 2]
    for point, color, sure in zip(whole.tolist(), colors, score, strict=True):
        if sure >= MIN_SCORE:
            _blend(canvas, sure, _disc(point, color))
    inside = (whole > 0).all(axis=1) & (whole < (width, height)).all(axis=1)
    for limb, color in zip(limbs, limb_colors, strict=True):
        ends = list(limb)
        if inside[ends].all() and (score[ends] >= MIN_SCORE).all():
            stick = _stick(whole[ends], _MMPOSE_STICK_HALF_WIDTH)
            _blend(canvas, score[ends].mean(), _filled(stick, color))


def controlnet_hand(canvas: np.ndarray, points: np.ndarray) -> None:
    """Lines through the rainbow, blue joints; scores play no part."""
    _rainbow_hand(canvas, points, np.ones(len(points)))


def mimicmotion_hand(canvas: np.ndarray, points: np.ndarray) -> None:
    """`controlnet_hand` with colours multiplied by scores."""
    _rainbow_hand(canvas, points, points[:, 2])


def _rainbow_hand(canvas: np.ndarray, points: np.ndarray, score: np.ndarray) -> None:
    whole = points[:, :2].astype(int)
    found = (whole > _NEARLY_ZERO).all(axis=1)
    limbs = zip(palettes.HAND_21_LIMBS, palettes.RAINBOW_HAND_COLORS, strict=True)
    for (a, b), color in limbs:
        if found[a] and found[b]:
            sure = int(score[a] * score[b] * 255) / 255
            shade = [part * sure for part in color]
            cv2.line(canvas, whole[a].tolist(), whole[b].tolist(), shade, thickness=2)
    for point, there, sure in zip(whole.tolist(), found, score, strict=True):
        if there:
            cv2.circle(canvas, point, _RADIUS, (0, 0, int(sure * 255)), -1)


def openpose_hand(canvas: np.ndarray, points: np.ndarray) -> None:
    """OpenPose's hand as HaMeR draws it: thin lines, each in the colour of its outer joint.

    HaMeR's renderer takes the number of channels for the picture's height, so the widths that
    OpenPose derives from the size are constant below 5,200 pixels: the constants here.
    """
    whole = points[:, :2].astype(int).tolist()
    sure = points[:, 2] > _OPENPOSE_MIN_SCORE
    for a, b in palettes.HAND_21_LIMBS:
        if sure[a] and sure[b]:
            cv2.line(canvas, whole[a], whole[b], palettes.OPENPOSE_HAND_COLORS[b], 2)
    for i, point in enumerate(whole):
        if sure[i]:
            cv2.circle(canvas, point, 1, palettes.OPENPOSE_HAND_COLORS[i], 2)


STYLES: dict[tuple[str, str], tuple[int, Callable[[np.ndarray, np.ndarray], None]]] = {
    ("controlnet", "body"): (18, controlnet_body),
    ("dwpose", "body"): (18, dwpose_body),
    ("mimicmotion", "body"): (18, mimicmotion_body),
    ("mmpose", "body"): (17, mmpose_body),
    ("controlnet", "hand"): (21, controlnet_hand),
    ("dwpose", "hand"): (21, controlnet_hand),
    ("mimicmotion", "hand"): (21, mimicmotion_hand),
    ("mmpose", "hand"): (21, mmpose_hand),
    ("openpose", "hand"): (21, openpose_hand),
}
"""How many points each style draws, and what draws them."""


def _limbs_in_sight(points: np.ndarray) -> list[tuple[tuple[int, int], Paint]]:
    sure = points[:, 2] >= MIN_SCORE
    colored = zip(palettes.OPENPOSE_18_LIMBS, palettes.OPENPOSE_18_COLORS, strict=False)
    return [(limb, color) for limb, color in colored if sure[limb[0]] and sure[limb[1]]]


def _stick(ends_xy: np.ndarray, half_width: int = _STICK_HALF_WIDTH) -> Ellipse:
    """The outline of a limb: an ellipse from one end to the other."""
    (ax, ay), (bx, by) = np.asarray(ends_xy, float).tolist()
    angle = int(math.degrees(math.atan2(ay - by, ax - bx)))
    middle = int((ax + bx) / 2), int((ay + by) / 2)
    axes = int(math.hypot(ax - bx, ay - by) / 2), half_width
    return np.asarray(cv2.ellipse2Poly(middle, axes, angle, 0, 360, 1))


def _scaled(color: Paint, by: float) -> Paint:
    return [int(part * by) for part in color]


def _filled(outline: Ellipse, color: Paint) -> Callable[[np.ndarray], object]:
    return lambda canvas: cv2.fillConvexPoly(canvas, outline, color)


def _disc(center: Sequence[int], color: Paint) -> Callable[[np.ndarray], object]:
    return lambda canvas: cv2.circle(canvas, center, _RADIUS, color, -1)


def _blend(canvas: np.ndarray, alpha: float, paint: Callable[[np.ndarray], object]) -> None:
    over = canvas.copy()
    paint(over)
    cv2.addWeighted(over, alpha, canvas, 1.0 - alpha, 0, dst=canvas)
