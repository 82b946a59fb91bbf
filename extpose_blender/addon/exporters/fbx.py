"""FBX: every frame of every bone, nothing thinned out, no bones added."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

from ..action import shift_keys
from ..scene import BuiltClip
from .selection import characters_selected

_NEARLY_WHOLE = 0.002
"""How far `fps_base` may be from 1 for the rate to count as a whole one slowed down for television."""


def write_fbx(clip: BuiltClip, path: Path) -> None:
    """Write armatures and meshes with their motion. Y up, -Z forward, the first row at time 0.

    FBX is read with its time 0 at a program's first frame, so the scene's first frame may not be a
    delay in the file. Television's rates (29.97, 23.976, 59.94) are written as the whole rate beside
    them, a frame a frame: importers, Blender's first, count an FBX's frames at a whole rate.
    """
    with characters_selected(clip), _from_frame_0(clip), _conformed_rate():
        bpy.ops.export_scene.fbx(
            filepath=str(path),
            check_existing=False,
            use_selection=True,
            object_types={"ARMATURE", "MESH"},
            axis_forward="-Z",
            axis_up="Y",
            apply_scale_options="FBX_SCALE_ALL",
            primary_bone_axis="Y",
            secondary_bone_axis="X",
            add_leaf_bones=False,
            use_armature_deform_only=False,
            mesh_smooth_type="OFF",
            bake_anim=True,
            bake_anim_use_all_bones=True,
            bake_anim_use_nla_strips=False,
            bake_anim_use_all_actions=False,
            bake_anim_force_startend_keying=True,
            bake_anim_step=1.0,
            bake_anim_simplify_factor=0.0,
        )


@contextmanager
def _conformed_rate() -> Iterator[None]:
    """Make the scene's rate whole where it is one part in a thousand below, and give it back."""
    render = bpy.context.scene.render
    before = render.fps_base
    if abs(before - 1.0) < _NEARLY_WHOLE:
        render.fps_base = 1.0
    try:
        yield
    finally:
        render.fps_base = before


@contextmanager
def _from_frame_0(clip: BuiltClip) -> Iterator[None]:
    """Move a clip's keys and the scene's range to frame 0, and back."""
    scene, first = bpy.context.scene, clip.timing.frame_start
    armatures = [person.armature for person in clip.people]
    before = scene.frame_start, scene.frame_end, scene.frame_current
    shift_keys(armatures, -first)
    # The end may never be below the start: the order matters.
    scene.frame_start, scene.frame_end = 0, clip.timing.frame_end - first
    try:
        yield
    finally:
        shift_keys(armatures, first)
        scene.frame_end = before[1]
        scene.frame_start = before[0]
        scene.frame_set(before[2])
