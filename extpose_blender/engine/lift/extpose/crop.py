"""What the network sees of a picture: a square round a person, cut out, blurred where it shrinks.

A crop is 256×256; the network takes its middle 192 columns. Pixel rule of the public models: the
centre of the box lands on 128.0, without half a pixel of shift. Left hands are cut out of the
mirrored picture, for the network knows right hands alone.

Frames: source pixels and crop pixels have their origin top-left, x right, y down.
Source of the conventions: shubham-goel/4D-Humans:hmr2/datasets/vitdet_dataset.py and utils.py,
geopavlakos/hamer:hamer/datasets/vitdet_dataset.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ....protocol.arrays import check_shape
from ....protocol.errors import BadShape

CROP_SIZE = 256
"""Side of a crop, pixels."""
NETWORK_COLUMNS = slice(32, 224)
"""Columns of a crop that the network sees."""
ASPECT_WH = (192, 256)
"""Width to height of what the network sees; boxes grow to it before they become square."""
MEAN_RGB = (0.485, 0.456, 0.406)
"""Mean colour of the pictures that the base models learned from, of 1."""
STD_RGB = (0.229, 0.224, 0.225)
"""Its standard deviation, of 1."""

_BLUR_FROM = 1.1
"""Pictures that shrink by more than twice this are blurred first."""
_BLUR_REACH = 4.0
"""Standard deviations after which the blur ends."""


@dataclass(frozen=True)
class CropBox:
    """A square of a picture that becomes a crop."""

    center_xy_px: tuple[float, float]
    """Its centre, source pixels."""
    side_px: float
    """Its side, source pixels."""
    rotation_deg: float = 0.0
    """How far it is turned in the picture, from x towards y; used in training."""

    def __post_init__(self) -> None:
        numbers = np.array([*self.center_xy_px, self.side_px, self.rotation_deg], float)
        if numbers.shape != (4,) or not np.isfinite(numbers).all() or self.side_px <= 0:
            raise BadShape(f"a box needs a finite centre and a side above 0, not {self}")

    def affine(self) -> np.ndarray:
        """(2, 3) float64: maps source pixels to crop pixels."""
        return affine_of_box(
            self.center_xy_px,
            (self.side_px, self.side_px),
            (CROP_SIZE, CROP_SIZE),
            self.rotation_deg,
        )

    def mirrored(self, width: float) -> CropBox:
        """The box that shows the same of the mirrored picture, which is `width` pixels wide.

        It is not turned the other way round: training turns the mirrored picture.
        """
        x, y = self.center_xy_px
        return replace(self, center_xy_px=(width - x - 1, y))


def affine_of_box(
    center_xy_px: tuple[float, float],
    size_wh_px: tuple[float, float],
    out_wh_px: tuple[float, float],
    rotation_deg: float = 0.0,
) -> np.ndarray:
    """The affine map that lays a box over a whole output picture.

    It is fixed by three points, the box's centre and the middles of its lower and right edges, in
    fp32 as the public models have them.

    Args:
        center_xy_px: Centre of the box, source pixels.
        size_wh_px: Width and height of the box, source pixels.
        out_wh_px: Width and height of the output.
        rotation_deg: Turn of the box about its centre, from x towards y.

    Returns:
        (2, 3) float64: maps source pixels to output pixels.
    """
    turn = np.deg2rad(rotation_deg)
    sine, cosine = np.sin(turn), np.cos(turn)
    half_width, half_height = np.float32(size_wh_px[0] * 0.5), np.float32(size_wh_px[1] * 0.5)
    down = np.array([-half_height * sine, half_height * cosine], np.float32)
    right = np.array([half_width * cosine, half_width * sine], np.float32)
    center = np.array(center_xy_px, np.float64)
    middle = np.array(out_wh_px, np.float64) / 2
    source = np.stack([center, center + down, center + right]).astype(np.float32)
    target = np.stack([middle, middle * (1, 2), middle * (2, 1)]).astype(np.float32)
    return np.asarray(cv2.getAffineTransform(source, target))


def expand_to_aspect(size_wh: np.ndarray, aspect_wh: tuple[float, float] = ASPECT_WH) -> np.ndarray:
    """Grow the short sides of sizes (..., 2) until width to height is that of `aspect_wh`."""
    size = np.asarray(size_wh, np.float64)
    aspect = np.asarray(aspect_wh, np.float64)
    return np.asarray((size / aspect).max(-1, keepdims=True) * aspect)


def box_around(
    xyxy: np.ndarray | tuple[float, float, float, float],
    padding: float = 1.0,
    aspect_wh: tuple[float, float] | None = ASPECT_WH,
) -> CropBox:
    """The square that the public models cut for a detector's box.

    Bodies (HMR2.0) take the box as it is; hands (HaMeR) take twice its size; the HInt benchmark
    takes twice its size without `aspect_wh`.

    Args:
        xyxy: (4,) left, top, right, bottom, source pixels.
        padding: Factor on width and height.
        aspect_wh: Width to height to which the padded box grows first; `None` leaves it out.

    Raises:
        BadShape: The box is not four finite numbers, or is empty.
    """
    box = np.asarray(xyxy, np.float64)
    check_shape("xyxy", box, (4,))
    size = (box[2:] - box[:2]) * padding
    if not (size >= 0).all():
        raise BadShape(f"`xyxy` must be left, top, right, bottom, not {box.tolist()}")
    if aspect_wh is not None:
        size = expand_to_aspect(size, aspect_wh)
    x, y = (box[:2] + box[2:]) / 2
    return CropBox((float(x), float(y)), float(size.max()))


def box_of_keypoints(
    keypoints: np.ndarray, min_score: float = 0.3, padding: float = 1.2, fewest: int = 4
) -> CropBox | None:
    """The square round the keypoints that are seen.

    Args:
        keypoints: (K, 3) x, y in source pixels, score.
        min_score: Keypoints count when their score is above this.
        padding: Factor on width and height of their box, before it grows to the network's aspect.
        fewest: With fewer keypoints there is no box.

    Returns:
        The box, or `None` where too few points are seen, or all in one place.
    """
    check_shape("keypoints", keypoints, (None, 3))
    seen = keypoints[np.isfinite(keypoints).all(1) & (keypoints[:, 2] > min_score), :2]
    if len(seen) < max(fewest, 1):
        return None
    low, high = seen.min(0), seen.max(0)
    if (high - low).max() < 1:
        return None
    return box_around(np.concatenate([low, high]), padding)


def crop_picture(
    image_rgb: np.ndarray,
    box: CropBox,
    mirrored: bool = False,
    antialias: bool = True,
    columns: slice | None = NETWORK_COLUMNS,
    rounded: bool = True,
) -> np.ndarray:
    """Cut a box out of a picture; black where it reaches beyond.

    Only the part of the picture that the crop shows is touched, with the same result as if the
    whole picture were mirrored and blurred.

    Args:
        image_rgb: (H, W, 3) uint8.
        box: What to cut, in pixels of this picture, whether or not it gets mirrored.
        mirrored: Cut it out of the mirrored picture, as for left hands.
        antialias: Blur before shrinking, as the public models do outside training.
        columns: Columns of the crop to return; all 256 for `None`.
        rounded: Return uint8. Otherwise float32, 0 to 255, without rounding after the blur.

    Returns:
        (256, 192, 3), or as many columns as asked for, RGB.

    Raises:
        BadShape: `image_rgb` is not a picture.
    """
    check_shape("image_rgb", image_rgb, (None, None, 3), kind="u")
    if mirrored:
        box = box.mirrored(image_rgb.shape[1])
    sigma = _blur_sigma(box) if antialias else 0.0
    columns = columns or slice(0, CROP_SIZE)
    affine = box.affine()
    left, top, right, bottom = _shown_region(affine, columns, image_rgb.shape, sigma)
    if left >= right or top >= bottom:
        shape = (CROP_SIZE, columns.stop - columns.start, 3)
        return np.zeros(shape, np.uint8 if rounded else np.float32)
    if mirrored:
        width = image_rgb.shape[1]
        part = cv2.flip(image_rgb[top:bottom, width - right : width - left], 1)
    else:
        part = image_rgb[top:bottom, left:right]
    if sigma:
        part = _blurred(part, sigma)
    affine[:, 2] += affine[:, :2] @ (left, top)
    # From column 0 on, whatever is asked for: OpenCV's fixed-point steps depend on where it begins.
    crop = cv2.warpAffine(part, affine, (columns.stop, CROP_SIZE), flags=cv2.INTER_LINEAR)
    crop = crop[:, columns]
    if rounded:
        return np.ascontiguousarray(cv2.convertScaleAbs(crop) if sigma else crop)
    return crop.astype(np.float32)


def keypoints_in_crop(
    keypoints: np.ndarray, box: CropBox, mirrored_width: float | None = None
) -> np.ndarray:
    """Where points of the picture lie in a crop of 256×256, before columns are cut.

    Args:
        keypoints: (..., K, C) with x, y in source pixels first; what follows stays as it is.
        box: The crop's box, in pixels of the picture as it is.
        mirrored_width: Width of the picture where the crop comes from the mirrored one.

    Returns:
        The shape of `keypoints`; floating point numbers, x and y in crop pixels.
    """
    points = np.asarray(keypoints)
    moved = np.array(points, np.result_type(points.dtype, np.float32))
    xy = points[..., :2].astype(np.float64)
    if mirrored_width is not None:
        box = box.mirrored(mirrored_width)
        xy[..., 0] = mirrored_width - xy[..., 0] - 1
    affine = box.affine()
    moved[..., :2] = xy @ affine[:, :2].T + affine[:, 2]
    return moved


def normalize(pictures: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bring pictures to the range that the network was trained on.

    Args:
        pictures: (..., H, W, 3) RGB, 0 to 255, on any device; uint8 is cheapest to bring there.
        dtype: Of the result; computed in fp32.

    Returns:
        (..., 3, H, W).
    """
    planes = pictures.movedim(-1, -3).contiguous()
    values = planes.to(torch.float32, copy=True)
    mean, std = (255 * torch.tensor(c, device=values.device) for c in (MEAN_RGB, STD_RGB))
    return values.sub_(mean[:, None, None]).div_(std[:, None, None]).to(dtype)


