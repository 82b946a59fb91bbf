"""The camera's angle of view: given, from the file, or assumed."""

from __future__ import annotations

import math

from ...protocol.flow import ClipInfo, Intrinsics

FILM_DIAGONAL_MM = 43.267
"""Diagonal of the 36 by 24 mm picture of 35 mm film."""

ASSUMED_DIAGONAL_DEG = 66.0
"""Angle across the diagonal of an unknown camera: the main camera of a phone recording video crops
its
26 mm lens to about 28 to 33 mm (75 to 66 degrees), webcams see 60 to 78, cameras with a 50 mm lens
47."""


def choose_intrinsics(info: ClipInfo, fov_deg: float | None = None) -> Intrinsics:
    """Choose the pinhole camera of a clip.

    The first that is known counts: the angle given, the file's metadata, else a typical camera. The
    last is marked `assumed`, which allows a lifter to improve it.

    Args:
        info: The clip; its width and height are those of the upright picture.
        fov_deg: Angle of view across the upright picture's width, degrees (`--camera-fov`).

    Returns:
        Intrinsics in source pixels with `source` one of `given`, `metadata`, `assumed`.

    Source: a focal length "as on 35 mm film" is by the diagonal, CIPA DCG-001 (43.27 mm).
    """
    if fov_deg is not None:
        focal_px, source = _focal_across(info.width, fov_deg), "given"
    elif info.focal_35mm is not None and info.focal_35mm > 0:
        diagonal_px = math.hypot(info.width, info.height)
        focal_px, source = info.focal_35mm / FILM_DIAGONAL_MM * diagonal_px, "metadata"
    else:
        diagonal_px = math.hypot(info.width, info.height)
        focal_px, source = _focal_across(diagonal_px, ASSUMED_DIAGONAL_DEG), "assumed"
    return Intrinsics(focal_px, info.width, info.height, source)


def _focal_across(extent_px: float, angle_deg: float) -> float:
    return extent_px / (2.0 * math.tan(math.radians(angle_deg) / 2.0))
