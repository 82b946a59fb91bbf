"""A body at rest whose hands hang as hands do: for joints about which nothing is known."""

from __future__ import annotations

import numpy as np

from ...protocol.skeletons import Skeleton

_CURL = {"index": 0.2, "middle": 0.25, "ring": 0.3, "pinky": 0.35}
"""Bend of each finger joint of a relaxed hand, radians; about the axis across the palm, which is Z
at rest."""


def relaxed_rest(skeleton: Skeleton) -> np.ndarray:
    """(J, 3) rotation vectors of a resting body with slightly curled fingers."""
    rest = np.zeros((len(skeleton), 3), np.float32)
    for name, joint in skeleton.index.items():
        side, _, part = name.partition("_")
        finger = part.rstrip("123")
        if finger in _CURL and part != finger:
            rest[joint, 2] = _CURL[finger] * (-1.0 if side == "left" else 1.0)
    return rest
