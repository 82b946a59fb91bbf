"""glTF in one binary file."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..scene import BuiltClip
from .selection import characters_selected


def write_glb(clip: BuiltClip, path: Path) -> None:
    """Write armatures and meshes with their motion at every frame. Times as in the scene."""
    with characters_selected(clip):
        bpy.ops.export_scene.gltf(
            filepath=str(path),
            check_existing=False,
            export_format="GLB",
            use_selection=True,
            export_yup=True,
            export_cameras=False,
            export_skins=True,
            export_def_bones=False,
            export_rest_position_armature=True,
            export_animations=True,
            export_animation_mode="ACTIVE_ACTIONS",
            export_frame_range=True,
            export_force_sampling=True,
            export_frame_step=1,
            export_optimize_animation_size=False,
            export_anim_single_armature=False,
        )
