"""Which way is up, from how people stand, from where their feet touch down, and from how cameras
are held.

The direction is the one at which a sum of doubts is least. It is looked for over the whole sphere
first, so a camera on its side or a person on the floor cannot trap it, and then ever more finely
around the best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .figure import Posed

UP_IN_CAMERA = np.array([0.0, -1.0, 0.0])
"""Up in a level OpenCV camera."""

_CANDIDATES_AT_ONCE = 160
"""Directions that are weighed together; bounds the memory."""
_SAMPLES = 48
"""Frames of each person that are looked at."""
_ROLL_MIX = ((0.60, 3.0), (0.32, 15.0), (0.08, 90.0))
"""How cameras are held: shares and spreads in degrees of their roll."""
_PITCH_SPREAD_DEG = 20.0
_STANDING_SPREAD_DEG = 7.0
"""How far a straight body leans that stands or walks."""
_LYING_SPREAD_DEG = 20.0
_LYING_DOUBT = 3.5
_ON_SIDE_DOUBT = 5.0
"""How much less likely people lie than stand, and on their side than on front or back; natural
log.
"""
_BENT_SPREAD_DEG = 28.0
"""How far the trunk of a sitting, kneeling or crouching person leans."""
_HIPS_SPREAD_DEG = 7.0
"""How far hips are from level in a person who is upright."""
_STEP_SPREAD_M = 0.02
"""How far touch-down points scatter from a plane across the view."""
_DEPTH_SPREAD = 0.025
"""How far they scatter along the view ray, as a share of their distance."""


@dataclass(frozen=True)
class Posture:
    """What one person's pose says about up, in a frame that does not turn with the camera."""

    trunk: np.ndarray
    """(N, 3) unit vectors, hips to neck."""
    whole: np.ndarray
    """(N, 3) unit vectors, ankles to neck."""
    hips: np.ndarray
    """(N, 3) unit vectors, right hip to left hip."""
    front: np.ndarray
    """(N, 3) unit vectors, the way the pelvis faces."""
    straight: np.ndarray
    """(N,) 0 to 1: legs in line with the trunk and seen."""
    weight: np.ndarray
    """(N,) confidence of each frame."""
    independent: float
    """How many independent looks at the person the frames amount to."""


