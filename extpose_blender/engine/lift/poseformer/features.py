"""What the network is shown of a person: keypoints and hints in a box that follows them through time.

The same functions make training samples and captures ready, so both are the same to the network.

The box is that of the lifter `extpose`: the square round the points that are seen, 1.2 times their
extent, grown to 192:256. Here it is also smoothed over time, so that it does not jump where a point
comes or goes. A person in the box is described as by a camera that looks straight at its middle;
how that camera stands to the picture's is told beside it (the idea of CLIFF, Li et al. 2022).

Pixels are counted from the picture's top-left; box units are shares of the box's side from its middle.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from ....protocol.skeletons import MEDIAPIPE_33
from ..fit.rotation import shortest_turn

POINTS = len(MEDIAPIPE_33)
"""Points of the detector that the network knows."""
VIEW = 7
"""Numbers that tell where the box lies: towards it, its width, and the picture's borders."""

_LEAST_SCORE = 0.3
_FEWEST = 4
_PADDING = 1.2
_TALLER = 256 / 192
"""Height to width of what a network of pictures would see; no import, for that needs OpenCV."""
_SMOOTHED_S = 0.1
"""Standard deviation of the Gaussian over time that smooths the box, seconds."""
_REACH = 2.5
"""Standard deviations after which it ends."""
_LEAST_SIDE_PX = 2.0
_FARTHEST = 1.5
"""Points and borders are held to this many sides from the box's middle."""


@dataclass(frozen=True)
class Boxes:
    """The square round a person in each of T frames of B clips."""

    center_px: Tensor
    """(B, T, 2) its middle, pixels."""
    side_px: Tensor
    """(B, T) its side, pixels."""
    found: Tensor
    """(B, T) bool: enough of the person is seen in this very frame. Others hold what their
    neighbours say."""


@dataclass(frozen=True)
class Inputs:
    """What the network is shown of B windows of T frames."""

    keypoints: Tensor
    """(B, T, K, 3) x and y in box units, score."""
    hints: Tensor
    """(B, T, K, 4) the detector's 3D points, metres, and their score."""
    view: Tensor
    """(B, T, 7) slope of the ray to the box's middle in x and y, logarithm of the box's side over the
    focal length, and left, top, right and bottom border of the picture in box units."""
    time_s: Tensor
    """(B, T) seconds from the middle of the window."""
    shows_keypoints: Tensor
    """(B, T) bool: the keypoints are shown."""
    shows_hints: Tensor
    """(B, T) bool: the hints are shown."""

    def mirrored(self) -> Inputs:
        """The same windows of the mirrored picture."""
        order = list(MEDIAPIPE_33.mirror)
        keypoints = self.keypoints[:, :, order] * self.keypoints.new_tensor([-1.0, 1.0, 1.0])
        hints = self.hints[:, :, order] * self.hints.new_tensor([-1.0, 1.0, 1.0, 1.0])
        view = self.view[..., [0, 1, 2, 5, 4, 3, 6]]
        view = view * view.new_tensor([-1.0, 1.0, 1.0, -1.0, 1.0, -1.0, 1.0])
        return replace(self, keypoints=keypoints, hints=hints, view=view)

    def __getitem__(self, index: slice | Tensor) -> Inputs:
        """Some of the windows."""
        return Inputs(*(getattr(self, field.name)[index] for field in fields(self)))


