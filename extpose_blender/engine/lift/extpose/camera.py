"""The network's camera: from three numbers to a place before the crop's camera or the picture's.

The network says (s, tx, ty): how large the person is in the crop, and how far from its middle. The
crop is seen by a camera of focal length 5000 for its 256 pixels, whose axis goes through the
crop's middle. "Crop units" are shares of the crop's side from its middle: pixel / 256 - 0.5.

Frames: OpenCV cameras (x right, y down, z forward), metres; translations are added to points.
Every function takes any batch shape and is differentiable.
Source: shubham-goel/4D-Humans:hmr2/models/hmr2.py, hmr2/utils/geometry.py and hmr2/utils/renderer.py
(`cam_crop_to_full`); geopavlakos/hamer:demo.py for left hands.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .crop import CROP_SIZE

FOCAL_IN_CROP_PX = 5000.0
"""Focal length of the camera that sees a crop of 256 pixels."""

_NEVER_ZERO = 1e-9
"""Added where the base models add it, before a division."""


def translation_in_crop(camera: Tensor) -> Tensor:
    """Where the body stands before the crop's camera.

    Args:
        camera: (..., 3) s, tx, ty.

    Returns:
        (..., 3) metres, to be added to the body's points.
    """
    scale, x, y = camera.unbind(-1)
    return torch.stack([x, y, 2 * FOCAL_IN_CROP_PX / (CROP_SIZE * scale + _NEVER_ZERO)], -1)


def project_in_crop(points: Tensor, translation: Tensor) -> Tensor:
    """Project a body's points into its crop.

    Args:
        points: (..., K, 3) metres, before the translation.
        translation: (..., 3) of `translation_in_crop`.

    Returns:
        (..., K, 2) crop units: -0.5 to 0.5 inside the crop of 256×256.
    """
    focal = points.new_full((2,), FOCAL_IN_CROP_PX / CROP_SIZE)
    return project(points, translation, focal)


def project(
    points: Tensor,
    translation: Tensor,
    focal: Tensor,
    center: Tensor | None = None,
    rotation: Tensor | None = None,
) -> Tensor:
    """Project points with a camera of any focal length, centre and rotation.

    Args:
        points: (..., K, 3) metres.
        translation: (..., 3) metres, added after the rotation.
        focal: (..., 2) focal lengths along x and y; their unit is that of the result.
        center: (..., 2) principal point; 0 when left out.
        rotation: (..., 3, 3) from the points' frame to the camera's; none when left out.

    Returns:
        (..., K, 2). Points in the camera's own plane come out infinite.
    """
    if rotation is not None:
        points = points @ rotation.mT
    points = points + translation[..., None, :]
    flat = points[..., :2] / points[..., 2:] * focal[..., None, :]
    return flat if center is None else flat + center[..., None, :]


def focal_of_full(image_wh: Tensor) -> Tensor:
    """The focal length that the base models assume for whole pictures.

    Args:
        image_wh: (..., 2) width and height of every picture, pixels.

    Returns:
        One number, pixels: it follows the longest side of all of them.
    """
    return FOCAL_IN_CROP_PX / CROP_SIZE * image_wh.max()


def translation_in_full(
    camera: Tensor,
    center_xy_px: Tensor,
    side_px: Tensor,
    image_wh: Tensor,
    focal_px: Tensor | float,
) -> Tensor:
    """Where the body stands before the camera of the whole picture, its middle on the axis.

    The base models' closed form: the person is as large and lies where the crop shows it. Its
    rotation stays, as if the crop's axis and the picture's were parallel. The focal length scales
    the depth alone.

    Args:
        camera: (..., 3) s, tx, ty.
        center_xy_px: (..., 2) centre of the crop's box, source pixels.
        side_px: (...) side of the box, source pixels.
        image_wh: (..., 2) width and height of the picture, pixels.
        focal_px: (...) or one number, source pixels.

    Returns:
        (..., 3) metres.
    """
    scale, *shift = camera.unbind(-1)
    size = side_px * scale + _NEVER_ZERO
    off_axis = 2 * (center_xy_px - image_wh / 2) / size[..., None]
    depth = 2 * focal_px / size
    return torch.cat([off_axis + torch.stack(shift, -1), depth[..., None]], -1)


def unmirrored_camera(camera: Tensor, right: Tensor) -> Tensor:
    """The camera of hands whose crop was mirrored where they are left ones.

    To be used before `translation_in_full`, with the box as it lies in the picture.

    Args:
        camera: (..., 3) s, tx, ty as the network says them.
        right: (...) 1 or true for right hands, which stay as they are.
    """
    return _mirrored(camera, right, camera.new_tensor([1.0, -1.0, 1.0]))


def unmirrored_points(points: Tensor, right: Tensor) -> Tensor:
    """Vertices or joints (..., K, 3) of the right-hand model, for left hands (...) mirrored in x.

    The faces of a left hand's mesh must be turned round, or it shows its inside.
    """
    return _mirrored(points, right[..., None], points.new_tensor([-1.0, 1.0, 1.0]))


def unmirrored_rotmat(rotmat: Tensor, right: Tensor) -> Tensor:
    """Rotations (..., J, 3, 3) of the right-hand model, as a left-hand model (...) takes them.

    Their rotation vectors keep x and change the signs of y and z.
    """
    flips = rotmat.new_tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
    keep = right.to(torch.bool)[..., None, None, None]
    return torch.where(keep, rotmat, rotmat * flips)


def _mirrored(values: Tensor, right: Tensor, signs: Tensor) -> Tensor:
    return torch.where(right.to(torch.bool)[..., None], values, values * signs)
