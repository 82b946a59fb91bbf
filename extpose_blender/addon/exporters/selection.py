"""Selects a clip's characters, because the exporters of Blender write what is selected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from ..scene import BuiltClip


@contextmanager
def characters_selected(clip: BuiltClip) -> Iterator[None]:
    """Select armatures and meshes of a clip and nothing else, then give the selection back.

    The camera stays out: these files go into engines and onto characters. It is in the .blend.
    """
    layer = bpy.context.view_layer
    before, active = list(bpy.context.selected_objects), layer.objects.active
    for each in before:
        each.select_set(False)
    chosen = [each for person in clip.people for each in (person.armature, person.mesh)]
    try:
        for each in chosen:
            each.select_set(True)
        layer.objects.active = chosen[0]
        yield
    finally:
        for each in chosen:
            each.select_set(False)
        for each in before:
            each.select_set(True)
        layer.objects.active = active
