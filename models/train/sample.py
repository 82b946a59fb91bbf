"""One training picture: cut out, augmented, and its labels with it.

The order is that of the base models: extreme crop, shift, then mirror, scale and turn in one warp,
then colours. Labels follow: 2D joints through the same warp, 3D joints and the root's rotation
against the turn about the camera's axis; mirrored bodies swap left and right.

Frames: OpenCV camera, metres, radians; crop units are pixel / 256 - 0.5.
Source: shubham-goel/4D-Humans:hmr2/datasets/utils.py (`do_augmentation`, `get_example`) and
geopavlakos/hamer:hamer/datasets/utils.py for hands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from extpose_blender.engine.body.model_joints import BODY_44_MIRROR
from extpose_blender.engine.lift.extpose.crop import (
    CROP_SIZE,
    CropBox,
    crop_picture,
    keypoints_in_crop,
    normalize,
)
from extpose_blender.protocol.arrays import check_shape
from extpose_blender.protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from extpose_blender.protocol.skeletons import HAND_21, MANO_16, SMPL_24

from .extreme_crop import extreme_crop

_BODY = (BODY_44_MIRROR, SMPL_24.mirror)
_HAND = (tuple(range(len(HAND_21))), tuple(range(len(MANO_16))))
"""Mirror images of keypoints and of posed joints; a mirrored left hand is a right hand, as it is."""


@dataclass(frozen=True)
class Labels:
    """What is known of a person or hand in a picture."""

    keypoints_2d: np.ndarray
    """(44, 3) or (21, 3) x, y, confidence: source pixels before, crop units after."""
    keypoints_3d: np.ndarray
    """(44, 4) or (21, 4) metres, confidence."""
    rotvec: np.ndarray
    """(24, 3) or (16, 3) rotation of each joint in its parent's frame, the root's first."""
    betas: np.ndarray
    """(10,) shape; nothing here changes it."""
    is_left_hand: bool = False
    """A left hand: it is mirrored, for the network knows right hands alone."""

    def __post_init__(self) -> None:
        points = 21 if self.is_hand else 44
        check_shape("keypoints_2d", self.keypoints_2d, (points, 3))
        check_shape("keypoints_3d", self.keypoints_3d, (points, 4))
        check_shape("rotvec", self.rotvec, (16 if self.is_hand else 24, 3))
        check_shape("betas", self.betas, (10,))

    @property
    def is_hand(self) -> bool:
        """Whether it is a hand."""
        return len(self.rotvec) == len(MANO_16)


@dataclass(frozen=True)
class Augmentation:
    """What is done to one picture."""

    scale: float = 1.0
    """Factor on the side of the box."""
    rotation_deg: float = 0.0
    """Turn of the box in the picture, from x towards y."""
    flip: bool = False
    """Mirror a body. Hands are mirrored by `Labels.is_left_hand` alone."""
    shift_xy: tuple[float, float] = (0.0, 0.0)
    """Shift of the box, shares of its side, before it is mirrored."""
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factor on red, green and blue."""
    extreme_draw: float | None = None
    """Number from 0 to 1 that chooses the rule of an extreme crop; `None` for none."""


@dataclass(frozen=True)
class AugmentationRanges:
    """How much the base models augment; the defaults are those of bodies."""

    scale: float = 0.3
    """Of a normal draw cut to -1 to 1."""
    rotation_deg: float = 30.0
    """Of a normal draw cut to -2 to 2."""
    rotation_chance: float = 0.6
    """How often a picture is turned at all."""
    shift: float = 0.02
    """Of a normal draw cut to -1 to 1, always, on both axes."""
    color: float = 0.2
    """Factors go from 1 minus this to 1 plus this, evenly, each channel for itself."""
    flip_chance: float = 0.5
    """How often it is mirrored."""
    extreme_chance: float = 0.1
    """How often it gets an extreme crop."""


BODY_RANGES = AugmentationRanges()
HAND_RANGES = replace(BODY_RANGES, flip_chance=0.0, extreme_chance=0.0)


