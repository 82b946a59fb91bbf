"""The file of Blender itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy
import numpy as np

from ..action import set_keys
from ..compat import new_action
from ..scene import BuiltClip


def write_blend(clip: BuiltClip, path: Path) -> None:
    """Save everything that is open: in a process made for the clip, that is the clip.

    The video stays where it is and is named by its absolute path. The mesh of somebody who came late
    or left early is keyed to be hidden before and after; the armature stays, ready to be worked on.
    """
    with _hidden_out_of_sight(clip):
        bpy.ops.wm.save_as_mainfile(
            filepath=str(path), check_existing=False, copy=True, compress=True, relative_remap=False
        )


@contextmanager
def _hidden_out_of_sight(clip: BuiltClip) -> Iterator[None]:
    """Key meshes to hide, and take the keys back: other formats export what is visible."""
    leaving = [person for person in clip.people if person.unseen_ends]
    for person in leaving:
        frames, hidden = (np.array(column) for column in zip(*person.unseen_ends, strict=True))
        new_curve = new_action(person.mesh, f"{person.mesh.name}_sight")
        for path in ("hide_viewport", "hide_render"):
            set_keys(new_curve(path, 0, "Sight"), frames, hidden.astype(float), stepped=True)
    try:
        yield
    finally:
        for person in leaving:
            action = person.mesh.animation_data.action
            person.mesh.animation_data_clear()
            bpy.data.actions.remove(action)
            person.mesh.hide_viewport = person.mesh.hide_render = False
