"""A clip in a scene: one collection with its people and the camera that saw them.

The user's data is never touched: every object, mesh, action and image is new, and Blender numbers
names that are taken. Frame range, rate and resolution are set by `set_up_new_file` alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ..protocol.body_file import BodyGeometry
from ..protocol.motion import Motion
from .action import key_pose
from .armature import bone_axes, build_armature
from .background import Footage, open_footage, show_behind
from .camera import build_camera, lens_from_K
from .mesh import build_mesh
from .pose_channels import pose_channels
from .rest_pose import rest_pose
from .timing import ClipTiming, clip_timing, fps_and_base


@dataclass(frozen=True)
class Person:
    """One person of a clip, as read from the motion's files."""

    name: str
    """What the objects are called, such as `walk` or `group_person_2`."""
    motion: Motion
    """The motion."""
    body: BodyGeometry
    """The body that moves."""


@dataclass(frozen=True)
class BuiltPerson:
    """What was made for one person."""

    armature: bpy.types.Object
    """Keyed."""
    mesh: bpy.types.Object
    """Skinned, child of the armature."""
    unseen_ends: tuple[tuple[float, bool], ...]
    """Scene frames from which the person is out of sight (true) or in it, in order; empty for one who
    is in the picture from the first row to the last."""


@dataclass(frozen=True)
class BuiltClip:
    """What was made for a clip."""

    collection: bpy.types.Collection
    """Holds all of it, and nothing else."""
    people: tuple[BuiltPerson, ...]
    """In the order given."""
    camera: bpy.types.Object
    """Seen through it, the people lie on the picture."""
    timing: ClipTiming
    """Where the rows lie in the scene."""
    size: tuple[int, int]
    """Width and height of the source picture, pixels."""
    has_video: bool
    """The video stands behind the camera."""


def build_clip(
    context: bpy.types.Context,
    clip_name: str,
    people: Sequence[Person],
    video: Path | None,
    *,
    frame_start: int,
    scene_fps: float,
    rotation_deg: int = 0,
) -> BuiltClip:
    """Add a clip to the context's scene.

    Called in Object mode.

    Args:
        context: Its scene and view layer get the clip.
        clip_name: Name for collection and camera; Blender may add a number.
        people: At least one. They share the camera of the first.
        video: The source, for the camera's background. There is none when this is `None` or a file
            that Blender cannot read.
        frame_start: Scene frame of the clip's first row.
        scene_fps: Frames per second of the scene.
        rotation_deg: Clockwise rotation that the video's metadata asks for; old Blenders ignore it.

    Raises:
        BadMotionFile: A motion and its body do not belong together.
    """
    timing = clip_timing([person.motion for person in people], frame_start, scene_fps)
    collection = bpy.data.collections.new(clip_name)
    context.scene.collection.children.link(collection)
    built = tuple(build_person(context, collection, person, timing) for person in people)
    footage = open_footage(video) if video is not None else None
    size = picture_size(footage, people[0].motion.camera_K)
    camera = _build_camera(collection, clip_name, people, timing, size)
    if footage is not None:
        show_behind(camera, footage, timing, size, rotation_deg)
    return BuiltClip(collection, built, camera, timing, size, footage is not None)


def build_person(
    context: bpy.types.Context,
    collection: bpy.types.Collection,
    person: Person,
    timing: ClipTiming,
) -> BuiltPerson:
    """Add armature, mesh and keys of one person to a collection. Called in Object mode."""
    motion, body = person.motion, person.body
    rest = rest_pose(body)
    armature = build_armature(context, collection, person.name, rest)
    mesh = build_mesh(collection, f"{person.name}_mesh", body, rest, armature)
    channels = pose_channels(motion, body, bone_axes(armature, rest.names))
    confidence = motion.confidence if motion.confidence.ndim == 1 else motion.confidence.mean(1)
    frames = timing.scene_frames(motion)
    key_pose(armature, person.name, channels, confidence, frames)
    _note_provenance(armature, motion)
    return BuiltPerson(armature, mesh, _unseen_ends(confidence > 0, frames))


def _unseen_ends(seen: np.ndarray, frames: np.ndarray) -> tuple[tuple[float, bool], ...]:
    rows = np.flatnonzero(seen)
    if not len(rows) or len(rows) == len(seen):
        return ()
    first, last = int(rows[0]), int(rows[-1])
    changes = [(float(frames[0]), first > 0), (float(frames[first]), False)]
    if last + 1 < len(frames):
        changes.append((float(frames[last + 1]), True))
    return tuple(changes) if first > 0 or last + 1 < len(frames) else ()


def set_up_new_file(scene: bpy.types.Scene, clip: BuiltClip, rate: float) -> None:
    """Fit a scene that holds nothing but the clip: frames, rate, resolution, camera, first look.

    Args:
        scene: The scene that the clip was built in.
        clip: The clip.
        rate: Frames per second, not necessarily whole.
    """
    render = scene.render
    render.fps, render.fps_base = fps_and_base(rate)
    scene.frame_start, scene.frame_end = clip.timing.frame_start, clip.timing.frame_end
    scene.frame_set(clip.timing.frame_start)
    render.resolution_x, render.resolution_y = clip.size
    render.resolution_percentage = 100
    lens = lens_from_K(_K_of(clip), *clip.size)
    render.pixel_aspect_x, render.pixel_aspect_y = lens.pixel_aspect
    scene.camera = clip.camera
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D":
                area.spaces.active.region_3d.view_perspective = "CAMERA"


def scene_fps(scene: bpy.types.Scene) -> float:
    """Frames per second of a scene."""
    return float(scene.render.fps / scene.render.fps_base)


def picture_size(footage: Footage | None, K: np.ndarray) -> tuple[int, int]:
    """Width and height of the upright source picture, pixels.

    Blender may show a turned phone video lying; the camera's principal point tells which way is up.
    """
    middle = 2.0 * K[:2, 2]
    if footage is None:
        return max(1, round(float(middle[0]))), max(1, round(float(middle[1])))
    sizes = [(footage.width, footage.height), (footage.height, footage.width)]
    return min(sizes, key=lambda size: float(np.abs(middle - size).sum()))


def _build_camera(
    collection: bpy.types.Collection,
    clip_name: str,
    people: Sequence[Person],
    timing: ClipTiming,
    size: tuple[int, int],
) -> bpy.types.Object:
    frames = np.concatenate([timing.scene_frames(person.motion) for person in people])
    matrices = np.concatenate([person.motion.camera_T_world for person in people])
    frames, first = np.unique(frames, return_index=True)
    lens = lens_from_K(people[0].motion.camera_K, *size)
    camera = build_camera(collection, f"{clip_name}_camera", lens, matrices[first], frames)
    camera.data["extpose_camera_K"] = people[0].motion.camera_K.astype(float).ravel().tolist()
    return camera


def _K_of(clip: BuiltClip) -> np.ndarray:
    return np.array(clip.camera.data["extpose_camera_K"]).reshape(3, 3)


def _note_provenance(armature: bpy.types.Object, motion: Motion) -> None:
    armature["extpose_betas"] = motion.betas.astype(float).tolist()
    armature["extpose_body_id"] = motion.body_id
    armature["extpose_body_sha256"] = motion.body_sha256
    armature["extpose_source"] = str(motion.meta.get("source", ""))
    armature["extpose_meta"] = json.dumps(motion.meta, ensure_ascii=False)
