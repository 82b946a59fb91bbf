"""Limbs and colours of the skeleton pictures: OpenPose-18, COCO-17 and the 21 points of a hand.

Colours are RGB. Sources: lllyasviel/ControlNet:annotator/openpose/util.py (OpenPose-18 and its
rainbow), ViTAE-Transformer/ViTPose:configs/_base_/datasets (COCO-17 and hand, as mmpose draws
them), geopavlakos/hamer:hamer/utils/render_openpose.py (OpenPose's hand).
"""

from __future__ import annotations

from colorsys import hsv_to_rgb

from ...protocol.skeletons import HAND_21

Color = tuple[int, int, int]
"""RGB, 0 to 255."""

OPENPOSE_18_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""The points of OpenPose's COCO body, in its order."""

OPENPOSE_18_LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Bones between them, in the order of painting."""

OPENPOSE_18_COLORS: tuple[Color, ...] = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0),
    (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255),
    (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""Colour of each point; limb k has colour k in the styles of one colour per bone."""

HAND_21_LIMBS = HAND_21.pairs
"""Bones of a hand, wrist to tip, thumb first."""

OPENPOSE_HAND_COLORS: tuple[Color, ...] = (
    (100, 100, 100), (100, 0, 0), (150, 0, 0), (200, 0, 0), (255, 0, 0), (100, 100, 0),
    (150, 150, 0), (200, 200, 0), (255, 255, 0), (0, 100, 50), (0, 150, 75), (0, 200, 100),
    (0, 255, 125), (0, 50, 100), (0, 75, 150), (0, 100, 200), (0, 125, 255), (100, 0, 100),
    (150, 0, 150), (200, 0, 200), (255, 0, 255),
)  # fmt: skip
"""OpenPose's colours of a hand's points: a hue for each finger, darker towards the wrist."""

RAINBOW_HAND_COLORS = tuple(
    tuple(255.0 * part for part in hsv_to_rgb(i / len(HAND_21_LIMBS), 1.0, 1.0))
    for i in range(len(HAND_21_LIMBS))
)
"""ControlNet's colours of a hand's bones."""

_GREEN, _ORANGE, _SKY = (0, 255, 0), (255, 128, 0), (51, 153, 255)

MMPOSE_BODY_COLORS: tuple[Color, ...] = (*(_SKY,) * 5, *(_GREEN, _ORANGE) * 6)
"""mmpose's colours of the COCO-17 points: left green, right orange."""

MMPOSE_BODY_LIMBS = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip

MMPOSE_BODY_LIMB_COLORS: tuple[Color, ...] = (
    *(_GREEN,) * 2, *(_ORANGE,) * 2, *(_SKY,) * 4, *(_GREEN, _ORANGE) * 2, *(_SKY,) * 7,
)  # fmt: skip

MMPOSE_HAND_LIMB_COLORS: tuple[Color, ...] = (
    *(_ORANGE,) * 4, *((255, 153, 255),) * 4, *((102, 178, 255),) * 4, *((255, 51, 51),) * 4,
    *(_GREEN,) * 4,
)  # fmt: skip
"""mmpose's colour of each finger."""

MMPOSE_HAND_COLORS: tuple[Color, ...] = ((255, 255, 255), *MMPOSE_HAND_LIMB_COLORS)
