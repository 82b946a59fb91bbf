"""The file of Blender itself."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..scene import BuiltClip


def write_blend(clip: BuiltClip, path: Path) -> None:
    """Save everything that is open: in a process made for the clip, that is the clip.

    The video stays where it is and is named by its absolute path.
    """
    bpy.ops.wm.save_as_mainfile(
        filepath=str(path), check_existing=False, copy=True, compress=True, relative_remap=False
    )
