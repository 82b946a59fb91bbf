"""Skeleton images: keypoints as the picture that the network's second stream sees.

Bones fade from the colour of one joint to that of the other, circles lie on top, and scores are
transparency, on black. What is painted is laid over what is there: `alpha * paint + (1 - alpha) *
below`. Colours tell left from right, so mirrored pictures need swapped labels for a body (for a hand
only mirrored points).

Each stroke touches the small window that it needs and is two or three calls of OpenCV: a bone is a
strip of colours mapped onto the window, so it needs no mask and no gradient of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from ...protocol.arrays import check_shape
from ...protocol.errors import BadShape, UsageError
from ...protocol.skeletons import COCO_17, DETECTOR_SKELETONS, HAND_21, with_hands
from . import palettes
from .skeleton_styles import MIN_SCORE, STYLES

OWN_STYLE = "extpose"
"""The style that ExtPose's weights are trained on."""

_DRAWN_FOR_HEIGHT = 256
"""Picture height in pixels that the sizes below are for; others scale them."""

_RADIUS_PX = 4.0
_BODY_BONE_WIDTH_PX = 4.0
_HAND_BONE_WIDTH_PX = 2.0

_STEPS = 64
"""Colours along a bone."""

_SHIFT = 4
"""Binary digits behind the point in OpenCV's coordinates: circles move by sixteenths of a pixel."""

_REACH = float(1 << 14)
"""Points farther out than this many pixels are left out: OpenCV's coordinates would overflow."""

_BAND_PX = 48
"""A bone whose window is larger than this both ways is painted band by band, along its length."""

_SHORTEST_PX = 0.5
"""Bones shorter than this have no direction; the circles at their ends cover them."""

_OPAQUE = 1.0 - 0.5 / 255
"""What covers more than this covers all: the difference is less than half a level."""

_STRIP_ONTO_WINDOW = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP

_NECK = palettes.OPENPOSE_18_NAMES.index("neck")
_FROM_COCO_17 = [COCO_17.index.get(name, 0) for name in palettes.OPENPOSE_18_NAMES]
"""COCO's point for each of OpenPose's; any for the neck, which COCO has not."""

_SHOULDERS = COCO_17.indices("left_shoulder", "right_shoulder")


@dataclass(frozen=True)
class _Look:
    """What the strokes of one kind of skeleton look like: bones first, then a circle for each joint."""

    ends: np.ndarray
    """(S, 2) joints at the ends of each stroke; twice the same for a circle."""
    reach_px: np.ndarray
    """(S,) how far a stroke goes beyond its ends in a picture of 256 rows: half a bone's width, or the
    circle's radius."""
    strips: tuple[np.ndarray, ...]
    """(1, `_STEPS`, 3) uint8 for each bone: the colours along it."""
    colors: tuple[palettes.Color, ...]
    """Colour of each joint."""


class _Strokes(NamedTuple):
    """The strokes to paint in a batch of pictures, in order: one entry of each for every stroke."""

    picture: list[int]
    """Which picture it belongs to."""
    stroke: list[int]
    """Which of the look's strokes it is."""
    alpha: list[float]
    """How much it covers of what is below."""
    window: list[list[int]]
    """x0, y0, x1, y1 of the pixels that it can touch."""
    center: list[list[int]]
    """First end in the window, sixteenths of a pixel."""
    onto_strip: np.ndarray
    """(S, 2, 3) float64: pixel of the window → column and row of the bone's strip."""


