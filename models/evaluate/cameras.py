"""Where the cameras of the rendered set stand: all round, high and low, near and far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .room import HALF_SIZE_M

FOV_RANGE_DEG = (42.0, 68.0)
"""Horizontal angle of view: about 47 to 27 mm on 35 mm film."""
HEIGHT_RANGE_M = (0.8, 2.3)
"""Height of the cameras above the floor."""
_MARGIN = 0.04
"""Share of the picture that stays free on each side."""


@dataclass(frozen=True)
class Camera:
    """A camera that stands still."""

    K: np.ndarray
    """(3, 3) intrinsics, pixels."""
    camera_T_world: np.ndarray
    """(4, 4) world to OpenCV camera, metres."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""

    @property
    def place_m(self) -> np.ndarray:
        """(3,) where it stands in the world."""
        turn, shift = self.camera_T_world[:3, :3], self.camera_T_world[:3, 3]
        return np.asarray(-turn.T @ shift)

    def see(self, points_m: np.ndarray) -> np.ndarray:
        """(..., 3) points in the camera's frame."""
        return np.asarray(points_m @ self.camera_T_world[:3, :3].T + self.camera_T_world[:3, 3])


def place_cameras(
    points_m: np.ndarray,
    count: int,
    size: tuple[int, int],
    rng: np.random.Generator,
    first_yaw: float | None = None,
) -> list[Camera]:
    """Stand cameras round a moving person, each as near as it can be and still see all of it.

    Args:
        points_m: (T, N, 3) points of the body in the world, Z up, metres.
        count: How many cameras, at even angles with some chance.
        size: Width and height in pixels.
        rng: Picks angles, heights and lenses.
        first_yaw: Direction of the first camera from the person, radians; by chance when `None`.
    """
    start = rng.uniform(0, 2 * np.pi) if first_yaw is None else first_yaw
    heights = rng.permutation(np.linspace(*HEIGHT_RANGE_M, count)) + rng.uniform(-0.15, 0.15, count)
    cameras = []
    for i in range(count):
        yaw = start + 2 * np.pi * i / count + rng.uniform(-0.3, 0.3) * (first_yaw is None)
        fov = np.deg2rad(rng.uniform(*FOV_RANGE_DEG))
        cameras.append(_nearest(points_m, yaw, heights[i], fov, size))
    return cameras


def _nearest(
    points: np.ndarray, yaw: float, height: float, fov: float, size: tuple[int, int]
) -> Camera:
    middle = 0.5 * (points.min(axis=(0, 1)) + points.max(axis=(0, 1)))
    focal = 0.5 * size[0] / np.tan(0.5 * fov)
    around = np.array([np.cos(yaw), np.sin(yaw)])
    cameras = [
        look_at(np.append(middle[:2] + distance * around, height), middle, focal, size)
        for distance in np.arange(2.4, HALF_SIZE_M - 0.3, 0.1)
    ]
    return next((camera for camera in cameras if _sees_all(camera, points)), cameras[-1])


def look_at(
    place: np.ndarray, target: np.ndarray, focal_px: float, size: tuple[int, int]
) -> Camera:
    """A level camera at `place` (3,) that looks at `target` (3,), world Z up, metres."""
    forward = (target - place) / np.linalg.norm(target - place)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    matrix[:3, 3] = -matrix[:3, :3] @ place
    K = np.array([[focal_px, 0, size[0] / 2], [0, focal_px, size[1] / 2], [0, 0, 1.0]])
    return Camera(K, matrix, *size)


def _sees_all(camera: Camera, points: np.ndarray) -> bool:
    seen = camera.see(points)
    if seen[..., 2].min() < 1.0:
        return False
    pixels = seen[..., :2] / seen[..., 2:] * camera.K[0, 0]
    limit = np.array([camera.width, camera.height]) * (0.5 - _MARGIN)
    return bool((np.abs(pixels) < limit).all())
