"""The armature: bones with SMPL's names at the rest pose of a body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np

from .rest_pose import RestPose


def build_armature(
    context: bpy.types.Context, collection: bpy.types.Collection, name: str, rest: RestPose
) -> bpy.types.Object:
    """Make an armature object at the world's origin.

    Called in Object mode; needs Edit mode for a moment, and gives selection and active object back.

    Args:
        context: Its view layer must show `collection`.
        collection: Where the object goes.
        name: Name for the object; Blender may add a number.
        rest: The bones.
    """
    data = bpy.data.armatures.new(name)
    data.display_type = "STICK"
    armature = bpy.data.objects.new(name, data)
    armature.show_in_front = True
    collection.objects.link(armature)
    with _edit_mode(context, armature):
        _add_bones(data, rest)
    for bone in armature.pose.bones:
        bone.rotation_mode = "QUATERNION"
    return armature


def bone_axes(armature: bpy.types.Object, names: tuple[str, ...]) -> np.ndarray:
    """(J, 4, 4) float64: bones at rest in the armature's space, as Blender has rounded them."""
    bones = armature.data.bones
    return np.array([bones[name].matrix_local for name in names], np.float64)


def _add_bones(data: bpy.types.Armature, rest: RestPose) -> None:
    """Called in Edit mode."""
    bones = []
    for joint, name in enumerate(rest.names):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = rest.heads_m[joint], rest.tails_m[joint]
        bone.align_roll(rest.z_axes[joint])
        parent = int(rest.parents[joint])
        if parent >= 0:
            bone.parent = bones[parent]
            bone.use_connect = bool(rest.connected[joint])
        bones.append(bone)


@contextmanager
def _edit_mode(context: bpy.types.Context, target: bpy.types.Object) -> Iterator[None]:
    layer = context.view_layer
    active, selected = layer.objects.active, list(context.selected_objects)
    for each in selected:
        each.select_set(False)
    layer.objects.active = target
    target.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    try:
        yield
    finally:
        bpy.ops.object.mode_set(mode="OBJECT")
        target.select_set(False)
        for each in selected:
            each.select_set(True)
        layer.objects.active = active
