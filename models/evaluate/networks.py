"""Runs ExtPose, HMR2.0 and HaMeR over the pictures of a set, crops as their own evaluations make them.

    boxes + pictures ─▶ crops, skeleton images ─▶ windows ─▶ network ─▶ pose, shape, camera per picture

Single pictures are windows of one frame. A track is cut into windows of the network's frames, one
after the other, the last one moved back to be full, as the paper's tables are counted; the product
itself overlaps windows and blends them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from extpose_blender.engine.draw.skeleton_image import draw_skeleton_images
from extpose_blender.engine.lift.extpose.checkpoint import read_checkpoint
from extpose_blender.engine.lift.extpose.config import ExtPoseConfig
from extpose_blender.engine.lift.extpose.crop import (
    NETWORK_COLUMNS,
    CropBox,
    crop_picture,
    keypoints_in_crop,
)
from extpose_blender.engine.lift.extpose.predict import Predictor, WindowPictures, WindowPrediction
from extpose_blender.engine.lift.extpose.weights_file import find_weights, network_of
from extpose_blender.protocol.errors import InputError, UsageError

_AS_IT_LIES = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""The sets' boxes are in pixels of the file, whatever way up its header says it is."""
_PICTURES_AT_ONCE = 64
"""Crops that wait in memory for the network."""


@dataclass(frozen=True)
class Run:
    """One row of a table: which weights, and how they are used."""

    label: str
    """What the table calls it."""
    weights: str
    """Name or file of weights."""
    streams: str = "auto"
    """`both`, `image`, `skeleton`, or `auto` for what they were trained with."""
    frames: int | None = None
    """Frames in a window of a track; those of training when left out."""
    choices: dict[str, Any] = field(default_factory=dict)
    """Choices of `ExtPoseConfig` that change no weight, such as `block_layout`."""


@dataclass(frozen=True)
class Shot:
    """What of one picture the network shall see."""

    picture: Path
    """The file."""
    box: CropBox
    """The square, in pixels of the picture as it is."""
    mirrored: bool = False
    """See it mirrored, as for left hands."""
    points: np.ndarray | None = None
    """(18, 3) or (21, 3) points to draw: x, y in source pixels, score."""


@dataclass(frozen=True)
class Predicted:
    """What the network says of N pictures."""

    rotmat: np.ndarray
    """(N, J, 3, 3) joint rotations, of right hands for mirrored shots."""
    betas: np.ndarray
    """(N, 10) shape."""
    camera: np.ndarray
    """(N, 3) crop cameras s, tx, ty."""


