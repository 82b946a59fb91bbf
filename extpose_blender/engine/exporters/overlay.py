"""The overlay video: source, 2D keypoints, and each person's mesh in a colour of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ...protocol.body_file import BodyGeometry
from ...protocol.files import written_aside
from ...protocol.flow import Frame
from ...protocol.motion import Motion
from ...protocol.skeletons import DETECTOR_SKELETONS, Skeleton, with_hands
from ..draw.mesh import draw_mesh
from ..draw.skeleton import draw_keypoints
from ..draw.skinning import Skinner

PERSON_COLORS = (
    (86, 156, 255), (255, 150, 60), (92, 210, 120), (235, 100, 170), (240, 210, 70),
    (150, 120, 250), (80, 210, 215), (230, 90, 80),
)  # fmt: skip
"""RGB of each person's mesh, in the order of the motions, and again from the start."""

_ALPHA = 0.55
"""How much of the picture a mesh covers."""

_ALPHA_UNSEEN = 0.25
"""The same in rows where the person was not seen and the pose is interpolated."""

_X264 = {"preset": "veryfast", "crf": "20"}


def write_overlay(
    path: Path, frames: Iterable[Frame], motions: Sequence[Motion], bodies: Sequence[BodyGeometry]
) -> None:
    """Write an H.264 .mp4 with skeleton and mesh drawn over the source, aside and renamed.

    Args:
        path: The file.
        frames: The clip's rows, read one at a time; row k is drawn with row k of each motion.
        motions: One per person, in the world.
        bodies: Their bodies at rest, at their shapes.

    Raises:
        OutputNotWritable: The disk is full, or the folder cannot be written.
    """
    people = [
        _Person(motion, body, PERSON_COLORS[i % len(PERSON_COLORS)])
        for i, (motion, body) in enumerate(zip(motions, bodies, strict=True))
    ]
    rate = Fraction(motions[0].mocap_framerate).limit_denominator(1001) if motions else Fraction(25)
    with written_aside(path) as aside:
        try:
            _encode(aside, (draw_people(frame, people) for frame in frames), rate)
        except av.FFmpegError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error


class _Person:
    """What is drawn of one person."""

    def __init__(self, motion: Motion, body: BodyGeometry, color: tuple[int, int, int]) -> None:
        self.motion, self.faces, self.color = motion, body.faces, color
        self.skin = Skinner(body)
        self.skeleton = _detector_skeleton_or_none(motion)
        self.seen = motion.confidence.reshape(len(motion), -1).max(axis=1, initial=0.0) > 0
        rows = np.flatnonzero(self.seen)
        self.rows = range(int(rows[0]), int(rows[-1]) + 1) if len(rows) else range(0)

    def vertices_camera_m(self, row: int) -> np.ndarray:
        """(V, 3) in the OpenCV camera."""
        camera = self.motion.camera_T_world[row]
        vertices = self.skin(self.motion.rotvec[row], self.motion.trans[row])
        return np.asarray(vertices @ camera[:3, :3].T + camera[:3, 3])


def draw_people(frame: Frame, people: Sequence[_Person]) -> np.ndarray:
    """A copy of the frame's picture with the people drawn into it, those farther away first."""
    image = frame.image_rgb.copy()
    here = [person for person in people if frame.row in person.rows]
    surfaces = [person.vertices_camera_m(frame.row) for person in here]
    for i in sorted(range(len(here)), key=lambda i: -float(surfaces[i][:, 2].mean())):
        person = here[i]
        alpha = _ALPHA if person.seen[frame.row] else _ALPHA_UNSEEN
        draw_mesh(image, surfaces[i], person.faces, person.motion.camera_K, person.color, alpha)
    for person in here:
        if person.skeleton is not None:
            draw_keypoints(image, person.motion.keypoints_2d[frame.row], person.skeleton)
    return image


def _detector_skeleton_or_none(motion: Motion) -> Skeleton | None:
    for body in DETECTOR_SKELETONS.values():
        for skeleton in (body, with_hands(body)):
            if skeleton.joint_names == motion.keypoint_names:
                return skeleton
    return None


def _encode(path: Path, images: Iterable[np.ndarray], rate: Fraction) -> None:
    """Encode pictures of one size as H.264 that every player knows: 4:2:0, of even size."""
    stream: av.VideoStream | None = None
    with av.open(f"file:{path}", "w", options={"movflags": "+faststart"}) as container:
        for number, image in enumerate(images):
            padding = [(0, length % 2) for length in image.shape[:2]]
            even = np.pad(image, [*padding, (0, 0)], mode="edge")
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options=_X264)
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt = "yuv420p"
            picture = av.VideoFrame.from_ndarray(even, "rgb24")
            picture = picture.reformat(format="yuv420p", threads=1)
            picture.pts, picture.time_base = number, 1 / rate
            container.mux(stream.encode(picture))
        if stream is not None:
            container.mux(stream.encode())