def to_openpose18(coco17: np.ndarray) -> np.ndarray:
    """COCO's seventeen points in OpenPose's order, with a neck.

    Args:
        coco17: (..., 17, 3) x, y, score.

    Returns:
        (..., 18, 3). The neck is the middle of the shoulders; its score is 1 where both score above
        0.3, otherwise 0.

    Raises:
        BadShape: The array has another shape.

    Source: IDEA-Research/DWPose:annotator/dwpose/wholebody.py.
    """
    if coco17.shape[-2:] != (len(COCO_17), 3):
        raise BadShape(f"`coco17` must be (..., {len(COCO_17)}, 3), not {coco17.shape}")
    points = coco17[..., _FROM_COCO_17, :]
    shoulders = coco17[..., _SHOULDERS, :]
    points[..., _NECK, :2] = shoulders[..., :2].mean(axis=-2)
    points[..., _NECK, 2] = (shoulders[..., 2] > MIN_SCORE).all(axis=-1)
    return points


def body_points(keypoints: np.ndarray, skeleton_name: str) -> np.ndarray:
    """A detector's points as the eighteen that `draw_skeleton_images` takes for a body.

    Args:
        keypoints: (..., K, 3) x, y, score; the 21 points of each hand may follow.
        skeleton_name: A key of `DETECTOR_SKELETONS`.

    Returns:
        (..., 18, 3).

    Raises:
        BadShape: The number of points is not the skeleton's.
        UsageError: No detector has a skeleton of that name.
    """
    if skeleton_name not in DETECTOR_SKELETONS:
        known = ", ".join(f"`{name}`" for name in DETECTOR_SKELETONS)
        raise UsageError(f"There is no skeleton `{skeleton_name}`, only {known}")
    skeleton = DETECTOR_SKELETONS[skeleton_name]
    counts = len(skeleton), len(with_hands(skeleton))
    if keypoints.ndim < 2 or keypoints.shape[-2] not in counts:
        raise BadShape(
            f"`keypoints` of `{skeleton_name}` must be (..., {counts[0]} or {counts[1]}, 3), "
            f"not {keypoints.shape}"
        )
    return to_openpose18(keypoints[..., skeleton.indices(*COCO_17.joint_names), :])