class SetNetwork:
    """The network of a run.

    Args:
        run: Which one.
        body: `smpl` or `mano`: what the set asks for.
        device: Torch's word for the device.
        precision: As `extpose capture` takes it.

    Raises:
        MissingModel, BadModelFile: There are no such weights, or they cannot be used.
        UsageError: They are for another body, or a choice or the streams are unknown.
    """

    def __init__(self, run: Run, body: str, device: str = "cpu", precision: str = "auto") -> None:
        info = find_weights(run.weights, body)
        self.streams = info.streams if run.streams == "auto" else run.streams
        """`both`, `image` or `skeleton`."""
        if self.streams not in ("both", "image", "skeleton"):
            raise UsageError(f"Streams are both, image, skeleton or auto, not `{run.streams}`")
        self.frames = run.frames or info.frames
        """Frames in a window of a track."""
        config = _chosen(info.config, run.choices)
        self._hand = body == "mano"
        self._size_hw = config.image_size
        checkpoint = replace(read_checkpoint(info.path), config=config)
        self._predictor = Predictor(network_of(checkpoint), device, precision)

    def pictures(self, shots: Sequence[Shot]) -> Predicted:
        """Predict each picture by itself."""
        predictions: list[WindowPrediction] = []
        for part in _parts(shots, _PICTURES_AT_ONCE):
            seen = self._see(part)
            windows = [_window(seen, slice(i, i + 1)) for i in range(len(part))]
            predictions += self._predictor(windows)
        return Predicted(
            np.concatenate([one.rotmat for one in predictions]),
            np.stack([one.betas for one in predictions]),
            np.concatenate([one.camera for one in predictions]),
        )

    def track(self, shots: Sequence[Shot]) -> Predicted:
        """Predict one person's pictures in their order, in windows; one shape for all of them.

        A network of single frames keeps each picture's own shape, as the image models do.
        """
        if self.frames == 1:
            return self.pictures(shots)
        rows = cut_track(len(shots), self.frames)
        rotmat, camera, betas = [], [], np.zeros(10)
        done = 0
        for windows in _parts(rows, max(1, _PICTURES_AT_ONCE // self.frames)):
            first, last = windows[0].start, windows[-1].stop
            seen = self._see(shots[first:last])
            pictures = [_window(seen, slice(w.start - first, w.stop - first)) for w in windows]
            for window, one in zip(windows, self._predictor(pictures), strict=True):
                fresh = window.stop - done
                rotmat.append(one.rotmat[-fresh:])
                camera.append(one.camera[-fresh:])
                betas += fresh * one.betas.astype(float)
                done = window.stop
        shape = np.broadcast_to((betas / done).astype(np.float32), (done, 10))
        return Predicted(np.concatenate(rotmat), shape, np.concatenate(camera))

    def _see(self, shots: Sequence[Shot]) -> WindowPictures:
        """The streams of some pictures, as one window."""
        image = skeleton = None
        if self.streams != "skeleton":
            with ThreadPoolExecutor() as pool:
                image = np.stack(list(pool.map(self._crop, shots)))
        if self.streams != "image":
            points = np.stack([self._points(shot) for shot in shots])
            kind = "hand" if self._hand else "body"
            drawn = draw_skeleton_images(points, kind)
            skeleton = np.stack([self._fitted(one) for one in drawn])
        return WindowPictures(image, skeleton, np.ones(len(shots), bool))

    def _crop(self, shot: Shot) -> np.ndarray:
        picture = cv2.imread(str(shot.picture), _AS_IT_LIES)
        if picture is None:
            raise InputError(
                f"`{shot.picture}` cannot be read as a picture", "Check the folder of `--images`"
            )
        rgb = np.ascontiguousarray(picture[..., ::-1])
        return self._fitted(crop_picture(rgb, shot.box, shot.mirrored, antialias=False))

    def _points(self, shot: Shot) -> np.ndarray:
        if shot.points is None:
            raise UsageError(
                "These weights look at skeleton images, and the set has no keypoints",
                "Give them with `--keypoints`, or use `streams=image`",
            )
        # Where points lie in the crop of a mirrored picture does not depend on the picture's width.
        points = keypoints_in_crop(shot.points, shot.box, 0.0 if shot.mirrored else None)
        points[..., 0] -= NETWORK_COLUMNS.start
        return points

    def _fitted(self, picture: np.ndarray) -> np.ndarray:
        """A picture of the base models' size at that of the network."""
        if picture.shape[:2] == self._size_hw:
            return picture
        height, width = self._size_hw
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def cut_track(count: int, frames: int) -> list[range]:
    """The windows of a track of `count` rows: side by side, the last one moved back to be full.

    A track shorter than a window is one window. Rows that the last window shares with the one
    before it belong to the one before.
    """
    starts = list(range(0, count - frames + 1, frames)) or [0]
    windows = [range(start, min(start + frames, count)) for start in starts]
    if windows[-1].stop < count:
        windows.append(range(count - frames, count))
    return windows


def _window(seen: WindowPictures, rows: slice) -> WindowPictures:
    image, skeleton = seen.image_rgb, seen.skeleton_rgb
    return WindowPictures(
        None if image is None else image[rows],
        None if skeleton is None else skeleton[rows],
        seen.valid[rows],
    )


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _chosen(config: ExtPoseConfig, choices: dict[str, Any]) -> ExtPoseConfig:
    free = ("block_layout", "context", "temporal_position")
    for name in choices:
        if name not in free:
            raise UsageError(f"`{name}` is none of the choices {', '.join(free)}")
    return replace(config, **choices)
