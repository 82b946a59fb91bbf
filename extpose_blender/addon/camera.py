"""The clip's camera: it sees what the source camera saw, with the video behind."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from ..protocol.geometry import BLENDER_CAMERA_R_OPENCV_CAMERA, continuous_quats, rotmat_to_quat
from .action import set_keys
from .compat import new_action

_SENSOR_MM = 36.0
_STILL = 1e-5
"""A camera whose matrices differ by less than this (metres, parts of 1) stands still."""


@dataclass(frozen=True)
class Lens:
    """A pinhole camera in Blender's terms, sensor fitted to the picture's width."""

    focal_mm: float
    """Focal length for a sensor of 36 mm."""
    shift_x: float
    """Principal point, in picture widths to the left of the middle."""
    shift_y: float
    """Principal point, in picture widths below the middle."""
    pixel_aspect: tuple[float, float]
    """Width and height of a pixel, the smaller one 1: not square when K has two focal lengths."""


def lens_from_K(K: np.ndarray, width: int, height: int) -> Lens:
    """Blender's lens for OpenCV intrinsics, pixels measured from the picture's top left corner."""
    fx, fy, cx, cy = (float(K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    tall = fx / fy  # Height of a pixel over its width.
    aspect = (1.0, tall) if tall >= 1 else (1.0 / tall, 1.0)
    return Lens(
        focal_mm=fx * _SENSOR_MM / width,
        shift_x=(width / 2 - cx) / width,
        shift_y=(cy - height / 2) / width * tall,
        pixel_aspect=aspect,
    )


def build_camera(
    collection: bpy.types.Collection,
    name: str,
    lens: Lens,
    camera_T_world: np.ndarray,
    scene_frames: np.ndarray,
) -> bpy.types.Object:
    """Make a camera, keyed only where it moves.

    Args:
        collection: Where the object goes.
        name: Name for the object; Blender may add a number.
        lens: The inner half.
        camera_T_world: (T, 4, 4) world to OpenCV camera.
        scene_frames: (T,) when.
    """
    data = bpy.data.cameras.new(name)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = _SENSOR_MM
    data.lens = lens.focal_mm
    data.shift_x, data.shift_y = lens.shift_x, lens.shift_y
    data.clip_start, data.clip_end = 0.05, 1000.0
    camera = bpy.data.objects.new(name, data)
    camera.rotation_mode = "QUATERNION"
    collection.objects.link(camera)
    location, quats = camera_path(camera_T_world)
    camera.location, camera.rotation_quaternion = location[0], quats[0]
    _key_what_moves(camera, name, location, quats, scene_frames)
    return camera


def camera_path(camera_T_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a camera is and how it is turned, for Blender's camera axes.

    Args:
        camera_T_world: (T, 4, 4) world to OpenCV camera.

    Returns:
        Location (T, 3) in metres and unit quaternions (T, 4), w first, without jumps of sign.
    """
    matrix = camera_T_world.astype(np.float64)
    world_R_camera = np.swapaxes(matrix[:, :3, :3], 1, 2)
    location = -np.einsum("tij,tj->ti", world_R_camera, matrix[:, :3, 3])
    quats = rotmat_to_quat(world_R_camera @ BLENDER_CAMERA_R_OPENCV_CAMERA.T)
    return location, continuous_quats(quats)


def _key_what_moves(
    camera: bpy.types.Object,
    name: str,
    location: np.ndarray,
    quats: np.ndarray,
    scene_frames: np.ndarray,
) -> None:
    moving = {
        path: values
        for path, values in (("location", location), ("rotation_quaternion", quats))
        if np.ptp(values, axis=0).max() > _STILL
    }
    if not moving:
        return
    new_curve = new_action(camera, name)
    for path, values in moving.items():
        for part in range(values.shape[1]):
            set_keys(new_curve(path, part, "Camera"), scene_frames, values[:, part])
