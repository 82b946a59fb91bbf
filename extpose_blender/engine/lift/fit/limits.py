"""The body's joint limits in terms of the solver's angles.

`engine/body/joint_limits.py` knows twists and swings; the solver's wall stands where one angle
alone would reach its limit, and the finished pose is held to the limits themselves.
"""

from __future__ import annotations

import numpy as np

from ...body.joint_limits import joint_limits
from .chain import BODY_JOINTS, pose_map


def angle_limits(model_type: str) -> np.ndarray:
    """(Q, 2) lowest and highest value of every number of `q`, radians."""
    limits = joint_limits(model_type)
    share = pose_map()  # (63, Q)
    low, high = (bound[1:BODY_JOINTS].reshape(-1, 1) for bound in (limits.low, limits.high))
    with np.errstate(divide="ignore", invalid="ignore"):
        lowest = np.where(share > 0, low / share, -np.inf).max(0)
        highest = np.where(share > 0, high / share, np.inf).min(0)
    return np.stack([lowest, highest], -1)
