"""USD, where Blender was built with it."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...protocol.errors import MissingPackage
from ..compat import can_write_usd
from ..scene import BuiltClip
from .selection import characters_selected


def write_usd(clip: BuiltClip, path: Path) -> None:
    """Write armatures and meshes with their motion as UsdSkel.

    Raises:
        MissingPackage: This build of Blender has no USD.
    """
    if not can_write_usd():
        raise MissingPackage(
            f"This build of Blender {bpy.app.version_string} cannot write .usd",
            "Use the `bpy` wheel (leave out `--blender`), a build from blender.org, or glb",
        )
    with characters_selected(clip):
        bpy.ops.wm.usd_export(
            filepath=str(path),
            check_existing=False,
            selected_objects_only=True,
            export_animation=True,
            export_armatures=True,
            only_deform_bones=False,
            export_materials=True,
            evaluation_mode="VIEWPORT",
        )
