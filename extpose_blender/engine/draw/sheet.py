"""Sheets of pictures for people: panels with captions in rows, number tags and heat maps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ...protocol.arrays import check_shape

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PAPER = (24, 24, 27)
_INK = (228, 228, 231)
_GAP_PX = 16
_LINE_PX = 22
_LETTERS = 0.5
_WARM = cv2.COLORMAP_INFERNO
_HOTTEST_AT_LEAST = 3.0
"""A heat map's brightest colour stands for at least so many times the mean, so that a map without
peaks looks like one."""


def fit_picture(image_rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture in the largest size that fits, its shape kept."""
    scale = min(width / image_rgb.shape[1], height / image_rgb.shape[0])
    size = (
        max(1, min(width, round(image_rgb.shape[1] * scale))),
        max(1, min(height, round(image_rgb.shape[0] * scale))),
    )
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image_rgb, size, interpolation=how))


def tag(image_rgb: np.ndarray, text: str, xy_px: Sequence[float], color: Sequence[int]) -> None:
    """Write a short word in a coloured box into a picture, in place, wholly inside it.

    Args:
        image_rgb: (H, W, 3) uint8, writable.
        text: ASCII.
        xy_px: Middle of the box's lower edge.
        color: RGB of the box.
    """
    check_shape("image_rgb", image_rgb, (None, None, 3), kind="u")
    (wide, tall), _ = cv2.getTextSize(text, _FONT, 0.7, 2)
    wide, tall = wide + 10, tall + 10
    x = int(np.clip(xy_px[0] - wide / 2, 0, max(0, image_rgb.shape[1] - wide)))
    y = int(np.clip(xy_px[1], tall, max(tall, image_rgb.shape[0])))
    cv2.rectangle(image_rgb, (x, y - tall), (x + wide - 1, y - 1), tuple(color), -1)
    cv2.putText(image_rgb, text, (x + 5, y - 6), _FONT, 0.7, (0, 0, 0), 2, cv2.LINE_AA)


def heat_over(image_rgb: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A dimmed picture that glows where `heat` is high.

    Args:
        image_rgb: (H, W, 3) uint8.
        heat: (H, W), not negative. The brightest colour stands for its highest value.

    Returns:
        (H, W, 3) uint8.
    """
    check_shape("heat", heat, image_rgb.shape[:2])
    top = max(float(heat.max()), _HOTTEST_AT_LEAST * float(heat.mean()), 1e-12)
    glow = np.clip(heat / top, 0.0, 1.0)[..., None]
    levels = np.rint(255 * glow).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(levels, _WARM), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)[..., None]
    return np.asarray((1 - glow) * 0.6 * grey + glow * colors + 0.5).astype(np.uint8)


def captioned(image_rgb: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """The picture with lines of ASCII text above it, broken to the picture's width."""
    lines = [part for line in lines for part in _broken(line, image_rgb.shape[1])]
    strip = np.full((_LINE_PX * len(lines) + 4, image_rgb.shape[1], 3), _PAPER, np.uint8)
    for number, line in enumerate(lines):
        size = _LETTERS * min(1.0, (image_rgb.shape[1] - 2) / max(_width_of(line), 1))
        at = (0, _LINE_PX * (number + 1) - 6)
        cv2.putText(strip, line, at, _FONT, size, _INK, 1, cv2.LINE_AA)
    return np.concatenate([strip, image_rgb])


def _broken(line: str, width: int) -> list[str]:
    """A line in parts that fit, broken between words; a word that is too long stays whole."""
    parts = [""]
    for word in line.split():
        longer = f"{parts[-1]} {word}".lstrip()
        if parts[-1] and _width_of(longer) > width - 2:
            parts.append(word)
        else:
            parts[-1] = longer
    return parts


def _width_of(line: str) -> int:
    return int(cv2.getTextSize(line, _FONT, _LETTERS, 1)[0][0])


def arrange(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Panels in rows, with gaps between and around them.

    Args:
        rows: Pictures (H, W, 3) uint8 of each row, left to right.

    Returns:
        (H, W, 3) uint8.
    """
    strips = [_in_a_row(row) for row in rows if row]
    width = max(strip.shape[1] for strip in strips)
    gap = np.full((_GAP_PX, width, 3), _PAPER, np.uint8)
    parts = [gap]
    for strip in strips:
        missing = width - strip.shape[1]
        parts += [_padded(strip, strip.shape[0], strip.shape[1] + missing), gap]
    return np.concatenate(parts)


def _in_a_row(panels: Sequence[np.ndarray]) -> np.ndarray:
    height = max(panel.shape[0] for panel in panels)
    gap = np.full((height, _GAP_PX, 3), _PAPER, np.uint8)
    parts = [gap]
    for panel in panels:
        parts += [_padded(panel, height, panel.shape[1]), gap]
    return np.concatenate(parts, axis=1)


def _padded(image_rgb: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture at the top left of one of that size."""
    sheet = np.full((height, width, 3), _PAPER, np.uint8)
    sheet[: image_rgb.shape[0], : image_rgb.shape[1]] = image_rgb
    return sheet


def as_png(image_rgb: np.ndarray) -> bytes:
    """A picture as the bytes of a PNG file."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"OpenCV could not write a picture of {image_rgb.shape} as PNG")
    return data.tobytes()
