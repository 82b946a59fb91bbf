"""The crops of many frames at once: what `engine/lift/extpose/crop.py` does for one, in torch.

Without OpenCV, so that it runs where training runs. `tests/models/data/test_boxes.py` holds both
together. Source pixels and crop pixels have their origin top-left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from extpose_blender.engine.draw import palettes
from extpose_blender.protocol.skeletons import COCO_17, COCO_17_FROM_MEDIAPIPE_33

from .rows import Rows

CROP_SIZE = 256
"""Side of a crop, pixels."""
FIRST_COLUMN, SHOWN_WH = 32, (192, 256)
"""Where the part that the network sees begins, and how large it is."""
MIN_SCORE = 0.3
"""Points count for a box and are drawn when their score is above this."""

_PADDING = 1.2
_FEWEST = 4
_NECK = palettes.OPENPOSE_18_NAMES.index("neck")
_SHOULDERS = [COCO_17.index["left_shoulder"], COCO_17.index["right_shoulder"]]
_FROM_COCO = [COCO_17.index.get(name, 0) for name in palettes.OPENPOSE_18_NAMES]


@dataclass(frozen=True)
class CropBoxes(Rows):
    """The squares round people in frames."""

    center_px: Tensor
    """(..., 2) centre, source pixels; 0 where there is none."""
    side_px: Tensor
    """(...) side, source pixels; 1 where there is none."""
    valid: Tensor
    """(...) bool: enough points are seen."""

    def to_crop(self, xy_px: Tensor) -> Tensor:
        """Points (..., K, 2) of the picture in pixels of its crop of 256×256."""
        scale = CROP_SIZE / self.side_px[..., None, None]
        return (xy_px - self.center_px[..., None, :]) * scale + CROP_SIZE / 2

    def source_px(self, size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Where the pixels of a picture of the shown part lie in the source, in any size.

        A camera's pixel k reaches from k to k + 1, the crops' pixel k lies at k: hence the halves.

        Returns:
            x (..., W) and y (..., H): continuous coordinates, as a camera projects them.
        """
        height, width = size_hw
        dtype, device = self.side_px.dtype, self.side_px.device
        columns = (torch.arange(width, dtype=dtype, device=device) + 0.5) / width
        rows = (torch.arange(height, dtype=dtype, device=device) + 0.5) / height
        x = FIRST_COLUMN + columns * SHOWN_WH[0] - 0.5 - CROP_SIZE / 2
        y = rows * SHOWN_WH[1] - 0.5 - CROP_SIZE / 2
        scale = self.side_px[..., None] / CROP_SIZE
        return (
            self.center_px[..., :1] + x * scale + 0.5,
            self.center_px[..., 1:] + y * scale + 0.5,
        )

    def to_picture(self, xy_px: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """Where projected points (..., K, 2) fall in such a picture; its pixel k reaches to k + 1."""
        height, width = size_hw
        scale = CROP_SIZE / self.side_px[..., None, None]
        moved = (xy_px - 0.5 - self.center_px[..., None, :]) * scale + (CROP_SIZE + 1) / 2
        x, y = moved.unbind(-1)
        return torch.stack(
            [(x - FIRST_COLUMN) * (width / SHOWN_WH[0]), y * (height / SHOWN_WH[1])], -1
        )


def boxes_of_keypoints(keypoints: Tensor) -> CropBoxes:
    """The boxes that a capture cuts for keypoints (..., K, 3): x, y in source pixels, score."""
    xy, score = keypoints[..., :2], keypoints[..., 2]
    seen = torch.isfinite(keypoints).all(-1) & (score > MIN_SCORE)
    far = torch.finfo(xy.dtype).max
    low = torch.where(seen[..., None], xy, far).amin(-2)
    high = torch.where(seen[..., None], xy, -far).amax(-2)
    valid = (seen.sum(-1) >= _FEWEST) & ((high - low).amax(-1) >= 1)
    aspect = torch.tensor(SHOWN_WH, dtype=xy.dtype, device=xy.device)
    side = ((high - low) * _PADDING / aspect).amax(-1) * max(SHOWN_WH)
    return CropBoxes(
        center_px=torch.where(valid[..., None], (low + high) / 2, 0.0),
        side_px=torch.where(valid, side, 1.0),
        valid=valid,
    )


def skeleton_points(keypoints: Tensor, boxes: CropBoxes) -> Tensor:
    """OpenPose's eighteen points of MediaPipe's (..., 33, 3), in pixels of what the network sees.

    Returns:
        (..., 18, 3) x, y, score as `engine/lift/extpose/person_crop.py` gives them.
    """
    coco = keypoints[..., list(COCO_17_FROM_MEDIAPIPE_33), :]
    points = coco[..., _FROM_COCO, :]
    shoulders = coco[..., _SHOULDERS, :]
    neck = shoulders.mean(-2)
    neck[..., 2] = (shoulders[..., 2] > MIN_SCORE).all(-1).to(neck.dtype)
    points[..., _NECK, :] = neck
    xy = boxes.to_crop(points[..., :2])
    xy = xy - torch.tensor([FIRST_COLUMN, 0.0], dtype=xy.dtype, device=xy.device)
    return torch.cat([xy, points[..., 2:]], -1)
