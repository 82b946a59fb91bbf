"""Windows come back in order and unchanged by their company; full memory makes batches smaller."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from extpose_blender.engine.lift.extpose.crop import normalize
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig
from extpose_blender.engine.lift.extpose.predict import (
    Predictor,
    WindowPictures,
    WindowPrediction,
)
from extpose_blender.protocol.errors import BadShape, MissingPackage, UsageError, WorkError

CONFIG = ExtPoseConfig(
    image_size=(64, 48), embed_dim=32, depth=2, num_heads=4, decoder_dim=32, decoder_depth=1
)


def tiny_net(**changes: object) -> ExtPose:
    torch.manual_seed(3)
    return ExtPose(ExtPoseConfig.from_dict(CONFIG.to_dict() | changes)).eval()


def window(
    seed: int, frames: int = 3, streams: str = "both", unseen: Sequence[int] = ()
) -> WindowPictures:
    random = np.random.default_rng(seed)
    image, skeleton = random.integers(0, 256, (2, frames, 64, 48, 3), dtype=np.uint8)
    valid = np.ones(frames, bool)
    valid[list(unseen)] = False
    return WindowPictures(
        image if streams != "skeleton" else None,
        skeleton if streams != "image" else None,
        valid,
    )


def mixed_windows() -> list[WindowPictures]:
    """Of several lengths, streams and holes, in no order."""
    return [
        window(1),
        window(2, frames=1, streams="image"),
        window(3, unseen=[1]),
        window(4, streams="skeleton"),
        window(5),
        window(6, frames=5, unseen=[0, 4]),
        window(7, frames=1, streams="image"),
        window(8, unseen=[0]),
        window(9),
    ]


def by_the_network(net: ExtPose, pictures: WindowPictures) -> WindowPrediction:
    """The slow plain twin: one window, no batches, no streams of work."""
    with torch.no_grad():
        output = net(
            **{name: normalize(torch.from_numpy(p))[None] for name, p in pictures.streams.items()},
            valid=torch.from_numpy(pictures.valid)[None],
        )
    return WindowPrediction(
        output.rotmat[0].numpy(), output.betas[0].numpy(), output.camera[0].numpy()
    )


def assert_equal(one: WindowPrediction, other: WindowPrediction, tolerance: float = 0) -> None:
    for name in ("rotmat", "betas", "camera"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == np.float32
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("body", ["smpl", "mano"])
def test_each_window_gets_what_the_network_says_of_it_alone(body: str) -> None:
    net, windows = tiny_net(body=body), mixed_windows()
    predictions = Predictor(net, "cpu")(windows)
    assert len(predictions) == len(windows)
    for pictures, prediction in zip(windows, predictions, strict=True):
        assert_equal(prediction, by_the_network(net, pictures))
        assert prediction.rotmat.shape == (pictures.frames, 24 if body == "smpl" else 16, 3, 3)


def test_a_result_does_not_depend_on_how_windows_are_given() -> None:
    predictor, windows = Predictor(tiny_net(), "cpu"), mixed_windows()
    together = predictor(windows)
    apart = [predictor([one])[0] for one in windows]
    backwards = predictor(windows[::-1])[::-1]
    for first, second, third in zip(together, apart, backwards, strict=True):
        assert_equal(first, second)
        assert_equal(first, third)


def test_batches_say_the_same_as_single_windows() -> None:
    """What a GPU does, on the CPU: several windows at once, the last batch smaller."""
    net, windows = tiny_net(), mixed_windows()
    predictor = Predictor(net, "cpu", most_windows=2)
    predictor.one_by_one = False
    assert predictor.batch_windows(3) == 2
    for pictures, prediction in zip(windows, predictor(windows), strict=True):
        assert_equal(prediction, by_the_network(net, pictures), tolerance=2e-5)


def test_what_lies_in_unseen_rows_changes_nothing() -> None:
    predictor = Predictor(tiny_net(), "cpu")
    one, other = window(1, unseen=[1]), window(1, unseen=[1])
    assert other.image_rgb is not None
    other.image_rgb[1] = 7
    first, second = predictor([one, other])
    assert_equal(first, second)
    assert np.isfinite(first.rotmat).all()


def test_no_windows_give_no_predictions() -> None:
    assert Predictor(tiny_net(), "cpu")([]) == []


def full_above(predictor: Predictor, windows: int, error: Exception) -> list[int]:
    """Let the network's memory be full above some windows at once. Returns the sizes it was asked for."""
    asked = []

    def check(_: object, arguments: object, named: dict[str, torch.Tensor]) -> None:
        asked.append(len(named["image"]))
        if asked[-1] > windows:
            raise error

    predictor.net.register_forward_pre_hook(check, with_kwargs=True)
    return asked


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_full_memory_halves_the_batch_for_good(error: Exception) -> None:
    net, windows = tiny_net(), [window(seed) for seed in range(11)]
    predictor = Predictor(net, "cpu", most_windows=8)
    predictor.one_by_one = False
    asked = full_above(predictor, 2, error)
    predictions = predictor(windows)
    assert asked == [8, 4, 2, 2, 2, 2, 2, 1]
    assert predictor.batch_windows(3) == 2
    assert predictor.batch_windows(6) == predictor.batch_windows(3, streams=1) // 4 == 1
    del asked[:]
    assert len(predictor(windows[:4])) == 4
    assert asked == [2, 2]
    for pictures, prediction in zip(windows, predictions, strict=True):
        assert_equal(prediction, by_the_network(net, pictures), tolerance=2e-5)


