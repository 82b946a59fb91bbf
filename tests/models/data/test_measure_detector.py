"""From a video with truth to statistics, and the commands that do it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine.body.load import load_body
from extpose_blender.protocol.resources import find_resource
from models.data.__main__ import main as speed
from models.data.clips import ClipSource
from models.data.detector_errors import ERRORS_FILE, ErrorModel
from models.data.error_statistics import Rows
from models.data.measure_detector import fit_follow, fit_hint_map, main, usual_hint_error
from models.data.sightings import (
    _known,
    _look,
    _read_pictures,
    _window,
    heights_px,
    write_sightings,
)
from models.evaluate.rendered_set import RenderedClip

from .conftest import write_swinging
from .test_detector_errors import sight


@pytest.fixture(scope="module")
def made(source: ClipSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "made.npz"
    write_sightings(path, sight(source.batch(4, 24, 30), ErrorModel.load()))
    return path


def test_fit_and_compare_run_on_a_file(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(made), "--out", str(tmp_path / "errors.npz")]) == 0
    model = ErrorModel.load(tmp_path / "errors.npz")
    assert all(torch.isfinite(array).all() for array in vars(model).values())
    assert main(["compare", str(made)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["real", "made"] and len(lines) > 20


def test_speed_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_swinging(tmp_path, "made/one")
    arguments = ["--batches", "1", "--clips", "4", "--frames", "4"]
    threads = torch.get_num_threads()
    try:
        assert speed([str(tmp_path), *arguments]) == 0
    finally:
        torch.set_num_threads(threads)
    assert "frames a second on cpu" in capsys.readouterr().out


def rows_of(flat: np.ndarray, deep: np.ndarray, true: np.ndarray) -> Rows:
    count = len(flat)
    score, view = np.full((count, 33), 0.9), np.zeros((count, 33), int)
    return Rows(flat, deep, true, score, view, np.zeros(count, int), np.arange(count), 1 / 30)


def test_known_habits_are_found() -> None:
    rng = np.random.default_rng(0)
    true = 0.4 * rng.standard_normal((4000, 33, 3))
    flat = 0.01 * rng.standard_normal((4000, 33, 2))
    rows = rows_of(flat, np.zeros((4000, 33, 3)), true)
    deep = 0.8 * rows.flat_m() + 0.001 * rng.standard_normal(true.shape)
    np.testing.assert_allclose(fit_follow(rows_of(flat, deep, true)), 0.8, atol=0.01)
    habit = 0.02 * rng.standard_normal((99, 100))
    usual = (true.reshape(4000, -1) @ habit[:, :-1].T + habit[:, -1]).reshape(true.shape)
    rows = rows_of(flat, usual + 0.01 * rng.standard_normal(true.shape), true)
    found = usual_hint_error(fit_hint_map(rows), rows)
    assert np.abs(found - usual).mean() < 0.1 * np.abs(usual).mean()


def test_the_statistics_that_ship_say_what_they_come_from() -> None:
    with np.load(ERRORS_FILE) as data:
        about = json.loads(str(data["meta"]))
    assert about["pictures"] > 1000 and about["videos"] > 10


def test_a_video_with_truth_becomes_a_sighting() -> None:
    pytest.importorskip("mediapipe")
    truth_file = find_resource("sample/truth.npz")
    with np.load(truth_file, allow_pickle=False) as data:
        truth = dict(data)
    clip = RenderedClip("sample", truth_file.with_name("clip.mp4"), truth)
    rows = np.arange(20, 26)
    known = _known(clip, load_body("open")).rows(rows)
    pictures = _read_pictures(clip.video)[rows]
    whole = _look(pictures, known, _window("whole", known, pictures.shape, np.random.default_rng()))
    assert whole.seen.all()
    error = np.linalg.norm(whole.keypoints_px[..., :2] - whole.true_px, axis=-1)
    assert np.median(error / heights_px(whole)[:, None]) < 0.02
    cut = _look(pictures, known, _window("below", known, pictures.shape, np.random.default_rng(1)))
    assert cut.size_wh[1] < whole.size_wh[1]
    assert (cut.true_px[..., 1] > cut.size_wh[1]).any()
