"""Finger poses: smooth, within what fingers can do, from fists to spread hands.

A hand's pose is a curl per finger, a spread of all and a turn of the thumb; each moves smoothly
from one drawn pose to the next. Fingers of captures that have any are used as they are.

Frames: SMPL-H's joints 22 to 51, rotation vectors in the rest frame, where the left hand's fingers
point along +X and the palm faces down.
"""

from __future__ import annotations

import torch
from torch import Tensor

from extpose_blender.protocol.skeletons import SMPLH_52

from .draws import Draws, smooth_factor

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_FULL_BEND = {"1": 1.35, "2": 1.6, "3": 1.0}
"""Bend of a finger's three joints in a fist, radians."""
_FAN = {"index": -0.22, "middle": -0.05, "ring": 0.1, "pinky": 0.28}
"""Turn about Y that spreads the left hand's fingers, radians."""
_THUMB = {"thumb1": (0.4, -0.5, -0.2), "thumb2": (0.1, -0.4, 0.0), "thumb3": (0.0, -0.8, 0.0)}
"""Turns that lay the left thumb over the palm, radians."""


def draw_hands(draws: Draws, times_s: Tensor) -> Tensor:
    """Poses of both hands, (B, T, 30, 3), for times (B, T) in seconds."""
    count, frames = times_s.shape
    factor = smooth_factor(times_s, draws.log_uniform(count, low=0.3, high=2.0))
    usual = draws.normal(count, 1, 14)
    moves = 0.6 * draws.chance(0.6, count, 1, 1) * (factor @ draws.normal(count, frames, 14))
    together = draws.normal(count, 1, 2).repeat_interleave(7, -1)
    # Fingers of a hand bend much alike; a share of 0.3 is a relaxed hand.
    share = torch.sigmoid(1.1 * together + 0.7 * usual + moves - 0.8)
    hands = [_hand(share[..., 7 * side : 7 * side + 7]) for side in (0, 1)]
    mirror = torch.tensor([1.0, -1.0, -1.0], device=draws.device)
    return torch.cat([hands[0], hands[1] * mirror], 2)


def _hand(share: Tensor) -> Tensor:
    """(B, T, 15, 3) a left hand from shares (B, T, 7): five curls, spread, thumb's opposition."""
    spread = share[..., 5] * (1 - 0.7 * share[..., :4].mean(-1))
    rows = []
    for name in SMPLH_52.joint_names[22:37]:
        finger, joint = name.removeprefix("left_")[:-1], name[-1]
        zero = torch.zeros_like(spread)
        if finger == "thumb":
            turn = torch.tensor(_THUMB[finger + joint], device=share.device)
            rows.append((share[..., 6:7] if joint == "1" else share[..., 4:5]) * turn)
        else:
            bend = -_FULL_BEND[joint] * share[..., _FINGERS.index(finger)]
            fan = _FAN[finger] * (spread - 0.2) if joint == "1" else zero
            rows.append(torch.stack([zero, fan, bend], -1))
    return torch.stack(rows, 2)