def draw_skeleton_images(
    points: np.ndarray,
    kind: str = "body",
    size_hw: tuple[int, int] = (256, 192),
    style: str = OWN_STYLE,
    offset_xy: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Draw each skeleton into a black picture of its own.

    Args:
        points: (N, K, 3) x, y, score, with whole numbers in the middle of pixels as in the network's
            crops. K is 18 for a body (OpenPose's order; mmpose's style takes COCO's 17), 21 for a hand.
            Points with a low score or one that is no number are left out, those outside are cut off.
        kind: `body` or `hand`.
        size_hw: Height and width of the pictures, pixels.
        style: `extpose`; also `controlnet`, `dwpose`, `mimicmotion`, `mmpose`, and for hands
            `openpose`, exactly as the public programs draw them.
        offset_xy: Where the picture's corner lies in the coordinates of the points: (32, 0) when they
            are in the square crop of which the network sees the columns in the middle.

    Returns:
        (N, H, W, 3) uint8 RGB.

    Raises:
        BadShape: The number of points is not that of the kind and style.
        UsageError: There is no such kind or style.
    """
    known = {(OWN_STYLE, "body"): 18, (OWN_STYLE, "hand"): 21}
    known |= {name: count for name, (count, _) in STYLES.items()}
    if (style, kind) not in known:
        words = ", ".join(f"`{a}` {b}" for a, b in known)
        raise UsageError(f"There is no skeleton image `{style}` of a {kind}, only {words}")
    check_shape("points", points, (None, known[style, kind], 3))
    points = _fit_to_draw(points, offset_xy)
    canvases = np.zeros((len(points), *size_hw, 3), np.uint8)
    if style == OWN_STYLE:
        _draw_own_style(canvases, points, _look(kind))
    else:
        paint = STYLES[style, kind][1]
        for canvas, skeleton in zip(canvases, points, strict=True):
            paint(canvas, skeleton)
    return canvases


def _fit_to_draw(points: np.ndarray, offset_xy: tuple[float, float]) -> np.ndarray:
    """Points in the picture's coordinates, scores at most 1; all zeros where one cannot be drawn."""
    moved = np.array(points, np.float64)
    moved[..., :2] -= offset_xy
    np.minimum(moved[..., 2], 1.0, out=moved[..., 2])
    usable = (np.abs(moved) < _REACH).all(axis=-1)  # Not true of NaN either.
    moved[~usable] = 0.0
    return moved


@lru_cache(maxsize=2)
def _look(kind: str) -> _Look:
    hand = kind == "hand"
    limbs = HAND_21.pairs if hand else palettes.OPENPOSE_18_LIMBS
    colors = palettes.OPENPOSE_HAND_COLORS if hand else palettes.OPENPOSE_18_COLORS
    half_width = 0.5 * (_HAND_BONE_WIDTH_PX if hand else _BODY_BONE_WIDTH_PX)
    along = (np.arange(_STEPS)[:, None] + 0.5) / _STEPS
    fades = [np.array(colors, float)[list(limb)] for limb in limbs]
    strips = [np.rint(a + along * (b - a)).astype(np.uint8)[None] for a, b in fades]
    ends = [*limbs, *((joint, joint) for joint in range(len(colors)))]
    reach_px = np.repeat([half_width, _RADIUS_PX], [len(limbs), len(colors)])
    return _Look(np.array(ends), reach_px, tuple(strips), colors)


def _draw_own_style(canvases: np.ndarray, points: np.ndarray, look: _Look) -> None:
    """Paint bones with the mean of their ends' scores, then circles with their own."""
    scale = canvases.shape[1] / _DRAWN_FOR_HEIGHT
    radius = round(_RADIUS_PX * scale * (1 << _SHIFT))
    bones = len(look.strips)
    strokes = _strokes(points, look, scale, canvases.shape[1:3])
    for picture, stroke, alpha, window, center, onto_strip in zip(*strokes, strict=True):
        canvas = canvases[picture]
        if stroke < bones:
            _paint_bone(canvas, look.strips[stroke], window, onto_strip, alpha)
        else:
            _paint_circle(canvas, look.colors[stroke - bones], window, center, radius, alpha)


def _strokes(points: np.ndarray, look: _Look, scale: float, size_hw: tuple[int, ...]) -> _Strokes:
    """What to paint for (N, K, 3) points: strokes with sure ends that touch their picture."""
    planes = points.transpose(2, 0, 1)  # (3, N, K)
    start, end = planes[..., look.ends[:, 0]], planes[..., look.ends[:, 1]]  # (3, N, S)
    reach = look.reach_px * scale
    window = _windows(start[:2], end[:2], reach + 1.0, size_hw)
    along = end[:2] - start[:2]
    length = np.sqrt(along[0] * along[0] + along[1] * along[1])
    bones = len(look.strips)
    drawn = np.minimum(start[2], end[2]) >= MIN_SCORE
    drawn &= (window[0] < window[2]) & (window[1] < window[3])
    drawn[:, :bones] &= length[:, :bones] > _SHORTEST_PX
    picture, stroke = np.nonzero(drawn)
    window = window[:, drawn]
    first = start[:2, drawn] - window[:2]
    alpha = 0.5 * (start[2] + end[2])
    return _Strokes(
        picture.tolist(),
        stroke.tolist(),
        alpha[drawn].tolist(),
        window.T.tolist(),
        np.rint(first * (1 << _SHIFT)).astype(int).T.tolist(),
        _onto_strip(first, along[:, drawn], length[drawn], 2 * reach[stroke]),
    )


def _windows(
    start: np.ndarray, end: np.ndarray, margin_px: np.ndarray, size_hw: tuple[int, ...]
) -> np.ndarray:
    """Pixels that strokes between (2, N, S) points can touch: (4, N, S) x0, y0, x1, y1."""
    window = np.zeros((4, *start.shape[1:]))
    np.subtract(np.minimum(start, end), margin_px, out=window[:2])
    np.add(np.maximum(start, end), margin_px + 1.0, out=window[2:])
    np.maximum(window, 0.0, out=window)
    np.minimum(window[0::2], size_hw[1], out=window[0::2])
    np.minimum(window[1::2], size_hw[0], out=window[1::2])
    return window.astype(int)


def _onto_strip(
    first: np.ndarray, along: np.ndarray, length: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """(S, 2, 3) maps: a pixel's place along the bone in colours, and across it in widths.

    Args:
        first: (2, S) the bone's start in its window.
        along: (2, S) from its start to its end.
        length: (S,) of `along`; any where the stroke is no bone.
        width: (S,) of the bone.
    """
    length = np.maximum(length, _SHORTEST_PX)
    step, turn = _STEPS / (length * length), 1.0 / (length * width)
    place = np.zeros((len(length), 2, 3))
    place[:, 0, 0], place[:, 0, 1] = along * step
    place[:, 1, 1], place[:, 1, 0] = along * turn
    place[:, 1, 0] *= -1.0
    place[:, :, 2] = -(place[:, :, :2] @ first.T[:, :, None])[..., 0]
    place[:, 0, 2] -= 0.5  # OpenCV counts the strip's colours from their middles.
    return place


def _paint_bone(
    canvas: np.ndarray, strip: np.ndarray, window: list[int], place: np.ndarray, alpha: float
) -> None:
    """Lay a bone over the picture."""
    x0, y0, x1, y1 = window
    if min(x1 - x0, y1 - y0) <= _BAND_PX:
        _lay_strip(canvas[y0:y1, x0:x1], strip, place, alpha)
        return
    for a, b, c, d in _bands(x1 - x0, y1 - y0, place):
        moved = place.copy()
        moved[:, 2] += place[:, :2] @ (a, b)
        _lay_strip(canvas[y0 + b : y0 + d, x0 + a : x0 + c], strip, moved, alpha)


def _lay_strip(window: np.ndarray, strip: np.ndarray, place: np.ndarray, alpha: float) -> None:
    over = window if alpha > _OPAQUE else window.copy()
    size = window.shape[1], window.shape[0]
    cv2.warpAffine(strip, place, size, over, _STRIP_ONTO_WINDOW, cv2.BORDER_TRANSPARENT)
    if over is not window:
        cv2.addWeighted(over, alpha, window, 1.0 - alpha, 0.0, window)


def _bands(width: int, height: int, place: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """Cut a slanting bone's window into bands of rows or columns, each as short as the bone there.

    Row 1 of `place` says how far across the bone a pixel is, from -0.5 to 0.5 of its width; solved
    for the coordinate along the band, it gives the band's ends.
    """
    upright = height >= width
    steps, others = (height, width) if upright else (width, height)
    by_other, by_step = place[1, :2] if upright else place[1, 1::-1]
    for first in range(0, steps, _BAND_PX):
        last = min(first + _BAND_PX, steps)
        edges = [
            (side - place[1, 2] - by_step * at) / by_other
            for side in (-0.5, 0.5)
            for at in (first, last - 1)
        ]
        low, high = max(int(min(edges)) - 1, 0), min(int(max(edges)) + 2, others)
        if low < high:
            yield (low, first, high, last) if upright else (first, low, last, high)


def _paint_circle(
    canvas: np.ndarray,
    color: palettes.Color,
    window: list[int],
    center: list[int],
    radius: int,
    alpha: float,
) -> None:
    """Lay a filled circle over the picture."""
    x0, y0, x1, y1 = window
    below = canvas[y0:y1, x0:x1]
    over = below if alpha > _OPAQUE else below.copy()
    cv2.circle(over, center, radius, color, -1, cv2.LINE_AA, _SHIFT)
    if over is not below:
        cv2.addWeighted(over, alpha, below, 1.0 - alpha, 0.0, below)
