"""What differs between Blender 4.2 and 5.2, one function each."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import bpy

NewCurve = Callable[[str, int, str], "bpy.types.FCurve"]
"""Makes the curve of (data path, index, group)."""


def new_action(owner: bpy.types.ID, name: str) -> NewCurve:
    """Give an ID a new action, and return what makes curves in it.

    Since 4.4 an action has slots, layers and strips; before, it has curves alone.
    """
    action = bpy.data.actions.new(name)
    animation = owner.animation_data_create()
    animation.action = action
    if bpy.app.version < (4, 4, 0):
        return lambda path, index, group: action.fcurves.new(path, index=index, action_group=group)
    slot = action.slots.new(id_type=owner.id_type, name=owner.name)
    animation.action_slot = slot
    strip = action.layers.new("Motion").strips.new(type="KEYFRAME")
    curves = strip.channelbag(slot, ensure=True).fcurves
    return lambda path, index, group: curves.new(path, index=index, group_name=group)


def curves_of(owner: bpy.types.ID) -> Iterable[bpy.types.FCurve]:
    """The curves that move an ID."""
    animation = owner.animation_data
    if animation is None or animation.action is None:
        return ()
    if bpy.app.version < (4, 4, 0):
        return animation.action.fcurves
    bags = [
        strip.channelbag(animation.action_slot)
        for layer in animation.action.layers
        for strip in layer.strips
    ]
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def principled_node(material: bpy.types.Material) -> bpy.types.Node:
    """The surface node of a new material. Since 5.0 every material has nodes."""
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    return next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")


def can_write_usd() -> bool:
    """Whether this build has USD: the official ones and the wheel do, Debian's do not."""
    return bool(bpy.app.build_options.usd)


def reads_video_rotation() -> bool:
    """Whether a phone's video is turned as its metadata asks: 4.3 does not, 5.0 does."""
    return bpy.app.version >= (4, 4, 0)
