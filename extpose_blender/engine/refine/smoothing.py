"""Zero-phase smoothing whose cutoff rises with speed: slow parts become calm, fast hits stay sharp.

Each signal is the minimum of a weighted distance to what was measured plus a penalty on its second
derivative (a Whittaker smoother). The penalty of each row is set by a cutoff in hertz, which rises
with the speed of the signal there, as in the one-euro filter; but the whole clip is solved at once,
so nothing lags. Cutoffs in hertz make a strength mean the same at every frame rate.

Sources: Eilers, "A perfect smoother" (2003), equation 3; Casiez et al., "1 euro filter" (2012),
    equation 5.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solveh_banded

from ...protocol.geometry import continuous_quats, quat_to_rotvec, rotvec_to_quat

CALMEST_HZ = 1.0
"""Cutoff at strength 1 of a joint that hardly moves."""

CUTOFF_STEP_HZ = 3.0
"""Added to the cutoff at strength 0.5; at other strengths `(1 - s) / s` times that."""

SPEED_PASS_HZ = 4.0
"""Cutoff of the first pass, from which speeds are taken."""

FAST_RAD_S = 5.0
"""Turning speed that doubles a joint's cutoff."""

FAST_M_S = 2.0
"""Speed across the view that doubles the root's cutoff."""

_HIT_REACH_S = 0.06
"""A movement is fast where it is fast within this time."""

DEPTH_CUTOFF_SHARE = 0.35
"""Cutoff along the view ray over that across it: one view sees depth worst."""

UNSEEN_WEIGHT = 1e-6
"""Weight of a row with confidence 0: its value is a guess of the lifter."""


def whittaker(
    values: np.ndarray,
    weights: np.ndarray,
    cutoff_hz: np.ndarray,
    fps: float,
    tension: float = 1e-3,
) -> np.ndarray:
    """Smooth signals that share their weights and cutoffs.

    Args:
        values: (T, C) signals.
        weights: (T,) confidence of each row, from 0 (no matter) to 1; larger ties the row harder.
        cutoff_hz: (T,) or () frequency at which a signal of weight 1 keeps half its amplitude.
        fps: Rows per second.
        tension: Share of the penalty on the first derivative, which keeps long gaps and loose ends
            from swinging. Acts where weights are small.

    Returns:
        (T, C) smoothed signals. Rows fewer than three come back with only the tension's effect.
    """
    count = len(values)
    if count < 2:
        return values.copy()
    cutoff = np.broadcast_to(np.asarray(cutoff_hz, dtype=float), (count,))
    stiffness = (fps / (2.0 * np.pi * cutoff)) ** 4
    diagonals = np.zeros((3, count))  # lower form: row k holds the k-th diagonal below the main one
    diagonals[0] = np.maximum(weights, 1e-9)
    bend = stiffness[1:-1]
    for offset_a, a in enumerate((1.0, -2.0, 1.0)):
        for offset_b, b in enumerate((1.0, -2.0, 1.0)[: offset_a + 1]):
            diagonals[offset_a - offset_b, offset_b : offset_b + len(bend)] += a * b * bend
    loose = 1.0 - np.minimum(weights, 1.0)
    pull = tension * (stiffness[1:] * stiffness[:-1]) ** 0.25 * np.maximum(loose[1:], loose[:-1])
    diagonals[0, 1:] += pull
    diagonals[0, :-1] += pull
    diagonals[1, :-1] -= pull
    rhs = np.maximum(weights, 1e-9)[:, None] * values
    return np.asarray(solveh_banded(diagonals[: min(3, count)], rhs, lower=True))


def base_cutoff_hz(strength: float) -> float:
    """Cutoff of slow movement at a strength from just above 0 to 1."""
    return CALMEST_HZ + CUTOFF_STEP_HZ * (1.0 - strength) / strength


def smooth_rotations(
    rotvec: np.ndarray, confidence: np.ndarray, fps: float, strength: float
) -> np.ndarray:
    """Smooth the rotation of every joint on its own.

    Works on sign-continuous quaternions, so turning all rotations by one and the same rotation,
    before or after, turns the result likewise.

    Args:
        rotvec: (T, J, 3) rotation vectors.
        confidence: (T, J), 0 to 1; rows with 0 follow their neighbours in time.
        fps: Rows per second.
        strength: 0 (the input comes back) to 1.

    Returns:
        (T, J, 3) rotation vectors, of the input's type.
    """
    if strength <= 0 or len(rotvec) < 3:
        return rotvec.copy()
    quats = continuous_quats(rotvec_to_quat(rotvec.astype(float)))
    weights = _weights(confidence)
    still = base_cutoff_hz(strength)
    smoothed = np.empty_like(quats)
    for joint in range(quats.shape[1]):
        signal, weight = quats[:, joint], weights[:, joint]
        # The chord between unit quaternions is half the angle between the rotations.
        speed = 2.0 * _speed(whittaker(signal, weight, np.array(SPEED_PASS_HZ), fps), fps)
        cutoff = still * (1.0 + speed / FAST_RAD_S)
        smoothed[:, joint] = whittaker(signal, weight, cutoff, fps)
    smoothed /= np.linalg.norm(smoothed, axis=-1, keepdims=True)
    return quat_to_rotvec(smoothed).astype(rotvec.dtype)


def smooth_path(
    points_m: np.ndarray, eye_m: np.ndarray, confidence: np.ndarray, fps: float, strength: float
) -> np.ndarray:
    """Smooth the path of a point that one camera saw, harder along the view ray than across it.

    Args:
        points_m: (T, 3) path, metres.
        eye_m: (3,) the camera's centre, which stands still, in the same frame.
        confidence: (T,), 0 to 1.
        fps: Rows per second.
        strength: 0 (the input comes back) to 1.

    Returns:
        (T, 3) path.
    """
    if strength <= 0 or len(points_m) < 3:
        return points_m.copy()
    offset = points_m.astype(float) - eye_m
    depth = np.linalg.norm(offset, axis=1)
    ray, scale = offset / depth[:, None], float(np.median(depth))
    weight, still = _weights(confidence), base_cutoff_hz(strength)
    first = whittaker(ray, weight, np.array(SPEED_PASS_HZ), fps)
    across = still * (1.0 + scale * _speed(first, fps) / FAST_M_S)
    ray = whittaker(ray, weight, across, fps)
    first_log = whittaker(np.log(depth)[:, None], weight, np.array(SPEED_PASS_HZ / 3), fps)
    along = DEPTH_CUTOFF_SHARE * still * (1.0 + scale * _speed(first_log, fps) / FAST_M_S)
    log_depth = whittaker(np.log(depth)[:, None], weight, along, fps)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    return np.asarray(eye_m + np.exp(log_depth) * ray)


def _weights(confidence: np.ndarray) -> np.ndarray:
    return np.maximum(np.clip(confidence, 0.0, 1.0).astype(float) ** 2, UNSEEN_WEIGHT)


def _speed(signal: np.ndarray, fps: float) -> np.ndarray:
    """Highest speed of (T, C) within the reach of a hit, by central differences.

    The highest nearby, as a hit turns round at its peak; the same seen from either end of time.
    """
    speed = np.linalg.norm(np.gradient(signal, axis=0), axis=1) * fps
    reach = max(1, round(_HIT_REACH_S * fps))
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(speed, reach, "edge"), 2 * reach + 1)
    return np.asarray(windows.max(axis=1))
