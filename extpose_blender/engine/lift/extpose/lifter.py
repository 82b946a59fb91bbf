"""The lifter `extpose`: crops and skeleton images of a person through the network, in windows of frames.

picture + keypoints ─▶ crop ─▶ window: crops, skeleton images ─▶ network ─▶ LiftedWindow ─┐
                                                                   all of a track, joined ─▶ LiftedTrack
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from ....protocol.errors import BadModelFile, BadShape, Cancelled, NoPerson, UsageError
from ....protocol.flow import Intrinsics, LiftedTrack, LiftedWindow, Track
from ...draw.skeleton_image import draw_skeleton_images
from ..base import Crop, RestBody
from ..windows import Window
from .blend import RowPredictions, blend_windows
from .crop import ASPECT_WH
from .person_crop import crop_person
from .place import LEAST_SCALE, MODEL_TYPES, assemble_track
from .precision import choose_dtype, word_of
from .predict import Predictor, WindowPictures
from .weights_file import find_weights, load_network

_STREAMS = ("both", "image", "skeleton")


class ExtPoseLifter:
    """Runs ExtPose over windows of a person's rows.

    Nothing heavy happens before the first window: the network is loaded by whoever lifts it.

    Args:
        body: The body to pose.
        device: Torch's word for the device.
        weights: Name or file of weights; the only ones there are when left out.
        streams: `both`, `image`, `skeleton`, or `auto` for what the weights were trained with.
        window: Frames that the network sees at once; what the weights were trained with when left out.
        precision: A word of `precision.PRECISIONS`.
        compiled: Let torch compile the network.

    Raises:
        BadShape: The body is a hand.
        MissingModel, BadModelFile, UsageError: There are no such weights, or they do not fit a body.
    """

    def __init__(
        self,
        body: RestBody,
        device: str = "cpu",
        weights: str | None = None,
        streams: str = "auto",
        window: int | None = None,
        precision: str = "auto",
        compiled: bool = False,
    ) -> None:
        if body.model_type not in MODEL_TYPES:
            raise BadShape(f"`extpose` poses {', '.join(MODEL_TYPES)}, not `{body.model_type}`")
        self._body = body
        self._device = device
        self._precision = precision
        self._compiled = compiled
        self._stopped = threading.Event()
        self.info = find_weights(weights, "smpl")
        self._size_hw = self.info.config.image_size
        if self._size_hw[0] * ASPECT_WH[0] != self._size_hw[1] * ASPECT_WH[1]:
            raise UsageError(
                f"The weights `{self.info.name}` see pictures of {self._size_hw[1]}×{self._size_hw[0]}, "
                f"not of {ASPECT_WH[0]}:{ASPECT_WH[1]}"
            )
        self.streams = self.info.streams if streams == "auto" else streams
        """`both`, `image` or `skeleton`."""
        if self.streams not in _STREAMS:
            raise UsageError(f"Streams are {', '.join(_STREAMS)}, not `{streams}`")
        self.frames = window or self.info.frames
        """Rows of a full window."""
        self.wants_pictures = self.streams != "skeleton"
        """Whether it looks at the pictures themselves."""

    @property
    def identity(self) -> dict[str, Any]:
        """All that its windows depend on beside the clip."""
        return {
            "weights": self.info.sha256,
            "streams": self.streams,
            "frames": self.frames,
            "precision": word_of(choose_dtype(self._precision, self._device)),
            "compiled": self._compiled,
        }

    @property
    def model_hashes(self) -> dict[str, str]:
        """Hash of the weights, by file name."""
        return {self.info.path.name: self.info.sha256}

    def crop(
        self, image_rgb: np.ndarray | None, keypoints: np.ndarray, skeleton: str
    ) -> Crop | None:
        """What the network will see of a person, or `None` when too little of them is seen.

        Args:
            image_rgb: (H, W, 3) uint8; `None` when pictures are not wanted.
            keypoints: (K, 3) x, y in source pixels, score.
            skeleton: Name of their skeleton.
        """
        crop = crop_person(image_rgb if self.wants_pictures else None, keypoints, skeleton)
        if crop is None or crop.picture is None:
            return crop
        return replace(crop, picture=self._fitted(crop.picture))

    def most_windows(self) -> int:
        """How many windows go through the network at once."""
        return self._predictor.batch_windows(self.frames, 2 if self.streams == "both" else 1)

    def lift_windows(
        self, windows: Sequence[tuple[Window, Mapping[int, Crop | None]]]
    ) -> list[LiftedWindow]:
        """Run the network.

        Args:
            windows: Each with the crops of its rows, by row.

        Raises:
            Cancelled: `stop` was called meanwhile.
            WorkError: The network does not fit into memory.
        """
        visible = [any(crops.get(row) for row in window.rows) for window, crops in windows]
        pictures = [
            self._pictures(window, crops)
            for (window, crops), seen in zip(windows, visible, strict=True)
            if seen
        ]
        predictions = iter(self._predictor(pictures))
        lifted = []
        for (window, crops), seen in zip(windows, visible, strict=True):
            count = len(window.entries)
            if seen:
                result = next(predictions)
                parts = result.rotmat, result.betas, result.camera
            else:
                still = np.broadcast_to(np.eye(3, dtype=np.float32), (count, 24, 3, 3)).copy()
                parts = still, np.zeros(10, np.float32), np.zeros((count, 3), np.float32)
            lifted.append(_as_lifted(window, crops, *parts))
        return lifted

    def stop(self) -> None:
        """End a running `lift_windows` soon: between two blocks of the network."""
        self._stopped.set()

    def join_windows(
        self,
        track: Track,
        windows: Sequence[LiftedWindow],
        intrinsics: Intrinsics,
        height_m: float | None = None,
    ) -> LiftedTrack:
        """Make a track's motion of its windows.

        Args:
            track: The person.
            windows: All windows of the track, in order.
            intrinsics: The camera.
            height_m: The person's height, where it is known.

        Raises:
            NoPerson: The network saw the person in no row.
            BadModelFile: What it says places the person nowhere.
        """
        count = len(track)
        center = np.zeros((count, 2), np.float32)
        side = np.ones(count, np.float32)
        for window in windows:
            rows = np.arange(window.rows.start, window.rows.stop)[window.valid]
            center[rows] = window.center_xy_px[window.valid]
            side[rows] = window.side_px[window.valid]
        blended = blend_windows(
            count, ((np.arange(w.rows.start, w.rows.stop), w, w.valid) for w in windows)
        )
        if not blended.covered.any():
            raise NoPerson(
                f"Person {track.person_id} is nowhere seen well enough for a crop",
                "Try `--lifter fit`, or another `--person`",
            )
        if (blended.camera[blended.covered, 0] < LEAST_SCALE).all():
            raise BadModelFile(
                f"The weights `{self.info.name}` see person {track.person_id} too far away to be "
                "placed in every row: they are untrained, or for other pictures",
                "Choose others with `--weights`",
            )
        predictions = RowPredictions(
            blended.rotmat, blended.camera, blended.betas, center, side, blended.covered
        )
        return assemble_track(
            track, predictions, self._body, self.info.body_id, intrinsics, height_m
        )

    @cached_property
    def _predictor(self) -> Predictor:
        net = load_network(self.info)
        for block in net.backbone.blocks:
            block.register_forward_pre_hook(self._check_stopped)
        return Predictor(net, self._device, self._precision, self._compiled)

    def _check_stopped(self, module: Any, inputs: Any) -> None:
        if self._stopped.is_set():
            raise Cancelled("Stopped as asked")

    def _pictures(self, window: Window, crops: Mapping[int, Crop | None]) -> WindowPictures:
        """Crops and drawn skeletons of a window; rows without a crop stay black and are not valid."""
        count = len(window.entries)
        valid = np.zeros(count, bool)
        image = np.zeros((count, *self._size_hw, 3), np.uint8)
        points = np.zeros((count, 18, 3), np.float32)
        for i, row in enumerate(window.rows):
            crop = crops.get(row)
            if crop is not None:
                valid[i] = True
                points[i] = crop.points
                if crop.picture is not None:
                    image[i] = crop.picture
        skeletons = None
        if self.streams != "image":
            skeletons = np.stack([self._fitted(drawn) for drawn in draw_skeleton_images(points)])
        return WindowPictures(image if self.wants_pictures else None, skeletons, valid)

    def _fitted(self, picture: np.ndarray) -> np.ndarray:
        """A picture of the base models' size at that of the network."""
        if picture.shape[:2] == self._size_hw:
            return picture
        height, width = self._size_hw
        return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def _as_lifted(
    window: Window,
    crops: Mapping[int, Crop | None],
    rotmat: np.ndarray,
    betas: np.ndarray,
    camera: np.ndarray,
) -> LiftedWindow:
    here = [crops.get(row) for row in window.rows]
    return LiftedWindow(
        first_row=window.first_row,
        entries=np.array(window.entries, np.int32),
        valid=np.array([crop is not None for crop in here]),
        rotmat=rotmat,
        betas=betas,
        camera=camera,
        center_xy_px=np.array(
            [crop.center_xy_px if crop else (0.0, 0.0) for crop in here], np.float32
        ),
        side_px=np.array([crop.side_px if crop else 1.0 for crop in here], np.float32),
    )