def _blur_sigma(box: CropBox) -> float:
    """Standard deviation of the blur before a box shrinks to the crop, source pixels; 0 for none."""
    shrinks = box.side_px / CROP_SIZE / 2
    return (shrinks - 1) / 2 if shrinks > _BLUR_FROM else 0.0


def _blur_radius(sigma: float) -> int:
    """Pixels to either side that the blur reaches; scipy's rule for its Gaussian filter."""
    return int(_BLUR_REACH * sigma + 0.5)


def _blurred(part_rgb: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur that goes on beyond the border with the border's own colours; float32."""
    kernel = cv2.getGaussianKernel(2 * _blur_radius(sigma) + 1, sigma, cv2.CV_32F)
    return np.asarray(
        cv2.sepFilter2D(part_rgb, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    )


def _shown_region(
    affine: np.ndarray, columns: slice, shape: tuple[int, ...], sigma: float
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the pixels that act on the columns of a crop, in the picture."""
    inverse = cv2.invertAffineTransform(affine)
    edges = [(x, y, 1) for x in (columns.start, columns.stop - 1) for y in (0, CROP_SIZE - 1)]
    corners = np.array(edges) @ inverse.T
    margin = 2 + _blur_radius(sigma)  # The neighbour of bilinear sampling, and fixed-point steps.
    low, high = np.floor(corners.min(0)) - margin, np.ceil(corners.max(0)) + margin + 1
    size = (shape[1], shape[0])
    left, top = np.clip(low, 0, size).astype(int)
    right, bottom = np.clip(high, 0, size).astype(int)
    return int(left), int(top), int(right), int(bottom)