@dataclass(frozen=True)
class TrainingSample:
    """What the network sees and is told."""

    image: np.ndarray
    """(3, 256, 256) float32, normalised; the network takes columns 32 to 223."""
    labels: Labels
    """Labels of what the image shows: 2D joints in crop units."""
    box: CropBox
    """What was cut, in the picture as it is, before it is mirrored."""
    mirrored: bool
    """The picture was mirrored first."""


def draw_augmentation(rng: np.random.Generator, ranges: AugmentationRanges) -> Augmentation:
    """Draw what is done to one picture."""
    shift_x, shift_y, scale = np.clip(rng.standard_normal(3), -1, 1)
    turns = rng.random() <= ranges.rotation_chance
    turn = float(np.clip(rng.standard_normal(), -2, 2))
    red, green, blue = rng.uniform(1 - ranges.color, 1 + ranges.color, 3)
    return Augmentation(
        scale=1 + ranges.scale * float(scale),
        rotation_deg=ranges.rotation_deg * turn if turns else 0.0,
        flip=bool(rng.random() < ranges.flip_chance),
        shift_xy=(ranges.shift * float(shift_x), ranges.shift * float(shift_y)),
        color=(float(red), float(green), float(blue)),
        extreme_draw=rng.random() if rng.random() < ranges.extreme_chance else None,
    )


def make_sample(
    image_rgb: np.ndarray,
    center_xy_px: tuple[float, float],
    side_px: float,
    labels: Labels,
    augmentation: Augmentation,
) -> TrainingSample:
    """Cut one picture out and bring its labels along.

    Args:
        image_rgb: (H, W, 3) uint8.
        center_xy_px: Centre of the person's box.
        side_px: Its longer side. In training boxes do not grow to the network's aspect.
        labels: In source pixels.
        augmentation: What is done to it.

    Raises:
        BadShape: An array has the wrong shape, or the box is empty.
    """
    if augmentation.extreme_draw is not None and not labels.is_hand:
        center_xy_px, side_px = extreme_crop(
            labels.keypoints_2d, center_xy_px, side_px, augmentation.extreme_draw
        )
    x, y = (
        place + side_px * shift
        for place, shift in zip(center_xy_px, augmentation.shift_xy, strict=True)
    )
    box = CropBox((x, y), side_px * augmentation.scale, augmentation.rotation_deg)
    mirrored = labels.is_left_hand if labels.is_hand else augmentation.flip
    picture = crop_picture(image_rgb, box, mirrored, antialias=False, columns=None)
    colored = np.clip(picture * np.array(augmentation.color, np.float32), 0, 255)
    return TrainingSample(
        image=normalize(torch.from_numpy(colored)).numpy(),
        labels=_carried_along(labels, box, mirrored, image_rgb.shape[1]),
        box=box,
        mirrored=mirrored,
    )


def _carried_along(labels: Labels, box: CropBox, mirrored: bool, width: int) -> Labels:
    """The labels of the crop."""
    flat = keypoints_in_crop(labels.keypoints_2d, box, width if mirrored else None)
    flat[:, :2] = flat[:, :2] / CROP_SIZE - 0.5
    deep, rotvec = labels.keypoints_3d.copy(), labels.rotvec.copy()
    if mirrored:
        of_points, of_joints = (list(mirror) for mirror in (_HAND if labels.is_hand else _BODY))
        deep[:, 0] *= -1
        flat, deep = flat[of_points], deep[of_points]
        rotvec = rotvec[of_joints] * np.array([1.0, -1.0, -1.0], rotvec.dtype)
    turn = rotvec_to_rotmat(np.array([0.0, 0.0, -np.deg2rad(box.rotation_deg)]))
    deep[:, :3] = deep[:, :3] @ turn.T
    rotvec[0] = rotmat_to_rotvec(turn @ rotvec_to_rotmat(rotvec[0].astype(np.float64)))
    return replace(labels, keypoints_2d=flat, keypoints_3d=deep, rotvec=rotvec)
