"""FBX: every frame of every bone, nothing thinned out, no bones added."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..scene import BuiltClip
from .selection import characters_selected


def write_fbx(clip: BuiltClip, path: Path) -> None:
    """Write armatures and meshes with their motion. Y up, -Z forward, centimetres as FBX has them."""
    with characters_selected(clip):
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
