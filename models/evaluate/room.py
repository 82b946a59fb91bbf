"""The room in which the rendered people move: floor, walls, pictures, boxes; coloured faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

HALF_SIZE_M, HEIGHT_M = 6.5, 3.2
"""Half the side of the square floor, and the height of the walls."""

_PLANK_M = (0.16, 1.3)
_FREE_RADIUS_M = 0.9
"""Nothing stands nearer than this to the path of the person."""


@dataclass(frozen=True)
class ColouredFaces:
    """Quads that share no vertex, so each keeps its own colour."""

    corners_m: np.ndarray
    """(F, 4, 3) corners, metres, world (Z up)."""
    colours: np.ndarray
    """(F, 3) sRGB, 0 to 255."""


@dataclass(frozen=True)
class Room:
    """What stands around the person."""

    faces: ColouredFaces
    """Floor, walls, ceiling and boxes."""
    shadow_colour: np.ndarray
    """(3,) sRGB of the floor in shadow, 0 to 255."""


def make_room(
    path_m: np.ndarray, cameras_m: np.ndarray, middle_m: np.ndarray, rng: np.random.Generator
) -> Room:
    """Furnish a room around a person.

    Args:
        path_m: (T, 2) where the person is, world x and y.
        cameras_m: (C, 2) where the cameras stand; no box hides the person from them.
        middle_m: (2,) middle of the room.
        rng: Picks colours and places.
    """
    floor = _floor(rng)
    parts = [floor, _ceiling(), *_walls(rng)]
    for _ in range(8):
        box = _free_box(path_m - middle_m, cameras_m - middle_m, rng)
        if box is not None:
            parts.append(box)
    faces = joined(parts)
    faces = ColouredFaces(faces.corners_m + np.append(middle_m, 0.0), faces.colours)
    return Room(faces, 0.6 * np.median(floor.colours, axis=0))


def _floor(rng: np.random.Generator) -> ColouredFaces:
    base = np.array([[150, 112, 74], [126, 122, 116], [172, 146, 112], [98, 74, 56]])[
        rng.integers(4)
    ]
    width, length = _PLANK_M
    corners, colours = [], []
    for row, x in enumerate(np.arange(-HALF_SIZE_M, HALF_SIZE_M, width)):
        for y in np.arange(-HALF_SIZE_M - (row % 3) * length / 3, HALF_SIZE_M, length):
            corners.append(_quad((x, y, 0), (width * 0.97, 0, 0), (0, length * 0.995, 0)))
            colours.append(base * rng.uniform(0.82, 1.1))
    under = _quad(
        (-HALF_SIZE_M - 2, -HALF_SIZE_M - 2, -0.004),
        (2 * HALF_SIZE_M + 4, 0, 0),
        (0, 2 * HALF_SIZE_M + 4, 0),
    )
    return ColouredFaces(np.array([*corners, under]), np.array([*colours, base * 0.78]))


def _ceiling() -> ColouredFaces:
    side = 2 * HALF_SIZE_M
    corner = (-HALF_SIZE_M, -HALF_SIZE_M, HEIGHT_M)
    plain = _quad(corner, (side, 0, 0), (0, side, 0))
    lamps = [
        _quad((x, y, HEIGHT_M - 0.01), (1.2, 0, 0), (0, 0.3, 0))
        for x in (-3, 2)
        for y in (-3, 0, 3)
    ]
    colours = [[226, 226, 222]] + [[255, 255, 250]] * len(lamps)
    return ColouredFaces(np.array([plain, *lamps]), np.array(colours, np.float64))


def _walls(rng: np.random.Generator) -> list[ColouredFaces]:
    base = np.array(
        [[214, 208, 196], [186, 200, 206], [204, 190, 170], [176, 188, 172], [222, 220, 216]]
    )[rng.integers(5)]
    walls = []
    for start, along in (
        ((-1, -1), (1, 0)),
        ((1, -1), (0, 1)),
        ((1, 1), (-1, 0)),
        ((-1, 1), (0, -1)),
    ):
        walls.append(_wall(np.array(start) * HALF_SIZE_M, np.array(along), base, rng))
    return walls


def _wall(
    start: np.ndarray, along: np.ndarray, base: np.ndarray, rng: np.random.Generator
) -> ColouredFaces:
    inward = np.array([-along[1], along[0]])
    corners, colours = [], []

    def panel(
        s: float, z: float, width: float, height: float, out: float, colour: np.ndarray
    ) -> None:
        at = start + along * s + inward * out
        corners.append(_quad((*at, z), (*(along * width), 0), (0, 0, height)))
        colours.append(colour)

    panel(0, 0, 2 * HALF_SIZE_M, HEIGHT_M, 0.0, base * rng.uniform(0.9, 1.0))
    panel(0, 0, 2 * HALF_SIZE_M, 0.12, 0.015, base * 0.6)
    slots = rng.permutation(6)[: rng.integers(3, 6)]
    for slot in slots:
        s = 0.4 + slot * 2.05 + rng.uniform(0, 0.3)
        kind = rng.integers(3)
        if kind == 0:
            _picture(panel, s, rng)
        elif kind == 1:
            panel(s, 0.9, 1.5, 1.4, 0.02, np.array([238, 238, 236]))
            panel(s + 0.07, 0.97, 0.64, 1.26, 0.03, np.array([168, 200, 226]))
            panel(s + 0.79, 0.97, 0.64, 1.26, 0.03, np.array([176, 206, 230]))
        else:
            panel(s, 0, 1.0, 2.1, 0.02, np.array([120, 88, 60]) * rng.uniform(0.7, 1.3))
            panel(s + 0.85, 1.0, 0.06, 0.12, 0.05, np.array([196, 190, 170]))
    return ColouredFaces(np.array(corners), np.array(colours))


def _picture(panel: Callable[..., None], s: float, rng: np.random.Generator) -> None:
    z, width, height = 1.2, rng.uniform(0.7, 1.4), rng.uniform(0.6, 1.0)
    panel(s, z, width, height, 0.02, np.array([44, 40, 38]))
    for i in range(3):
        for j in range(3):
            panel(
                s + 0.05 + i * (width - 0.1) / 3,
                z + 0.05 + j * (height - 0.1) / 3,
                (width - 0.1) / 3,
                (height - 0.1) / 3,
                0.03,
                rng.uniform(70, 220, 3),
            )


def _free_box(
    path: np.ndarray, cameras: np.ndarray, rng: np.random.Generator
) -> ColouredFaces | None:
    """A box clear of the path and of every line from a camera to it; `None` after 40 tries."""
    for _ in range(40):
        size = np.array([rng.uniform(0.4, 1.4), rng.uniform(0.4, 0.8), rng.uniform(0.4, 1.7)])
        place = rng.uniform(-HALF_SIZE_M + 0.8, HALF_SIZE_M - 0.8, 2)
        radius = 0.5 * np.linalg.norm(size[:2])
        if np.linalg.norm(path - place, axis=1).min() < radius + _FREE_RADIUS_M:
            continue
        if min(_distance_to_segments(place, camera, path) for camera in cameras) > radius + 0.7:
            grey = rng.uniform(70, 200)
            colour = 0.65 * grey + 0.35 * rng.uniform(40, 220, 3)
            return box(place, size, rng.uniform(0, np.pi), colour)
    return None


def _distance_to_segments(point: np.ndarray, start: np.ndarray, ends: np.ndarray) -> float:
    line = ends - start
    share = ((point - start) * line).sum(axis=1) / np.maximum((line**2).sum(axis=1), 1e-9)
    nearest = start + np.clip(share, 0, 1)[:, None] * line
    return float(np.linalg.norm(nearest - point, axis=1).min())


def box(
    place: np.ndarray, size: np.ndarray, yaw: float, colour: np.ndarray, base_m: float = 0.0
) -> ColouredFaces:
    """An upright box.

    Args:
        place: (2,) middle of its base.
        size: (3,) width, depth, height, metres.
        yaw: Turn about the vertical, radians.
        colour: (3,) sRGB, 0 to 255; sides differ a little.
        base_m: Height of its base above the floor.
    """
    x = np.array([np.cos(yaw), np.sin(yaw), 0]) * size[0]
    y = np.array([-np.sin(yaw), np.cos(yaw), 0]) * size[1]
    z = np.array([0, 0, size[2]])
    low = np.append(place, base_m) - (x + y) / 2
    faces = [
        _quad(low, x, z), _quad(low + x, y, z), _quad(low + x + y, -x, z), _quad(low + y, -y, z),
        _quad(low + z, x, y),
    ]  # fmt: skip
    shade = np.array([0.95, 0.85, 0.95, 0.85, 1.1])[:, None]
    return ColouredFaces(np.array(faces), np.clip(shade * colour, 0, 255))


def stool(place: np.ndarray, height_m: float) -> ColouredFaces:
    """A stool with one leg; `place` (2,) is the middle of its seat."""
    wood = np.array([128.0, 92.0, 58.0])
    leg = box(place, np.array([0.07, 0.07, height_m]), 0.3, 0.6 * wood)
    seat = box(place, np.array([0.32, 0.32, 0.05]), 0.3, wood, height_m - 0.05)
    return joined([leg, seat])


def joined(parts: list[ColouredFaces]) -> ColouredFaces:
    """Several things as one."""
    return ColouredFaces(
        np.concatenate([part.corners_m for part in parts]),
        np.concatenate([part.colours for part in parts]),
    )


def _quad(corner: ArrayLike, first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """(4, 3) corners of a parallelogram from one corner and two edges."""
    start, one, two = (np.asarray(v, np.float64) for v in (corner, first, second))
    return np.stack([start, start + one, start + one + two, start + two])