def read_posture(posed: Posed, confidence: np.ndarray, fps: float) -> Posture | None:
    """Take from a body what speaks about up; `None` for a body without trunk or never seen.

    Args:
        posed: The body in a frame that does not turn with the camera.
        confidence: (T, J), 0 to 1.
        fps: Rows per second.
    """
    names = posed.figure.skeleton.index
    seen = np.flatnonzero(confidence.max(axis=1) > 0)
    if "neck" not in names or not len(seen):
        return None
    rows = seen[np.linspace(0, len(seen) - 1, min(_SAMPLES, len(seen))).astype(int)]
    at = {name: posed.joints_m[rows, i] for name, i in names.items()}
    hips = 0.5 * (at["left_hip"] + at["right_hip"])
    ankles = 0.5 * (at["left_ankle"] + at["right_ankle"])
    trunk, legs = _unit(at["neck"] - hips), _unit(hips - ankles)
    limbs = [names[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle")]
    upper = [names[n] for n in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
    reach = np.linalg.norm(hips - ankles, axis=1) / _leg_length(posed)
    straight = _ramp(np.sum(trunk * legs, axis=1), 0.75, 0.92) * _ramp(reach, 0.80, 0.92)
    return Posture(
        trunk=trunk,
        whole=_unit(at["neck"] - ankles),
        hips=_unit(at["left_hip"] - at["right_hip"]),
        front=posed.rotmat[rows, 0, :, 2],
        straight=straight * _ramp(confidence[np.ix_(rows, limbs)].mean(axis=1), 0.15, 0.4),
        weight=np.maximum(confidence[np.ix_(rows, upper)].mean(axis=1), 1e-3),
        independent=float(np.clip(2.0 + len(seen) / fps, 2.0, 5.0)),
    )


def mean_trunk(postures: list[Posture]) -> np.ndarray:
    """(3,) mean direction from hips to neck, of at least one person."""
    total = np.sum([p.weight @ p.trunk / p.weight.sum() for p in postures], axis=0)
    return _unit(total)


def find_up(postures: list[Posture], steps_m: list[np.ndarray]) -> np.ndarray:
    """Find the direction of up.

    Args:
        postures: One per person.
        steps_m: Per person (N, 3), the places where feet touched the ground; may be empty.

    Returns:
        (3,) unit vector in the frame of the arguments: the first row's OpenCV camera.
    """
    candidates, spread = _sphere(1600), 6.0
    best = UP_IN_CAMERA
    while spread > 0.02:
        blocks = np.array_split(candidates, -(-len(candidates) // _CANDIDATES_AT_ONCE))
        doubt = np.concatenate([_doubt(block, postures, steps_m) for block in blocks])
        best = candidates[int(np.argmin(doubt))]
        candidates = _cone(best, spread, 120)
        spread /= 3.0
    return best


def _doubt(up: np.ndarray, postures: list[Posture], steps_m: list[np.ndarray]) -> np.ndarray:
    """(U,) doubt that each direction is up."""
    doubt = _camera_doubt(up)
    for posture in postures:
        doubt = doubt + _posture_doubt(up, posture)
    for points in steps_m:
        doubt = doubt + _plane_doubt(up, points)
    return doubt


def _camera_doubt(up: np.ndarray) -> np.ndarray:
    roll = np.degrees(np.arctan2(up[:, 0], -up[:, 1]))
    pitch = np.degrees(np.arcsin(np.clip(up[:, 2], -1.0, 1.0)))
    share = sum(s / d * np.exp(-0.5 * (roll / d) ** 2) for s, d in _ROLL_MIX)
    # Near the pole, where the camera looks straight up or down, every roll is the same direction.
    return np.asarray(
        -np.log(share) * np.cos(np.radians(pitch)) + 0.5 * (pitch / _PITCH_SPREAD_DEG) ** 2
    )


def _posture_doubt(up: np.ndarray, posture: Posture) -> np.ndarray:
    """(U,) doubt that these poses are seen upright, or on the floor.

    How far each frame is from upright counts per independent look; that a person lies down at all
    is one surprise, however long they stay there.
    """
    lean = np.degrees(np.arccos(np.clip(up @ posture.whole.T, -1.0, 1.0)))  # (U, N)
    bend = np.degrees(np.arccos(np.clip(up @ posture.trunk.T, -1.0, 1.0)))
    tilt = np.degrees(np.arcsin(np.clip(up @ posture.hips.T, -1.0, 1.0)))
    level = np.minimum(0.5 * (tilt / _HIPS_SPREAD_DEG) ** 2, 6.0)
    stands, sits = _robust(lean, _STANDING_SPREAD_DEG), _robust(bend, _BENT_SPREAD_DEG)
    # Hips say little in a squat: one view confuses their turn with their tilt.
    upright = posture.straight * (stands + level) + (1.0 - posture.straight) * (sits + 0.1 * level)
    flat = np.maximum(np.abs(lean - 90.0), np.abs(bend - 90.0))
    lies = 0.5 * (flat / _LYING_SPREAD_DEG) ** 2
    on_floor = lies < upright
    share = posture.weight / posture.weight.sum()
    on_side = 1.0 - np.abs(up @ posture.front.T)
    surprise = np.where(on_floor, _LYING_DOUBT + _ON_SIDE_DOUBT * on_side, 0.0) @ share
    return np.asarray(np.minimum(lies, upright) @ share * posture.independent + surprise)


def _plane_doubt(up: np.ndarray, points_m: np.ndarray) -> np.ndarray:
    """(U,) how badly points lie in one plane across each direction; robust, blind to its height."""
    if len(points_m) < 3:
        return np.zeros(len(up))
    distance = np.linalg.norm(points_m, axis=1)
    rise = up @ points_m.T  # (U, N)
    along = up @ (points_m / distance[:, None]).T
    spread = np.sqrt(_STEP_SPREAD_M**2 + (along * _DEPTH_SPREAD * distance) ** 2)
    off = (rise - np.median(rise, axis=1, keepdims=True)) / spread
    return np.asarray(np.sum(np.log1p(0.5 * off**2), axis=1))


def _sphere(count: int) -> np.ndarray:
    """Evenly spread unit vectors: a Fibonacci lattice."""
    i = np.arange(count) + 0.5
    height = 1.0 - 2.0 * i / count
    turn = np.pi * (1.0 + np.sqrt(5.0)) * i
    flat = np.sqrt(1.0 - height**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), height], axis=1)


def _cone(middle: np.ndarray, radius_deg: float, count: int) -> np.ndarray:
    """Unit vectors spread over a cone around one, the middle itself first."""
    i = np.arange(count)
    radius = np.tan(np.radians(radius_deg)) * np.sqrt(i / count)
    turn = np.pi * (1.0 + np.sqrt(5.0)) * i
    side = np.cross(middle, np.eye(3)[int(np.argmin(np.abs(middle)))])
    side /= np.linalg.norm(side)
    other = np.cross(middle, side)
    return _unit(
        middle + radius[:, None] * (np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * other)
    )


def _leg_length(posed: Posed) -> float:
    figure = posed.figure
    hip, knee, ankle = (figure.rest_m[figure.index(f"left_{p}")] for p in ("hip", "knee", "ankle"))
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def _robust(degrees: np.ndarray, spread: float) -> np.ndarray:
    """Half the squared ratio near zero, growing ever more slowly beyond: people do bend."""
    return np.asarray(4.0 * np.log1p((degrees / spread) ** 2 / 8.0))


def _ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((value - low) / (high - low), 0.0, 1.0)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