def boxes_of(keypoints_px: Tensor, seen: Tensor, fps: Tensor) -> Boxes:
    """Lay a box round the person in every frame.

    Args:
        keypoints_px: (B, T, K, 3) x, y, score.
        seen: (B, T) bool: the detector found the person.
        fps: (B,) frames per second.

    Returns:
        Boxes. Frames far from any sight hold a box of two pixels.
    """
    xy, score = keypoints_px[..., :2], keypoints_px[..., 2]
    counts = (score > _LEAST_SCORE) & seen[..., None]
    far = torch.finfo(xy.dtype).max
    low = torch.where(counts[..., None], xy, far).amin(2)
    high = torch.where(counts[..., None], xy, -far).amax(2)
    found = (counts.sum(-1) >= _FEWEST) & ((high - low).amax(-1) >= 1)
    low, high = (torch.where(found[..., None], corner, 0.0) for corner in (low, high))
    size = _PADDING * (high - low)
    side = torch.maximum(size[..., 0] * _TALLER, size[..., 1])
    side = side.clamp_min(_LEAST_SIDE_PX)
    raw = torch.cat([(low + high) / 2, side.log()[..., None]], -1)
    smooth = _smoothed(raw, found, fps)
    return Boxes(smooth[..., :2], smooth[..., 2].exp(), found)


def _smoothed(values: Tensor, known: Tensor, fps: Tensor) -> Tensor:
    """Gaussian mean over time of the frames that are known; (B, T, C), (B, T), (B,) → (B, T, C)."""
    reach = max(1, int(_REACH * _SMOOTHED_S * float(fps.max())))
    frames = values.shape[1]
    weighted = torch.cat([values * known[..., None], known[..., None].to(values)], -1)
    padded = pad(weighted, (0, 0, reach, reach))
    total = torch.zeros_like(weighted)
    for offset in range(-reach, reach + 1):
        share = torch.exp(-0.5 * (offset / (_SMOOTHED_S * fps)) ** 2)
        part = padded[:, reach + offset : reach + offset + frames]
        total = torch.addcmul(total, share[:, None, None].to(values), part)
    return total[..., :-1] / total[..., -1:].clamp_min(torch.finfo(values.dtype).tiny)


def rays_to(boxes: Boxes, focal_px: Tensor, size_wh: Tensor) -> Tensor:
    """Turns of the optical axis to the ray through each box's middle.

    Args:
        boxes: The boxes.
        focal_px: (B,) focal lengths.
        size_wh: (B, 2) width and height of the pictures, pixels.

    Returns:
        (B, T, 3, 3): maps axes of a camera that looks at the box's middle to the picture's camera.
    """
    slope = (boxes.center_px - size_wh[:, None] / 2) / focal_px[:, None, None]
    ray = torch.cat([slope, torch.ones_like(slope[..., :1])], -1)
    ray = ray / ray.norm(dim=-1, keepdim=True)
    return shortest_turn(ray.new_tensor([0.0, 0.0, 1.0]), ray)


def network_inputs(
    keypoints_px: Tensor,
    hints_m: Tensor,
    boxes: Boxes,
    focal_px: Tensor,
    size_wh: Tensor,
    fps: Tensor,
) -> Inputs:
    """Describe windows to the network.

    Args:
        keypoints_px: (B, T, K, 3) x, y, score.
        hints_m: (B, T, K, 4) as `FrameDetections.hints_3d_m`.
        boxes: Of the same frames.
        focal_px: (B,) focal lengths as far as they are known.
        size_wh: (B, 2) width and height of the pictures, pixels.
        fps: (B,) frames per second.
    """
    side = boxes.side_px[..., None]
    xy = (keypoints_px[..., :2] - boxes.center_px[:, :, None]) / side[..., None]
    keypoints = torch.cat([xy.clamp(-_FARTHEST, _FARTHEST), keypoints_px[..., 2:]], -1)
    from_middle = (boxes.center_px - size_wh[:, None] / 2) / focal_px[:, None, None]
    width = (side / focal_px[:, None, None]).log()
    borders = torch.cat([-boxes.center_px, size_wh[:, None] - boxes.center_px], -1) / side
    view = torch.cat([from_middle, width, borders.clamp(-_FARTHEST, _FARTHEST)], -1)
    rows = torch.arange(xy.shape[1], device=xy.device, dtype=xy.dtype)
    time = (rows - (len(rows) - 1) / 2)[None] / fps[:, None]
    shows_hints = boxes.found & (hints_m[..., 3] > 0).any(-1)
    return Inputs(keypoints, hints_m, view, time, boxes.found, shows_hints)