def test_what_was_predicted_before_memory_ran_out_is_not_predicted_again() -> None:
    predictor = Predictor(tiny_net(), "cpu", most_windows=4)
    predictor.one_by_one = False
    asked: list[int] = []

    def fail_once(_: object, arguments: object, named: dict[str, torch.Tensor]) -> None:
        asked.append(len(named["image"]))
        if len(asked) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    predictor.net.register_forward_pre_hook(fail_once, with_kwargs=True)
    assert len(predictor([window(seed) for seed in range(8)])) == 8
    assert asked == [4, 4, 2, 2]


def test_a_single_window_that_does_not_fit_is_told_with_a_way_out() -> None:
    predictor = Predictor(tiny_net(), "cpu")
    full_above(predictor, 0, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(WorkError, match="One window of 3 frames does not fit") as caught:
        predictor([window(1)])
    assert "--window 1" in caught.value.hint


def test_other_errors_are_not_taken_for_full_memory() -> None:
    predictor = Predictor(tiny_net(), "cpu", most_windows=4)
    predictor.one_by_one = False
    asked = full_above(predictor, 0, RuntimeError("CUDA error: device-side assert triggered"))
    with pytest.raises(RuntimeError, match="device-side"):
        predictor([window(1), window(2)])
    assert asked == [2]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_near(precision: str) -> None:
    exact = Predictor(tiny_net(), "cpu", "fp32")([window(1)])[0]
    near = Predictor(tiny_net(), "cpu", precision)([window(1)])[0]
    assert_equal(near, exact, tolerance=0.05)
    assert not np.array_equal(near.rotmat, exact.rotmat)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, when it compiles
@pytest.mark.parametrize(("layout", "programs"), [("modal_then_frame", 1), ("alternate", 2)])
def test_compiled_blocks_say_the_same_and_share_programs(
    layout: str, programs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One program serves all blocks that run alike: a deep network compiles as fast as a shallow one.

    The compiler's front half runs; its back half, which takes half a minute, is replaced.
    """
    compiled = []

    def keep(graph: torch.fx.GraphModule, inputs: object) -> object:
        compiled.append(graph)
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=keep))
    net = tiny_net(depth=11, block_layout=layout)
    exact = Predictor(net, "cpu")([window(1)])[0]
    calls = []
    for block in net.backbone.blocks:
        block.register_forward_pre_hook(lambda block, inputs: calls.append(block))
    predictor = Predictor(net, "cpu", compiled=True)
    assert_equal(predictor([window(1)])[0], exact, tolerance=2e-5)
    predictor([window(2)])
    assert len(compiled) == programs
    assert calls == 2 * list(net.backbone.blocks), "hooks see every block of every pass"


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_machine_that_cannot_compile_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(graph: object, inputs: object) -> object:
        raise ValueError("no C++ compiler")

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=refuse))
    with pytest.raises(MissingPackage, match=r"cannot compile the network here: .*no C\+\+"):
        Predictor(tiny_net(), "cpu", compiled=True)([window(1)])


def test_memory_is_told_in_bytes() -> None:
    peak = Predictor(tiny_net(), "cpu").peak_memory()
    assert peak is None or peak > 10_000_000


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="fp8"):
        Predictor(tiny_net(), "cpu", "fp8")


PICTURES = np.zeros((2, 64, 48, 3), np.uint8)
SEEN = np.ones(2, bool)


@pytest.mark.parametrize(
    ("image", "skeleton", "valid", "words"),
    [
        (None, None, SEEN, "`image_rgb`, `skeleton_rgb` or both"),
        (PICTURES, PICTURES, np.zeros(2, bool), "needs a row that was seen"),
        (PICTURES, PICTURES, np.ones(2), r"`valid` must be \(T,\) bool, not \(2,\) float64"),
        (PICTURES, PICTURES[:1], SEEN, r"`skeleton_rgb` must be .* not \(1, 64, 48, 3\) uint8"),
        (
            PICTURES[:, :32],
            None,
            SEEN[:1],
            r"`image_rgb` must be \(T, H, W, 3\) = \(1, 32, 48, 3\)",
        ),
        (PICTURES.astype(np.float32), None, SEEN, "uint8, not .* float32"),
    ],
)
def test_windows_are_checked(
    image: np.ndarray | None, skeleton: np.ndarray | None, valid: np.ndarray, words: str
) -> None:
    with pytest.raises(BadShape, match=words):
        WindowPictures(image, skeleton, valid)


def test_pictures_of_another_size_are_refused() -> None:
    other = WindowPictures(np.zeros((1, 32, 32, 3), np.uint8), None, np.ones(1, bool))
    with pytest.raises(BadShape, match="64, 48"):
        Predictor(tiny_net(), "cpu")([other])
