"""Keys in bulk: whole curves at once, never one key at a time."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from .compat import curves_of, new_action
from .pose_channels import PoseChannels

CONFIDENCE = "extpose_confidence"
"""Custom property of the armature, keyed: 0 where nothing was seen and the pose is interpolated."""

_CONSTANT, _LINEAR = 0, 1
"""Values of `Keyframe.interpolation`."""


def key_pose(
    armature: bpy.types.Object,
    name: str,
    channels: PoseChannels,
    confidence: np.ndarray,
    scene_frames: np.ndarray,
) -> bpy.types.Action:
    """Key an armature: every bone that the motion moves, the root's path, and how sure each row is.

    Args:
        armature: Its bones have the names of `channels`.
        name: Name for the action; Blender may add a number.
        channels: The values.
        confidence: (T,) 0 to 1.
        scene_frames: (T,) when.
    """
    new_curve = new_action(armature, name)
    for i, bone in enumerate(channels.bones):
        path = f'pose.bones["{bpy.utils.escape_identifier(bone)}"].'
        if i == 0:
            for axis in range(3):
                curve = new_curve(path + "location", axis, bone)
                set_keys(curve, scene_frames, channels.root_location_m[:, axis])
        for part in range(4):
            curve = new_curve(path + "rotation_quaternion", part, bone)
            set_keys(curve, scene_frames, channels.quats_wxyz[:, i, part])
    armature[CONFIDENCE] = float(confidence[0])
    set_keys(new_curve(f'["{CONFIDENCE}"]', 0, "Capture"), scene_frames, confidence)
    return armature.animation_data.action


def set_keys(
    curve: bpy.types.FCurve, frames: np.ndarray, values: np.ndarray, *, stepped: bool = False
) -> None:
    """Fill an empty curve.

    Args:
        curve: Without keys.
        frames: (T,) rising.
        values: (T,).
        stepped: Hold each value to the next key; otherwise straight lines.
    """
    count = len(frames)
    points = curve.keyframe_points
    points.add(count)
    points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).ravel())
    # As bytes, Blender's own storage: with other integers it goes key by key, ten times slower.
    kind = np.full(count, _CONSTANT if stepped else _LINEAR, np.uint8)
    points.foreach_set("interpolation", kind)
    curve.update()


def shift_keys(owners: Sequence[bpy.types.ID], by_frames: int) -> None:
    """Move all keys of some IDs in time."""
    for owner in owners:
        for curve in curves_of(owner):
            points = curve.keyframe_points
            keys = np.zeros(2 * len(points), np.float32)
            points.foreach_get("co", keys)
            keys[::2] += by_frames
            points.foreach_set("co", keys)
            curve.update()
