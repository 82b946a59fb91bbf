"""The source video behind the camera, in step with the motion."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from .action import set_keys
from .compat import new_action, reads_video_rotation
from .timing import ClipTiming, source_pictures

PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".exr"}
"""Endings of the files of an image sequence."""


@dataclass(frozen=True)
class Footage:
    """A video or image sequence as Blender opened it."""

    image: bpy.types.Image
    """The data; the file stays where it is."""
    width: int
    """Width of the picture as Blender shows it, pixels."""
    height: int
    """Height of the picture as Blender shows it, pixels."""
    nominal_fps: float | None
    """Rate at which Blender counts the frames of a movie; `None` for an image sequence."""
    numbers: tuple[int, ...]
    """Number in the name of each picture of an image sequence; empty for a movie."""


def open_footage(path: Path) -> Footage | None:
    """Open a video, a folder of pictures, or a pattern of pictures. `None` where Blender cannot."""
    sequence = _sequence_files(path)
    first = sequence[0] if sequence else path
    if not first.is_file():
        return None
    try:
        image = bpy.data.images.load(str(first))
    except RuntimeError:
        return None
    width, height = image.size  # asked of a sequence, Blender looks for a picture number 1
    if not (width and height):
        bpy.data.images.remove(image)
        return None
    if sequence:
        image.source = "SEQUENCE"
    fps = None if sequence else _nominal_fps(path)
    return Footage(image, width, height, fps, tuple(_number(file) for file in sequence))


def show_behind(
    camera: bpy.types.Object,
    footage: Footage,
    timing: ClipTiming,
    size: tuple[int, int],
    rotation_deg: int,
) -> None:
    """Show footage behind a camera, the picture of every row at the row's frame.

    Args:
        camera: The camera object.
        footage: What to show.
        timing: Where the clip's rows lie in the scene.
        size: Width and height of the upright source picture that the camera is made for, pixels.
        rotation_deg: Clockwise rotation that the file asks for: 0, 90, 180 or 270.
    """
    data = camera.data
    data.show_background_images = True
    background = data.background_images.new()
    background.source = "IMAGE"
    background.image = footage.image
    background.alpha = 1.0
    background.display_depth = "BACK"
    _turn_upright(background, footage, size, rotation_deg)
    frames = timing.whole_frames
    user = background.image_user
    user.frame_start = timing.frame_start
    # Blender clamps to this many frames before it adds the offset.
    user.frame_duration = int(max(len(frames), footage.image.frame_duration, 1))
    offsets = _offsets(footage, timing)
    user.frame_offset = int(offsets[0])
    changes = np.flatnonzero(np.diff(offsets, prepend=offsets[0] - 1))
    if len(changes) > 1:
        new_curve = new_action(data, camera.name)
        curve = new_curve(user.path_from_id("frame_offset"), 0, "Video")
        set_keys(curve, frames[changes], offsets[changes], stepped=True)


def _offsets(footage: Footage, timing: ClipTiming) -> np.ndarray:
    """(N,) what turns Blender's count of each scene frame into the wanted picture."""
    picture = source_pictures(timing, footage.nominal_fps)
    if footage.numbers:
        numbers = np.asarray(footage.numbers)
        shown = numbers[np.clip(picture, 0, len(numbers) - 1)]
    else:
        shown = picture + 1
    return shown - (timing.whole_frames - timing.frame_start + 1)


def _turn_upright(
    background: bpy.types.CameraBackgroundImage,
    footage: Footage,
    size: tuple[int, int],
    rotation_deg: int,
) -> None:
    """Fill the camera's frame with the picture, turned here where Blender does not turn it."""
    background.frame_method = "STRETCH"
    if _is_upright(footage, size, rotation_deg):
        return
    background.rotation = math.radians(rotation_deg)
    if rotation_deg % 180:
        # Fitted lying into an upright frame, or the other way round: too small by the aspect.
        background.frame_method = "FIT"
        background.scale = max(size) / min(size)


def _is_upright(footage: Footage, size: tuple[int, int], rotation_deg: int) -> bool:
    if footage.nominal_fps is None or not rotation_deg:
        return True
    if rotation_deg % 180 and footage.width != footage.height:
        return (footage.width > footage.height) == (size[0] > size[1])
    return reads_video_rotation()


def _nominal_fps(path: Path) -> float | None:
    clip = bpy.data.movieclips.load(str(path))
    fps = clip.fps
    bpy.data.movieclips.remove(clip)
    return fps if fps > 0 else None


def _sequence_files(path: Path) -> list[Path]:
    if path.is_dir():
        folder, wanted = path, r"[^.].*"
    elif path.suffix.lower() in PICTURES and path.parent.is_dir() and not path.exists():
        before, number, after = _split_pattern(path.name)
        folder, wanted = path.parent, re.escape(before) + number + re.escape(after)
    else:
        return []
    files = [file for file in folder.iterdir() if re.fullmatch(wanted, file.name)]
    files = [file for file in files if file.suffix.lower() in PICTURES]
    return sorted(files, key=lambda file: (_number(file), file.name))


def _split_pattern(name: str) -> tuple[str, str, str]:
    """A file name before its number, what stands for the number as a regular expression, and after."""
    found = re.search(r"#+|%0?\d*d", name)
    return (name[: found.start()], r"\d+", name[found.end() :]) if found else (name, "", "")


def _number(file: Path) -> int:
    digits = re.findall(r"\d+", file.stem)
    return int(digits[-1]) if digits else 0
