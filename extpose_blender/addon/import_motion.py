"""File > Import > ExtPose motion: brings captured people into the scene that is open."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import CollectionProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..protocol.errors import ExtPoseError
from .clip_files import body_beside, read_people
from .scene import build_clip, scene_fps


class EXTPOSE_OT_import_motion(bpy.types.Operator, ImportHelper):
    """Import captured people, with `body_N.npz` beside each `person_N.npz`."""

    bl_idname = "extpose.import_motion"
    bl_label = "Import ExtPose Motion"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    filename_ext = ".npz"
    filter_glob: StringProperty(default="person_*.npz", options={"HIDDEN"})  # type: ignore[valid-type]
    files: CollectionProperty(type=bpy.types.OperatorFileListElement)  # type: ignore[valid-type]
    directory: StringProperty(subtype="DIR_PATH")  # type: ignore[valid-type]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether an armature can be made now."""
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave the current mode for Object mode")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Import the chosen files as one clip, its first row at the scene's first frame."""
        chosen = [Path(self.directory, file.name) for file in self.files if file.name]
        try:
            import_motions(context, sorted(chosen) or [Path(self.filepath)])
        except ExtPoseError as error:
            self.report({"ERROR"}, f"{error.message}. {error.hint}")
            return {"CANCELLED"}
        return {"FINISHED"}


def import_motions(context: bpy.types.Context, motions: list[Path]) -> bpy.types.Collection:
    """Add the people of one clip to a scene, which keeps its frames, rate and resolution.

    Args:
        context: In Object mode; its scene gets the clip.
        motions: `person_N.npz` files of one capture.

    Returns:
        The clip's collection.

    Raises:
        BadMotionFile: A file is missing, damaged, or breaks the contract.
    """
    clip_name = motions[0].absolute().parent.name
    files = [(motion, body_beside(motion)) for motion in motions]
    people = read_people(clip_name, files, alone=len(files) == 1)
    source = people[0].motion.meta.get("source")
    scene = context.scene
    clip = build_clip(
        context,
        clip_name,
        people,
        Path(source) if isinstance(source, str) and source else None,
        frame_start=scene.frame_start,
        scene_fps=scene_fps(scene),
    )
    if scene.camera is None:
        scene.camera = clip.camera
    return clip.collection


def _draw_menu(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator(EXTPOSE_OT_import_motion.bl_idname, text="ExtPose motion (.npz)")


def register() -> None:
    """Add the operator and its menu entry."""
    bpy.utils.register_class(EXTPOSE_OT_import_motion)
    bpy.types.TOPBAR_MT_file_import.append(_draw_menu)


def unregister() -> None:
    """Take the operator and its menu entry away."""
    bpy.types.TOPBAR_MT_file_import.remove(_draw_menu)
    bpy.utils.unregister_class(EXTPOSE_OT_import_motion)
