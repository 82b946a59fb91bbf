"""A person's rows through the network: windows that overlap, each seen twice, joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from ....protocol.flow import Intrinsics, Track
from ..extpose.blend import Blended, RowPredictions, blend_windows
from .features import Boxes, Inputs, boxes_of, network_inputs
from .network import PoseFormer, Prediction, mirror_prediction

_OVERLAPS = 3
"""Windows that cover each row."""
_BATCH = 64
"""Windows that go through the network at once."""

OnRows = Callable[[int], None]
"""Called with how many rows are done."""


class WindowPrediction:
    """What the network says of one window, as `blend_windows` takes it."""

    def __init__(self, prediction: Prediction, index: int, rows: int) -> None:
        self.rotmat = prediction.rotmat[index, :rows].cpu().numpy()
        """(t, 24, 3, 3) rotations."""
        self.camera = prediction.camera[index, :rows].cpu().numpy()
        """(t, 3) cameras."""
        self.betas = prediction.betas[index].cpu().numpy()
        """(10,) shape."""


@torch.no_grad()
def predict_rows(
    network: PoseFormer,
    track: Track,
    intrinsics: Intrinsics,
    on_rows: OnRows | None = None,
) -> RowPredictions:
    """Run the network over all rows of a track in which a person was seen.

    Args:
        network: On its device, in eval mode.
        track: The person, with MediaPipe's 33 points.
        intrinsics: The camera.
        on_rows: Told of progress; may raise to stop the work.

    Returns:
        One prediction per row of the track.
    """
    device = next(network.parameters()).device
    keypoints = torch.as_tensor(track.keypoints_2d, device=device)[None]
    hints = torch.as_tensor(track.hints_3d_m, device=device)[None]
    fps = keypoints.new_tensor([track.fps])
    boxes = boxes_of(keypoints, torch.as_tensor(track.seen, device=device)[None], fps)
    focal = keypoints.new_tensor([intrinsics.focal_px])
    size = keypoints.new_tensor([[intrinsics.width, intrinsics.height]])
    inputs = network_inputs(keypoints, hints, boxes, focal, size, fps)
    found = boxes.found[0].cpu().numpy()
    frames = network.config.frames
    windows = list(cut_rows(found, frames, max(1, frames // _OVERLAPS)))
    blended = blend_windows(
        len(track), _through_network(network, inputs, windows, found, float(track.fps), on_rows)
    )
    return _as_rows(blended, boxes)


def cut_rows(found: np.ndarray, frames: int, stride: int) -> Iterator[slice]:
    """Windows of rows, none of them without a sight.

    Args:
        found: (T,) bool: the person is seen.
        frames: Rows of a full window; all are full where the clip is long enough.
        stride: Rows from one to the next.
    """
    rows = np.flatnonzero(found)
    if not len(rows):
        return
    first, last = int(rows[0]), int(rows[-1]) + 1
    starts = list(range(first, max(first, last - frames) + 1, stride))
    final = max(first, last - frames)
    if starts[-1] != final:
        starts.append(final)
    for start in starts:
        window = slice(start, min(start + frames, last))
        if found[window].any():
            yield window


def _through_network(
    network: PoseFormer,
    inputs: Inputs,
    windows: list[slice],
    found: np.ndarray,
    fps: float,
    on_rows: OnRows | None,
) -> Iterator[tuple[np.ndarray, WindowPrediction, np.ndarray]]:
    """The windows' rows, predictions, and which rows were seen, batch after batch."""
    for first in range(0, len(windows), _BATCH):
        batch = windows[first : first + _BATCH]
        prediction = predict_both_ways(network, _stack(inputs, batch, fps))
        for index, window in enumerate(batch):
            rows = np.arange(window.start, window.stop)
            yield rows, WindowPrediction(prediction, index, len(rows)), found[window]
        if on_rows is not None:
            on_rows(batch[-1].stop)


def predict_both_ways(network: PoseFormer, inputs: Inputs) -> Prediction:
    """The mean of what the network says of a picture, and of the mirrored one put back.

    Its rotations are means of matrices, a little smaller than rotations where the two disagree.
    """
    plain = network(inputs)
    other = mirror_prediction(network(inputs.mirrored()))
    return Prediction(
        (plain.rotmat + other.rotmat) / 2,
        (plain.betas + other.betas) / 2,
        (plain.log_scale + other.log_scale) / 2,
        (plain.shift + other.shift) / 2,
    )


def _stack(inputs: Inputs, windows: list[slice], fps: float) -> Inputs:
    """Windows of one long row of frames as a batch; all are of one length.

    A clip shorter than a window is one window, so lengths never differ.
    """
    length = windows[0].stop - windows[0].start
    rows = torch.tensor([range(w.start, w.stop) for w in windows], device=inputs.time_s.device)
    taken = {
        name: getattr(inputs, name)[0][rows]
        for name in ("keypoints", "hints", "view", "shows_keypoints", "shows_hints")
    }
    time = (torch.arange(length, device=rows.device) - (length - 1) / 2) / fps
    return Inputs(time_s=time.to(inputs.time_s).expand(len(windows), -1), **taken)


def _as_rows(blended: Blended, boxes: Boxes) -> RowPredictions:
    return RowPredictions(
        blended.rotmat,
        blended.camera,
        blended.betas,
        boxes.center_px[0].cpu().numpy(),
        boxes.side_px[0].cpu().numpy(),
        blended.covered,
    )
