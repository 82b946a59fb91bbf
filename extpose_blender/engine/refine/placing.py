"""One world for everyone in the clip: where the ground is, how high the camera, how big each
person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .contact import ContactOptions, calmed, contacts_from, point_speeds, runs
from .figure import Posed

SEEN_LEGS = 0.15
"""Mean confidence of the ankles from which on a person's feet count as seen."""

_OFTEN = 35
"""What reaches lower than the feet stand in this percentage of the time lies on the ground."""
_ENOUGH_ROWS = 100
"""Rows that are looked at for that."""
_NEARBY_S = 0.4
"""Within this time to either side one foot of a walking person rests; in longer, an error in the
direction of up would pass for height."""
_SHAPE_SPREAD = 0.075
"""How far true heights scatter around solved ones, as a share: adults of both sexes differ by 5.6 %
(one standard deviation), and a solved shape stays near the mean, for one view tells little of it.
"""
_FEET_SPREAD_M = 0.03
"""How well feet tell the height of the camera above the ground, metres."""
_PELVIS_SPREAD_M = 0.20
"""How well a person tells it whose feet are out of the picture."""
_SMALLEST, _LARGEST = 0.75, 1.25
"""Limits of the factor by which a person is made smaller and nearer, or larger and farther."""


@dataclass(frozen=True)
class Footing:
    """How high the camera is above what one person stands on."""

    height_m: float
    """Camera above ground, along up, at the person's own scale. Negative where it looks from
    below.
    """
    spread_m: float
    """How sure that is."""
    factor: float | None
    """The person's factor of size where it is known, else `None`."""


def world_R_camera0(up: np.ndarray) -> np.ndarray:
    """(3, 3) rotation from the first row's camera to the world: Z up, the camera looks along +Y.

    A camera that looks straight up or down has its picture's upper edge towards +Y instead.

    Args:
        up: (3,) unit vector in the OpenCV camera of the first row.
    """
    forward = np.array([0.0, 0.0, 1.0])
    if abs(up @ forward) > 0.999:
        forward = np.array([0.0, -1.0, 0.0])
    y = forward - (forward @ up) * up
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, up), y, up])


def legs_seen(posed: Posed, confidence: np.ndarray) -> np.ndarray:
    """(T,) rows in which at least one ankle was seen; all false for a body without feet."""
    if not posed.figure.has_feet:
        return np.zeros(len(confidence), dtype=bool)
    ankles = posed.figure.skeleton.indices("left_ankle", "right_ankle")
    return np.asarray(confidence[:, ankles].max(axis=1) >= SEEN_LEGS)


def first_contacts(
    posed: Posed, seen: np.ndarray, up: np.ndarray, eye_m: np.ndarray, fps: float
) -> np.ndarray:
    """Contacts (T, 4) of feet whose depth still wanders and whose ground is not yet known.

    Heights are taken above the lowest foot nearby in time, and movement along the view ray counts
    little.

    Args:
        posed: The body.
        seen: (T,) rows in which its feet were seen.
        up: (3,) up in the same frame.
        eye_m: (3,) the camera's centre.
        fps: Rows per second.
    """
    options = ContactOptions()
    feet = calmed(posed.feet(), fps, options.calm_hz)
    level = np.einsum("tni,i->tn", feet, up)
    lowest = np.where(seen, level.min(axis=1), level.max())
    above = level - _local_ground(lowest, fps)[:, None]
    speed = _speeds_across(feet - eye_m, fps)
    return contacts_from(above, speed, fps, options) & seen[:, None]


def touch_downs(posed: Posed, contact: np.ndarray) -> np.ndarray:
    """Places (N, 3) where feet rested, one per contact of (T, 4), in the frame of `posed`."""
    feet = posed.feet()
    places = [
        np.median(feet[first:end, point], axis=0)
        for point in range(feet.shape[1])
        for first, end in runs(contact[:, point])
    ]
    return np.array(places).reshape(-1, 3)


def find_footing(
    posed: Posed, confidence: np.ndarray, steps_m: np.ndarray, factor: float | None
) -> Footing:
    """Find the ground below one person, with the camera's centre as origin.

    Feet that touched down tell it best; where the body reaches lower for a good part of the time
    (somebody lies beside a step) that counts; where the legs are out of the picture, the ground is
    where somebody of these proportions would stand.

    Args:
        posed: The body in a frame with the world's axes and the camera at the origin.
        confidence: (T, J).
        steps_m: (N, 3) places where feet touched down, in the same frame.
        factor: The person's factor of size where it is known.
    """
    seen = legs_seen(posed, confidence)
    if not seen.any():
        rows = confidence.max(axis=1) > 0
        pelvis = float(np.median(posed.joints_m[rows if rows.any() else slice(None), 0, 2]))
        return Footing(posed.figure.pelvis_height_m - pelvis, _PELVIS_SPREAD_M, factor)
    rows = np.flatnonzero(seen)
    rows = rows[:: max(1, len(rows) // _ENOUGH_ROWS)]
    lowest = float(np.percentile(posed.surface(rows)[..., 2].min(axis=1), _OFTEN))
    ground = lowest
    if len(steps_m):
        stepped = float(np.median(steps_m[:, 2]))
        ground = stepped if stepped - lowest < 0.10 else lowest
    return Footing(-ground, _FEET_SPREAD_M, factor)


def share_ground(footings: list[Footing]) -> tuple[float, np.ndarray]:
    """Find one camera height and each person's factor of size.

    One view cannot tell a small person nearby from a large one farther off. A common ground can:
    scaling a person about the camera by `k` scales the camera height that their feet tell, and
    leaves the picture.

    Returns:
        Camera height above ground, metres, and factors (P,), 1 for somebody alone.
    """
    if not footings:
        raise ValueError("a ground needs at least one person")
    heights = np.array([f.height_m for f in footings])
    spreads = np.array([f.spread_m for f in footings])
    known = np.array([f.factor is not None for f in footings])
    wanted = np.array([1.0 if f.factor is None else f.factor for f in footings])
    loose = np.where(known, 1e-3, _SHAPE_SPREAD)
    weights = 1.0 / (spreads**2 + (loose * heights) ** 2)
    camera = float(np.sum(weights * wanted * heights) / weights.sum())
    trust = np.ones_like(weights)
    for _ in range(20):
        off = (wanted * heights - camera) * np.sqrt(weights)
        trust = 1.0 / (1.0 + (off / 2.0) ** 2) ** 2  # somebody on a chair must not lift the ground
        camera = float(np.sum(trust * weights * wanted * heights) / np.sum(trust * weights))
    if len(footings) == 1:
        return camera, wanted
    pull = trust * heights / spreads**2
    factors = (wanted / loose**2 + pull * camera) / (1.0 / loose**2 + pull * heights)
    return camera, np.where(known, wanted, np.clip(factors, _SMALLEST, _LARGEST))


def _local_ground(lowest: np.ndarray, fps: float) -> np.ndarray:
    """(T,) the lowest foot nearby in time."""
    reach = max(1, round(_NEARBY_S * fps))
    padded = np.pad(lowest, reach, "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    return np.asarray(windows.min(axis=1))


def _speeds_across(feet_m: np.ndarray, fps: float) -> np.ndarray:
    """Speeds (T, 4) of feet with movement along the view ray, which one view sees badly, at a
    third.
    """
    distance = np.linalg.norm(feet_m, axis=-1, keepdims=True)
    typical = float(np.median(distance))
    return point_speeds(feet_m / distance * (typical + (distance - typical) / 3.0), fps)
