"""What must hold of a clip in Blender: the same checks for the `bpy` wheel and for real Blender."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from extpose_blender.addon.scene import BuiltClip, Person, build_clip, set_up_new_file
from extpose_blender.protocol.geometry import project_points
from extpose_blender.protocol.motion import Motion


def empty_file() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)


def new_clip(
    people: Sequence[Person],
    video: Path | None = None,
    name: str = "clip",
    rate: float | None = None,
) -> BuiltClip:
    """A file that holds one clip and nothing else."""
    empty_file()
    rate = people[0].motion.mocap_framerate
    clip = build_clip(bpy.context, name, people, video, frame_start=1, scene_fps=rate)
    set_up_new_file(bpy.context.scene, clip, rate)
    return clip


def joints_in_blender(
    armature: bpy.types.Object, names: Sequence[str], frames: Sequence[float]
) -> np.ndarray:
    """(T, J, 3) heads of bones in the world at scene frames, as Blender evaluates them."""
    rows = []
    for frame in frames:
        whole = int(np.floor(frame))
        bpy.context.scene.frame_set(whole, subframe=float(frame - whole))
        evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
        heads = [evaluated.matrix_world @ evaluated.pose.bones[name].head for name in names]
        rows.append(np.array(heads))
    return np.stack(rows)


def vertices_in_blender(mesh: bpy.types.Object, frames: Sequence[int]) -> np.ndarray:
    """(T, V, 3) surface in the world at scene frames, as Blender skins it."""
    rows = []
    for frame in frames:
        bpy.context.scene.frame_set(frame)
        evaluated = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get())
        local = np.zeros(len(evaluated.data.vertices) * 3, np.float32)
        evaluated.data.vertices.foreach_get("co", local)
        world = np.array(evaluated.matrix_world, np.float64)
        rows.append(local.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
    return np.stack(rows)


def worst_joint_m(clip: BuiltClip, motions: Sequence[Motion]) -> float:
    """Largest distance between a joint of a motion and the same bone's head, on every row."""
    worst = 0.0
    for person, motion in zip(clip.people, motions, strict=True):
        frames = clip.timing.scene_frames(motion)
        found = joints_in_blender(person.armature, motion.joint_names, frames.tolist())
        worst = max(worst, float(np.linalg.norm(found - motion.joints, axis=-1).max()))
    return worst


def worst_projection_px(clip: BuiltClip, motion: Motion) -> float:
    """Largest distance between a joint seen through the camera and K [R|t] of the motion file."""
    scene, (width, height) = bpy.context.scene, clip.size
    wanted = project_points(motion.joints, motion.camera_T_world, motion.camera_K)
    worst = 0.0
    for row, frame in enumerate(clip.timing.scene_frames(motion).astype(int).tolist()):
        scene.frame_set(frame)
        for joint in range(0, len(motion.joint_names), 5):
            seen = world_to_camera_view(
                scene, clip.camera, Vector(motion.joints[row, joint].tolist())
            )
            found = np.array([seen.x * width, (1 - seen.y) * height])
            worst = max(worst, float(np.abs(found - wanted[row, joint]).max()))
    return worst


IMPORTERS = {
    "fbx": lambda path: bpy.ops.import_scene.fbx(filepath=path),
    "glb": lambda path: bpy.ops.import_scene.gltf(filepath=path),
    "usd": lambda path: bpy.ops.wm.usd_import(filepath=path),
}


def imported_joints(kind: str, path: Path, motion: Motion) -> list[np.ndarray]:
    """Joints (T, J, 3) of every armature in a file, opened in an empty scene of the motion's rate.

    Frames are the scene's own, from 1, as in the .blend: no shift is looked for.
    """
    if kind == "blend":
        bpy.ops.wm.open_mainfile(filepath=os.fspath(path))
    else:
        empty_file()
        scene = bpy.context.scene
        scene.render.fps = max(1, round(motion.mocap_framerate))
        scene.render.fps_base = scene.render.fps / motion.mocap_framerate
        IMPORTERS[kind](os.fspath(path))
    armatures = [o for o in bpy.context.scene.objects if o.type == "ARMATURE"]
    frames = range(1, len(motion) + 1)
    return [joints_in_blender(each, motion.joint_names, frames) for each in armatures]
