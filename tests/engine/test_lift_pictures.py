"""Capture with a network: what is lifted beside detection, afterwards, or after a kill, is the same."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine.kept_windows import KeptWindows
from extpose_blender.engine.lift.base import Crop
from extpose_blender.engine.lift.extpose.checkpoint import TrainedFor
from extpose_blender.engine.lift.extpose.weights_file import write_weights
from extpose_blender.engine.lift.windows import Window
from extpose_blender.engine.network_thread import NetworkThread, waiting_windows
from extpose_blender.engine.pipeline import capture
from extpose_blender.engine.report import Listener
from extpose_blender.protocol.errors import (
    BadModelFile,
    Cancelled,
    MissingModel,
    UsageError,
    WorkError,
)
from extpose_blender.protocol.files import read_json, read_npz
from extpose_blender.protocol.flow import LiftedWindow
from extpose_blender.protocol.job import Job
from extpose_blender.protocol.messages import Done, Message, Progress
from extpose_blender.protocol.motion import Motion, read_motion
from extpose_blender.protocol.options import CaptureOptions

from .conftest import write_clip
from .tiny_network import tiny_network, write_tiny_weights

ROWS = 45


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "walk.mp4", ROWS, (320, 240))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def options(weights: Path, **choices: object) -> CaptureOptions:
    return CaptureOptions.from_dict(
        {"detector": "fake", "lifter": "extpose", "weights": str(weights), **choices}
    )


def run(
    video: Path, out: Path, wanted: CaptureOptions, listener: Listener | None = None
) -> tuple[Done, dict[int, Motion]]:
    done = capture(Job(video, out, wanted), listener or Listener())
    files = [Path(path) for path in done.outputs if Path(path).name.startswith("person_")]
    return done, {int(path.stem.removeprefix("person_")): read_motion(path) for path in files}


def assert_same(a: Motion, b: Motion) -> None:
    for name in ("poses", "trans", "betas", "joints", "confidence", "camera_T_world"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)


def lifted_in(out: Path) -> dict[int, dict[str, np.ndarray]]:
    """What the stage left, by person, before people are brought into one world."""
    files = [read_npz(path) for path in out.rglob("lift-*.npz")]
    return {int(arrays["person_id"]): arrays for arrays in files}


def windows_kept(out: Path) -> list[Path]:
    return sorted(out.rglob("windows-*/*.npz"))


def test_ahead_and_afterwards_give_the_same(video: Path, weights: Path, tmp_path: Path) -> None:
    run(video, tmp_path / "one", options(weights))
    run(video, tmp_path / "all", options(weights, person="all"))
    run(video, tmp_path / "second", options(weights, person="1"))
    one, everybody, second = (lifted_in(tmp_path / name) for name in ("one", "all", "second"))
    assert set(one) == {0}
    assert set(everybody) == {0, 1}
    assert set(second) == {1}
    for name in ("rotvec", "transl_m", "betas", "confidence"):
        np.testing.assert_array_equal(one[0][name], everybody[0][name])  # both ahead
        np.testing.assert_array_equal(second[1][name], everybody[1][name])  # afterwards, ahead


def test_network_works_while_detection_goes_on(video: Path, weights: Path, tmp_path: Path) -> None:
    """When detection says that it is done, windows have been lifted already."""
    lifted: list[int] = []

    def listen(message: Message) -> None:
        if isinstance(message, Progress) and message.stage == "detect" and message.done == ROWS:
            lifted.append(len(windows_in_thread[0]._windows) if windows_in_thread else 0)

    windows_in_thread: list[KeptWindows] = []
    before = KeptWindows.__init__

    def remember(self: KeptWindows, folder: Path) -> None:
        before(self, folder)
        windows_in_thread.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeptWindows, "__init__", remember)
        run(video, tmp_path, options(weights, window=2), Listener(listen))
    assert lifted and lifted[0] > 0


@pytest.mark.parametrize("stop_at", [3, 25, 44])
def test_a_stopped_run_goes_on_to_the_same_motion(
    video: Path, weights: Path, tmp_path: Path, stop_at: int
) -> None:
    _, whole = run(video, tmp_path / "whole", options(weights))
    seen: list[Message] = []
    stopping = Listener(
        seen.append, lambda: any(isinstance(m, Progress) and m.done >= stop_at for m in seen)
    )
    with pytest.raises(Cancelled):
        run(video, tmp_path / "again", options(weights), stopping)
    assert not [t for t in threading.enumerate() if t.name == "extpose-network"]
    _, again = run(video, tmp_path / "again", options(weights))
    assert_same(whole[0], again[0])


def test_another_smoothing_lifts_nothing_again(video: Path, weights: Path, tmp_path: Path) -> None:
    run(video, tmp_path, options(weights))
    kept = {path: path.stat().st_mtime_ns for path in windows_kept(tmp_path)}
    assert kept
    run(video, tmp_path, options(weights, smooth=0.0))
    assert {path: path.stat().st_mtime_ns for path in windows_kept(tmp_path)} == kept


def test_damaged_windows_are_lifted_again(video: Path, weights: Path, tmp_path: Path) -> None:
    _, first = run(video, tmp_path, options(weights))
    for path in windows_kept(tmp_path):
        path.write_bytes(path.read_bytes()[:100])
    for path in tmp_path.rglob("lift-*.npz"):
        path.unlink()
    _, again = run(video, tmp_path, options(weights))
    assert_same(first[0], again[0])


@pytest.mark.parametrize("window", [1, 16])
@pytest.mark.parametrize("streams", ["both", "image", "skeleton"])
def test_every_input_mode_gives_a_motion(
    video: Path, weights: Path, tmp_path: Path, streams: str, window: int
) -> None:
    done, people = run(video, tmp_path, options(weights, streams=streams, window=window))
    motion = people[0]
    assert len(motion) == ROWS
    assert np.isfinite(motion.joints).all()
    assert (motion.confidence > 0).any()
    lifter = read_json(Path(done.report))["models"]["lifter"]
    assert lifter["name"] == "extpose"
    assert list(lifter["sha256"]) == ["tiny.safetensors"]
    assert (lifter["streams"], lifter["frames"]) == (streams, window)


def test_skeletons_alone_do_not_look_at_the_pictures(
    video: Path, weights: Path, tmp_path: Path
) -> None:
    """Two clips with other colours and the same keypoints: equal with skeletons alone, and only then."""
    other = write_clip(tmp_path / "other.mp4", ROWS, (320, 240))
    results = {}
    for streams in ("skeleton", "both"):
        for name, clip in (("a", video), ("b", dark_copy(other))):
            chosen = options(weights, streams=streams, smooth=0.0, foot_lock=False, end=20)
            results[streams, name] = run(clip, tmp_path / streams / name, chosen)[1][0]
    np.testing.assert_array_equal(results["skeleton", "a"].poses, results["skeleton", "b"].poses)
    assert np.abs(results["both", "a"].poses - results["both", "b"].poses).max() > 1e-4


def dark_copy(clip: Path) -> Path:
    """A clip of the same length, with black pictures."""
    import av

    path = clip.with_name("dark.mp4")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(ROWS):
            image = np.zeros((240, 320, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_fit_goes_over_the_network(video: Path, weights: Path, tmp_path: Path) -> None:
    """`--refine fit` lays the body over the keypoints, which a network without knowledge does not."""
    errors = {}
    for refine in ("none", "fit"):
        done, people = run(video, tmp_path / refine, options(weights, refine=refine))
        errors[refine] = read_json(Path(done.report))["people"][0][
            "mean_reprojection_error_of_height"
        ]
        assert people[0].confidence.shape == (ROWS, 52)
    assert errors["fit"] < 0.5 * errors["none"]


def test_choices_that_the_lifter_cannot_take_are_refused(weights: Path) -> None:
    for name, value in (
        ("streams", "image"),
        ("window", 4),
        ("precision", "bf16"),
        ("compile", True),
    ):
        with pytest.raises(UsageError, match=name):
            CaptureOptions.from_dict({"lifter": "fit", name: value})


def test_missing_weights_say_how_to_get_some(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTPOSE_MODELS", str(tmp_path / "models"))
    wanted = CaptureOptions.from_dict({"detector": "fake", "lifter": "extpose"})
    with pytest.raises(MissingModel, match="weights") as error:
        run(video, tmp_path / "out", wanted)
    assert "extpose models add" in error.value.hint
    assert not (tmp_path / "out" / "walk").exists()


def test_weights_that_place_nobody_are_refused(video: Path, tmp_path: Path) -> None:
    net = tiny_network()
    with torch.no_grad():
        net.head.init_cam.copy_(torch.tensor([[-9.0, 0.0, 0.0]]))
    path = tmp_path / "far.safetensors"
    write_weights(path, net, TrainedFor("image", 1, "open", "GPL-3.0-or-later", "a seed"))
    with pytest.raises(BadModelFile, match="far"):
        run(video, tmp_path / "out", options(path, end=3))


class SlowLifter:
    """Lifts when it is told to, or fails."""

    frames, wants_pictures = 4, False

    def __init__(self, error: Exception | None = None) -> None:
        self.go = threading.Event()
        self.stopped = threading.Event()
        self.error = error
        self.batches: list[int] = []

    def most_windows(self) -> int:
        return 3

    def lift_windows(
        self, windows: Sequence[tuple[Window, Mapping[int, Crop | None]]]
    ) -> list[LiftedWindow]:
        while not self.go.wait(0.01):
            if self.stopped.is_set():
                raise Cancelled("Stopped as asked")
        if self.error is not None:
            raise self.error
        self.batches.append(len(windows))
        return [empty_window(window) for window, _ in windows]

    def stop(self) -> None:
        self.stopped.set()


def empty_window(window: Window) -> LiftedWindow:
    count = len(window.entries)
    return LiftedWindow(
        window.first_row, np.array(window.entries), np.ones(count, bool),
        np.zeros((count, 24, 3, 3), np.float32), np.zeros(10, np.float32),
        np.zeros((count, 3), np.float32), np.zeros((count, 2), np.float32),
        np.ones(count, np.float32),
    )  # fmt: skip


def test_queue_is_bounded_and_everything_is_lifted_and_kept(tmp_path: Path) -> None:
    lifter, kept, polls = SlowLifter(), KeptWindows(tmp_path), []

    def poll() -> None:
        polls.append(waiting())
        lifter.go.set()

    with NetworkThread(lifter, kept, poll) as thread:
        waiting = thread._waiting.qsize
        for row in range(60):
            thread.put((Window(row, (0, 0)), {}))
    assert polls[0] == waiting_windows(lifter.frames)
    assert sum(lifter.batches) == len(kept) == 60
    assert max(lifter.batches) <= 3
    again = KeptWindows(tmp_path)
    assert len(again) == 60
    assert (7, (0, 0)) in again


def test_an_error_of_the_network_reaches_the_caller(tmp_path: Path) -> None:
    lifter = SlowLifter(WorkError("no room"))
    lifter.go.set()
    with (
        pytest.raises(WorkError, match="no room"),
        NetworkThread(lifter, KeptWindows(tmp_path), lambda: None) as thread,
    ):
        for row in range(100):
            thread.put((Window(row, (0,)), {}))


def test_an_error_of_the_caller_stops_the_network(tmp_path: Path) -> None:
    lifter = SlowLifter()
    with (
        pytest.raises(ZeroDivisionError),
        NetworkThread(lifter, KeptWindows(tmp_path), lambda: None) as thread,
    ):
        thread.put((Window(0, (0,)), {}))
        raise ZeroDivisionError
    assert lifter.stopped.is_set()
    assert not thread._thread.is_alive()
