"""Runs the network over windows of pictures, in batches that fit into memory.

    windows (uint8, host) → batches of equal length → device → normalise → network → predictions (fp32, host)

Pictures travel as uint8, a quarter of the bytes, and are normalised where the network runs. On CUDA the
next batch is uploaded while the network works on the current one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....protocol.errors import BadShape, MissingPackage, WorkError
from .crop import normalize
from .memory import bytes_per_token, free_memory, out_of_memory, peak_memory, restart_peak
from .network import ExtPose, ExtPoseOutput
from .precision import cast_products, choose_dtype, computing

FREE_SHARE = 0.7
"""Share of the free memory that activations may take; the rest is for fragments and kernels' own needs."""

ENOUGH_TOKENS = 2**17
"""Tokens in a batch beyond which no known GPU gains: 21 windows of 16 frames and two streams."""


@dataclass(frozen=True)
class WindowPictures:
    """What the network sees of one window: consecutive rows of one person's track."""

    image_rgb: np.ndarray | None
    """Crops, (T, H, W, 3) uint8, or `None`: the network then sees skeletons alone."""
    skeleton_rgb: np.ndarray | None
    """Skeleton images, (T, H, W, 3) uint8, or `None`."""
    valid: np.ndarray
    """(T,) bool: rows that were seen. The others are left out, whatever their pictures hold."""

    def __post_init__(self) -> None:
        if self.valid.ndim != 1 or self.valid.dtype != bool:
            raise BadShape(f"`valid` must be (T,) bool, not {self.valid.shape} {self.valid.dtype}")
        if not self.valid.any():
            raise BadShape("A window needs a row that was seen")
        if not self.streams:
            raise BadShape("A window needs `image_rgb`, `skeleton_rgb` or both")
        shape = (self.frames, *next(iter(self.streams.values())).shape[1:3], 3)
        for name, pictures in self.streams.items():
            if pictures.shape != shape or pictures.dtype != np.uint8:
                actual = f"{pictures.shape} {pictures.dtype}"
                raise BadShape(f"`{name}_rgb` must be (T, H, W, 3) = {shape} uint8, not {actual}")

    @property
    def frames(self) -> int:
        """T."""
        return len(self.valid)

    @property
    def streams(self) -> dict[str, np.ndarray]:
        """The pictures that there are, by the network's names for them: `image`, `skeleton`."""
        both = {"image": self.image_rgb, "skeleton": self.skeleton_rgb}
        return {name: pictures for name, pictures in both.items() if pictures is not None}


@dataclass(frozen=True)
class WindowPrediction:
    """What the network says of one window. Rows that were not seen hold finite numbers without meaning."""

    rotmat: np.ndarray
    """Joint rotations, (T, J, 3, 3) float32."""
    betas: np.ndarray
    """Shape over the rows that were seen, (10,) float32."""
    camera: np.ndarray
    """Crop cameras s, tx, ty, (T, 3) float32."""


@dataclass(frozen=True)
class _Batch:
    """Windows that lie on the device."""

    pictures: dict[str, Tensor]
    """(B, T, H, W, 3) uint8 per stream."""
    valid: Tensor | None
    """(B, T) bool; `None` where every row was seen."""


