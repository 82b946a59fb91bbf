"""What the network sees of one person, and where its streams look in each other.

Source: ExtPose (ICML 2025), Fig. 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ...draw.skeleton_image import draw_skeleton_images
from .attention_map import cross_modal_attention
from .config import PATCH_PADDING
from .crop import CropBox, normalize
from .network import ExtPose
from .person_crop import LEAST_SCORE, crop_person


@dataclass(frozen=True)
class SeenPerson:
    """One person as the network's two streams get them."""

    box: CropBox
    """The square of the picture that was cut out."""
    picture_rgb: np.ndarray
    """(256, 192, 3) uint8: the crop."""
    skeleton_rgb: np.ndarray
    """(256, 192, 3) uint8: the skeleton image."""
    points: np.ndarray
    """(18, 3): OpenPose's body points in these two, x, y, score."""


@dataclass(frozen=True)
class CrossAttention:
    """Where the streams look in each other, from the tokens at the person's joints."""

    into_skeleton: np.ndarray
    """(256, 192) float32: how much the crop's tokens look at each place of the skeleton image, as a
    multiple of what it were if they looked at all tokens of both streams alike."""
    into_picture: np.ndarray
    """The same for the skeleton image's tokens and the crop."""
    share_into_skeleton: float
    """Share of the attention of the crop's tokens that goes across, 0 to 1."""
    share_into_picture: float
    """Share of the attention of the skeleton image's tokens that goes across."""


def see_person(
    image_rgb: np.ndarray, keypoints: np.ndarray, skeleton_name: str
) -> SeenPerson | None:
    """Cut a person out and draw their skeleton, as in a capture.

    Args:
        image_rgb: (H, W, 3) uint8.
        keypoints: (K, 3) x, y in source pixels, score.
        skeleton_name: Name of their skeleton.

    Returns:
        The two pictures, or `None` when too few points are sure.
    """
    crop = crop_person(image_rgb, keypoints, skeleton_name)
    if crop is None or crop.picture is None:
        return None
    (skeleton,) = draw_skeleton_images(crop.points[None])
    box = CropBox(crop.center_xy_px, crop.side_px)
    return SeenPerson(box, crop.picture, skeleton, crop.points)


def look_across(net: ExtPose, seen: SeenPerson, block: int = -1) -> CrossAttention:
    """Run a person through the network up to one block and map its cross-modal attention.

    Weights are means over the heads and over the tokens at the joints that are sure and in sight; over
    all tokens where there is none.

    Args:
        net: The network, on the device where it shall run.
        seen: The person.
        block: Which block, from 0; negative numbers count from the last.

    Raises:
        UsageError: There is no such block.
    """
    height, width = net.config.image_size
    like = next(net.parameters())
    streams = [
        normalize(torch.from_numpy(_fitted(picture, width, height)).to(like.device))[None, None]
        for picture in (seen.picture_rgb, seen.skeleton_rgb)
    ]
    image, skeleton = (stream.to(like.dtype) for stream in streams)
    weights = cross_modal_attention(net, image, skeleton, block).mean(dim=0).float().cpu().numpy()
    tokens = weights.shape[0] // 2
    ask = _tokens_at_joints(net, seen)
    from_picture, from_skeleton = weights[:tokens][ask], weights[tokens:][ask]
    into_skeleton, into_picture = from_picture[:, tokens:], from_skeleton[:, :tokens]
    return CrossAttention(
        _over_picture(net, into_skeleton.mean(axis=0) * len(weights), seen.picture_rgb.shape),
        _over_picture(net, into_picture.mean(axis=0) * len(weights), seen.picture_rgb.shape),
        float(into_skeleton.sum(axis=1).mean()),
        float(into_picture.sum(axis=1).mean()),
    )


def _tokens_at_joints(net: ExtPose, seen: SeenPerson) -> np.ndarray:
    """Numbers of the tokens whose patches hold a joint that is sure."""
    rows, columns = net.config.grid_hw
    scale = net.config.image_size[0] / seen.picture_rgb.shape[0]
    sure = seen.points[seen.points[:, 2] >= LEAST_SCORE, :2]
    place = np.floor(((sure + 0.5) * scale + PATCH_PADDING) / net.config.patch_size).astype(int)
    inside = ((place >= 0) & (place < (columns, rows))).all(axis=1)
    if not inside.any():
        return np.arange(rows * columns)
    return np.unique(place[inside, 1] * columns + place[inside, 0])


def _over_picture(net: ExtPose, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Values of tokens (M,) at the pixels that their patches cover, smoothly: (H, W)."""
    rows, columns = net.config.grid_hw
    patch, border = net.config.patch_size, PATCH_PADDING
    grid = values.reshape(rows, columns).astype(np.float32)
    large = cv2.resize(grid, (columns * patch, rows * patch), interpolation=cv2.INTER_LINEAR)
    # The border that the network adds shifts the patches against the picture.
    shifted = np.pad(large[border:, border:], ((0, border), (0, border)), mode="edge")
    return _fitted(shifted, shape[1], shape[0])


def _fitted(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
