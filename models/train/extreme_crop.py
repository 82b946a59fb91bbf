"""Crops that show a part of the body only, so that the network meets people who are cut off.

A rule keeps some of the 44 joints, and the new box is theirs, grown. Whoever shows all limbs may
get any of nine rules; whoever shows no legs, one of five.

Frames: source pixels.
Source: shubham-goel/4D-Humans:hmr2/datasets/utils.py (`extreme_cropping_aggressive`), after EFT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FACE = (0, 15, 16, 17, 18, 38, 42, 43)
_NECK = (1, 37)
_OPENPOSE_SHOULDERS = (2, 5)
_SHOULDERS = (33, 34)
_RIGHT_ARM = (2, 3, 4, 31, 32, 33)
_LEFT_ARM = (5, 6, 7, 34, 35, 36)
_PELVIS = (8, 39)
_SPINE = (40, 41)
_HIPS = (9, 12, 27, 28)
_RIGHT_LEG = (9, 10, 11, 22, 23, 24, 25, 26, 27)
_LEFT_LEG = (12, 13, 14, 19, 20, 21, 28, 29, 30)

_LIMBS = (
    (2, 33),
    (3, 32),
    (4, 31),
    (5, 34),
    (6, 35),
    (7, 36),
    (10, 26),
    (11, 25),
    (13, 29),
    (14, 30),
)
"""Joints of arms and legs, each in both of its conventions."""
_KNEES_AND_ANKLES = (10, 11, 13, 14, 25, 26, 29, 30)
_UPPER_BODY = (0, 1, 15, 16, 17, 18, 33, 34, 37, 38, 42, 43)

_SMALLEST_PX = 4.0
"""Smaller boxes are not taken."""
_LEAST_CONFIDENCE = 1.0
"""Sum of the confidences of the kept joints that a rule needs."""


@dataclass(frozen=True)
class Rule:
    """What an extreme crop shows."""

    joints: tuple[int, ...]
    """Joints of the 44 that the box goes round."""
    growth: float
    """Factor on the size of their box."""


RULES = {
    "hips": Rule(_FACE + _NECK + _RIGHT_ARM + _LEFT_ARM + _SPINE + _PELVIS + _HIPS, 1.32),
    "shoulders": Rule(_FACE + _NECK + _OPENPOSE_SHOULDERS + _SHOULDERS, 1.44),
    "head": Rule(_FACE + _NECK + _OPENPOSE_SHOULDERS, 1.56),
    "torso": Rule(_NECK + _OPENPOSE_SHOULDERS + _SHOULDERS + _SPINE + _PELVIS + _HIPS, 1.32),
    "right_arm": Rule(_RIGHT_ARM, 1.32),
    "left_arm": Rule(_LEFT_ARM, 1.32),
    "legs": Rule(_PELVIS + _RIGHT_LEG + _LEFT_LEG, 1.32),
    "right_leg": Rule(_RIGHT_LEG, 1.32),
    "left_leg": Rule(_LEFT_LEG, 1.32),
}
"""The nine rules; what they show, from above down to the hips, shoulders or head, or one part."""

_OF_FULL_BODY: tuple[tuple[float, str], ...] = (
    (0.2, "hips"), (0.3, "shoulders"), (0.4, "head"), (0.5, "torso"), (0.6, "right_arm"),
    (0.7, "left_arm"), (0.8, "legs"), (0.9, "right_leg"), (1.0, "left_leg"),
)  # fmt: skip
_OF_UPPER_BODY: tuple[tuple[float, str], ...] = (
    (0.2, "shoulders"), (0.4, "head"), (0.6, "torso"), (0.8, "right_arm"), (1.0, "left_arm"),
)  # fmt: skip
"""Up to which drawn number each rule is taken."""


def choose_rule(keypoints: np.ndarray, draw: float) -> str | None:
    """The rule for a person.

    Args:
        keypoints: (44, 3) x, y, confidence.
        draw: A number drawn evenly from 0 to 1.

    Returns:
        A name of `RULES`, or `None` for somebody who shows neither all limbs nor only the upper body.
    """
    seen = keypoints[:, 2] > 0
    if all(seen[a] or seen[b] for a, b in _LIMBS):
        table = _OF_FULL_BODY
    elif not seen[list(_KNEES_AND_ANKLES)].any() and seen[list(_UPPER_BODY)].sum() >= 2:
        table = _OF_UPPER_BODY
    else:
        return None
    return next((rule for limit, rule in table if draw < limit), table[-1][1])


def box_of_rule(
    keypoints: np.ndarray, rule: str
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The box that a rule makes.

    Args:
        keypoints: (44, 3) x, y, confidence; source pixels.
        rule: A name of `RULES`.

    Returns:
        Centre and size (width, height), or `None` where too few of its joints are seen.
    """
    kept = keypoints[list(RULES[rule].joints)]
    seen = kept[kept[:, 2] > 0, :2]
    if kept[:, 2].sum() <= _LEAST_CONFIDENCE:
        return None
    low, high = seen.min(0), seen.max(0)
    center, size = (low + high) / 2, RULES[rule].growth * (high - low)
    return (float(center[0]), float(center[1])), (float(size[0]), float(size[1]))


def extreme_crop(
    keypoints: np.ndarray, center_xy_px: tuple[float, float], side_px: float, draw: float
) -> tuple[tuple[float, float], float]:
    """Centre and side of the box after an extreme crop; as they were where no rule applies.

    Args:
        keypoints: (44, 3) x, y, confidence; source pixels.
        center_xy_px: Centre of the person's box.
        side_px: Its side.
        draw: A number drawn evenly from 0 to 1, which chooses the rule.
    """
    rule = choose_rule(keypoints, draw)
    box = box_of_rule(keypoints, rule) if rule else None
    if box is None or max(box[1]) < _SMALLEST_PX:
        return center_xy_px, side_px
    return box[0], max(box[1])