class Predictor:
    """The network on a device, in a precision, with a batch size that fits.

    Args:
        net: The network, in eval mode. It is taken over: its weights move to the device and the precision.
        device: Torch's word for the device, such as `cpu` or `cuda`.
        precision: `auto`, `fp32`, `bf16` or `fp16`, as `precision.choose_dtype` takes them.
        compiled: Let torch compile the blocks: a minute at the first window, for long clips.
        most_windows: Upper bound of windows that go at once, whatever memory allows.

    Raises:
        UsageError: Unknown precision.
        WorkError: The weights do not fit on the device.
    """

    def __init__(
        self,
        net: ExtPose,
        device: str,
        precision: str = "auto",
        compiled: bool = False,
        most_windows: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = choose_dtype(precision, device)
        self.config = net.config
        cast_products(net, self.dtype)
        try:
            self.net = net.to(self.device)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            raise _no_room("The network's weights do", self.device) from error
        self._compiling = _reporting_the_compiler if compiled else contextlib.nullcontext
        if compiled:
            block: Any
            for block in self.net.backbone.blocks:
                # `forward` alone, so that hooks, such as one that stops the work, run as they are.
                block.forward = torch.compile(block.forward)
        self.one_by_one = self.device.type == "cpu"
        """Windows go singly: a matrix product's last bits depend on its number of rows."""
        self._most_windows = most_windows
        self._most_tokens = self._tokens_that_fit()
        self._uploads = torch.cuda.Stream(self.device) if self._on_cuda else None
        restart_peak(self.device)

    @property
    def _on_cuda(self) -> bool:
        return self.device.type == "cuda"

    def __call__(self, windows: Sequence[WindowPictures]) -> list[WindowPrediction]:
        """Predict windows of any lengths and streams.

        On a CPU a window's result does not depend on the windows that are given with it.

        Args:
            windows: Windows of this network's picture size.

        Returns:
            One prediction per window, in the order of `windows`.

        Raises:
            BadShape: Pictures of another size.
            WorkError: A single window does not fit into memory.
        """
        alike: dict[tuple[object, ...], list[int]] = {}
        for index, window in enumerate(windows):
            # By rows seen, too: the network runs windows together that saw equally many.
            key = (window.frames, *window.streams, int(window.valid.sum()))
            alike.setdefault(key, []).append(index)
        results: dict[int, WindowPrediction] = {}
        for indices in alike.values():
            predictions = self._predict_alike([windows[index] for index in indices])
            results.update(zip(indices, predictions, strict=True))
        return [results[index] for index in range(len(windows))]

    def batch_windows(self, frames: int, streams: int = 2) -> int:
        """How many windows of that many frames go at once."""
        if self.one_by_one:
            return 1
        fit = max(1, self._most_tokens // (streams * frames * self.config.tokens))
        return min(fit, self._most_windows or fit)

    def peak_memory(self) -> int | None:
        """Bytes at the highest point so far, weights included: of the device; on a CPU, of the process.

        `None` where the system does not tell.
        """
        return peak_memory(self.device)

    def forward(
        self, image: Tensor | None, skeleton: Tensor | None, valid: Tensor | None = None
    ) -> ExtPoseOutput:
        """The network alone, on pictures that lie on the device, normalised: (B, T, 3, H, W)."""
        with computing(self.device, self.dtype), self._compiling():
            output: ExtPoseOutput = self.net(image=image, skeleton=skeleton, valid=valid)
        return output

    def _tokens_that_fit(self) -> int:
        if not self._on_cuda:
            return ENOUGH_TOKENS
        room = FREE_SHARE * free_memory(self.device)
        return min(ENOUGH_TOKENS, int(room / bytes_per_token(self.config, self.dtype)))

    def _predict_alike(self, windows: list[WindowPictures]) -> list[WindowPrediction]:
        """Predict windows of one length and the same streams, with smaller batches where memory runs out."""
        done: list[WindowPrediction] = []
        while len(done) < len(windows):
            first = windows[len(done)]
            size = self.batch_windows(first.frames, len(first.streams))
            failed = False
            try:
                for predictions in self._predict_batches(windows[len(done) :], size):
                    done += predictions
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                failed = True
            if failed:  # Here, not above: the error holds on to the tensors that filled the memory.
                self._make_smaller(size, first)
        return done

    def _make_smaller(self, size: int, window: WindowPictures) -> None:
        """Halve the batch for good."""
        if size == 1:
            raise _no_room(f"One window of {window.frames} frames does", self.device)
        self._most_tokens = (size // 2) * len(window.streams) * window.frames * self.config.tokens
        if self._on_cuda:
            torch.cuda.empty_cache()

    def _predict_batches(
        self, windows: list[WindowPictures], size: int
    ) -> Iterator[list[WindowPrediction]]:
        batches = [windows[start : start + size] for start in range(0, len(windows), size)]
        following: _Batch | None = self._upload(batches[0])
        for index in range(len(batches)):
            current, following = following, None
            assert current is not None
            output = self._work_on(current)
            # The device still works on that: launching does not wait.
            if index + 1 < len(batches):
                following = self._upload(batches[index + 1])
            yield _as_predictions(output)

    def _upload(self, windows: list[WindowPictures]) -> _Batch:
        """Put windows on the device; on CUDA in a stream of its own, without waiting."""
        whole = all(window.valid.all() for window in windows)
        names = windows[0].streams
        with torch.cuda.stream(self._uploads):  # Does nothing where there is no stream.
            return _Batch(
                {name: self._to_device([w.streams[name] for w in windows]) for name in names},
                None if whole else self._to_device([w.valid for w in windows]),
            )

    def _to_device(self, arrays: list[np.ndarray]) -> Tensor:
        """Arrays of one shape as one tensor with a new first axis."""
        kind = torch.from_numpy(arrays[0][:0]).dtype
        shape = (len(arrays), *arrays[0].shape)
        # Filled by the line below; pinned memory is what CUDA copies from without waiting.
        stacked = torch.empty(shape, dtype=kind, pin_memory=self._on_cuda)
        np.stack(arrays, out=stacked.numpy())
        return stacked.to(self.device, non_blocking=True)

    def _work_on(self, batch: _Batch) -> ExtPoseOutput:
        tensors = [*batch.pictures.values(), *([] if batch.valid is None else [batch.valid])]
        if self._uploads is not None:
            compute = torch.cuda.current_stream(self.device)
            compute.wait_stream(self._uploads)
            for tensor in tensors:
                tensor.record_stream(compute)  # Their memory stays theirs until this work is done.
        pictures = {name: normalize(tensor, self.dtype) for name, tensor in batch.pictures.items()}
        return self.forward(pictures.get("image"), pictures.get("skeleton"), batch.valid)


def _as_predictions(output: ExtPoseOutput) -> list[WindowPrediction]:
    """Fetch a batch's results; on CUDA this waits for them."""
    rotmat, betas, camera = (
        tensor.float().cpu().numpy() for tensor in (output.rotmat, output.betas, output.camera)
    )
    return [WindowPrediction(*arrays) for arrays in zip(rotmat, betas, camera, strict=True)]


@contextlib.contextmanager
def _reporting_the_compiler() -> Iterator[None]:
    """Say in our words that torch cannot compile here."""
    from torch._dynamo.exc import BackendCompilerFailed

    try:
        yield
    except BackendCompilerFailed as error:
        raise MissingPackage(
            f"torch cannot compile the network here: {error.inner_exception}",
            "Install a C++ compiler, or leave `--compile` out",
        ) from error


def _no_room(what: str, device: torch.device) -> WorkError:
    return WorkError(
        f"{what} not fit into the memory of `{device}`",
        "Use `--window 1`, one stream, smaller weights, or another `--device`",
    )
