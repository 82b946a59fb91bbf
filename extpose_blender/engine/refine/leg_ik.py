"""Two-bone inverse kinematics of a leg that stays calm where the leg is nearly straight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...protocol.geometry import quat_to_rotmat, rotvec_to_rotmat
from .figure import Posed

_CALM_RAD = np.radians(24.0)
"""Below this bend the knee answers a change of length linearly, not by a root that has no end at
0.
"""
_SIDE_TO_SIDE = 0.25
"""How firmly the knee's own side axis is kept when the leg is too straight to show its plane."""


@dataclass(frozen=True)
class Leg:
    """Joint numbers of one leg."""

    hip: int
    """Thigh joint."""
    knee: int
    """Shin joint."""
    ankle: int
    """Ankle joint."""


def reach_ankle(
    posed: Posed, leg: Leg, target_m: np.ndarray, foot_rotmat: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring an ankle to a place near its own by bending the knee and swinging the leg about the
    hip.

    The change of the knee's bend is exact for a bent leg. Towards a straight one it is made linear
    in the missing length, so a target that comes and goes never pops the knee; the ankle then stays
    up to a few millimetres short along the leg. The direction from the hip is always met.

    Args:
        posed: The body.
        leg: Which leg.
        target_m: (T, 3) wanted ankle positions.
        foot_rotmat: (T, 3, 3) wanted global rotation of the ankle joint.

    Returns:
        Local rotations (T, 3, 3) of hip, knee and ankle.
    """
    hip, knee, ankle = (posed.joints_m[:, j] for j in (leg.hip, leg.knee, leg.ankle))
    thigh, shin = knee - hip, ankle - knee
    bend = _knee_bend(thigh, shin, np.linalg.norm(target_m - hip, axis=1))
    axis = _hinge(thigh, shin, posed.rotmat[:, leg.hip, :, 0])
    flex = rotvec_to_rotmat(axis * bend[:, None])
    reached = thigh + np.einsum("tij,tj->ti", flex, shin)
    swing = shortest_turn(reached, target_m - hip)
    hip_global = swing @ posed.rotmat[:, leg.hip]
    knee_global = swing @ flex @ posed.rotmat[:, leg.knee]
    parents = posed.figure.skeleton.parents
    assert parents is not None  # every model skeleton is a tree
    pelvis_inverse = np.swapaxes(posed.rotmat[:, parents[leg.hip]], -1, -2)
    return (
        pelvis_inverse @ hip_global,
        np.swapaxes(hip_global, -1, -2) @ knee_global,
        np.swapaxes(knee_global, -1, -2) @ foot_rotmat,
    )


def shortest_turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) by the least angle that bring directions `start` (T, 3) to `end` (T,
    3).
    """
    a = start / np.linalg.norm(start, axis=-1, keepdims=True)
    b = end / np.linalg.norm(end, axis=-1, keepdims=True)
    quat = np.concatenate([1.0 + np.sum(a * b, -1, keepdims=True), np.cross(a, b)], axis=-1)
    return quat_to_rotmat(quat / np.linalg.norm(quat, axis=-1, keepdims=True))


def _knee_bend(thigh: np.ndarray, shin: np.ndarray, wanted_m: np.ndarray) -> np.ndarray:
    """(T,) angle by which to bend the knee more, so that hip and ankle are about `wanted_m`
    apart.
    """
    upper, lower = np.linalg.norm(thigh, axis=1), np.linalg.norm(shin, axis=1)
    cosine = np.sum(thigh * shin, axis=1) / (upper * lower)
    now = np.arccos(np.clip(cosine, -1.0, 1.0))
    length = np.linalg.norm(thigh + shin, axis=1)
    wanted_cosine = np.clip(cosine + (wanted_m**2 - length**2) / (2.0 * upper * lower), -1.0, 1.5)
    # 2 (1 - cos) is the square of the bend near 0, and goes on below it where the leg is too short.
    change = 2.0 * (cosine - wanted_cosine)
    chord = 2.0 * (1.0 - cosine) + _CALM_RAD**2
    calm = np.sqrt(np.maximum(chord + change, 0.25 * _CALM_RAD**2)) - np.sqrt(chord)
    exact = np.arccos(np.clip(wanted_cosine, -1.0, 1.0)) - now
    blend = _smoothstep(now / _CALM_RAD - 1.0)
    return np.asarray(np.maximum(blend * exact + (1.0 - blend) * calm, -now))


def _hinge(thigh: np.ndarray, shin: np.ndarray, side: np.ndarray) -> np.ndarray:
    """(T, 3) axis about which the knee bends, for a rest pose that bends towards -Z about +X."""
    scale = np.linalg.norm(thigh, axis=1) * np.linalg.norm(shin, axis=1)
    axis = np.cross(thigh, shin) / scale[:, None] + _SIDE_TO_SIDE * side
    return np.asarray(axis / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9))


def _smoothstep(value: np.ndarray) -> np.ndarray:
    x = np.clip(value, 0.0, 1.0)
    return np.asarray(x * x * (3.0 - 2.0 * x))
