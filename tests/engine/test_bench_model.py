"""`extpose bench --model`: every shape asked for is measured beside the image model, or left out aloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from extpose_blender.engine import bench_model
from extpose_blender.engine.cli import main
from extpose_blender.engine.lift.extpose.checkpoint import TrainedFor
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig
from extpose_blender.engine.lift.extpose.weights_file import write_weights
from extpose_blender.protocol.errors import UsageError
from extpose_blender.protocol.options import ModelBenchOptions

TINY = {"embed_dim": 32, "depth": 2, "num_heads": 4, "decoder_dim": 32, "decoder_depth": 1}
DEVICE = ("--device", "cpu", "--precision", "fp32")


@pytest.fixture(autouse=True)
def tiny_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench_model.SIZES, "tiny", TINY)
    monkeypatch.setattr(bench_model, "measure_matrix_rate", lambda device, dtype: 1e10)


def bench(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[dict[str, Any], str]:
    assert main(["bench", *map(str, words), *DEVICE, "--json"]) == 0
    out, err = capsys.readouterr()
    return json.loads(out.splitlines()[-1]), err


def test_every_shape_is_measured_beside_the_image_model(capsys: pytest.CaptureFixture[str]) -> None:
    told, _ = bench(capsys, "--model", "tiny", "--frames", "1,3", "--batch", "1,2", "--runs", 1)
    shapes = [(case["frames"], case["streams"], case["windows"]) for case in told["cases"]]
    assert shapes == [(t, s, b) for t in (1, 3) for s in (1, 2) for b in (1, 2)]
    assert (told["model"], told["precision"], told["compiled"]) == ("tiny", "fp32", False)
    for case in told["cases"]:
        measured = case["measured"]
        assert measured["ratio"] == pytest.approx(
            measured["ms_per_frame"] / measured["plain_ms_per_frame"]
        )
        reached = 1e9 * case["gflop_per_frame"] / (measured["ms_per_frame"] / 1000)
        assert measured["rate_share"] == pytest.approx(reached / told["matrix_rate"])
        assert case["counted_bytes"] > 0


def test_what_takes_too_long_is_announced_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    told, err = bench(capsys, "--model", "vit-b", "--frames", "16", "--longest", "1", "--batch", 1)
    for case in told["cases"]:
        assert case["measured"] is None
        assert "would take about" in case["skipped"]
        assert case["expected_s"] > 1
        assert case["counted_bytes"] > 4 * 86e6
    assert "T = 16, 2 streams, 1 at once: left out, it would take about" in err


def test_the_table_says_both(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--frames", "1,900", "--batch", "1", "--runs", "1", "--longest", "2")
    assert main(["bench", "--model", "tiny", *words, *DEVICE]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert "tiny in fp32" in rows[0]
    assert "10 GFLOP/s" in rows[1]
    assert len([row for row in rows if "would take about" in row]) == 2
    assert len([row for row in rows if "%" in row and row.lstrip().startswith("1 ")]) == 2


def test_a_file_of_weights_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "hand.safetensors"
    net = ExtPose(ExtPoseConfig.from_dict(TINY | {"body": "mano", "image_size": [64, 48]}))
    write_weights(file, net, TrainedFor("both", 4, "mano", "none", "random numbers"))
    told, _ = bench(capsys, "--model", file, "--frames", "2", "--batch", "1", "--runs", "1")
    assert [case["measured"]["ratio"] > 0 for case in told["cases"]] == [True, True]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--frames", "4"), "`--frames` needs `--model`"),
        (("--compile",), "`--compile` needs `--model`"),
        (("clip.mp4", "--model", "tiny"), "`--model` takes no clip"),
        (("--model", "tiny", "--frames", "1,x"), "`--frames` must be numbers from 1"),
        (("--model", "tiny", "--batch", "0"), "`--batch` must be numbers from 1"),
        (("--model", "tiny", "--longest", "0"), "`--longest` must be above 0"),
        (("--model", "tiny", "--runs", "0"), "`--runs` must be at least 1"),
        (("--model", "tiny", "--precision", "fp8"), "fp8"),
    ],
)
def test_wrong_usage_is_refused(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == UsageError.exit_code
    assert message in capsys.readouterr().err


def test_unknown_weights_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EXTPOSE_MODELS", str(tmp_path))
    assert main(["bench", "--model", "vit-x"]) == 4
    assert "vit-x" in capsys.readouterr().err


def test_numbers_of_options_are_read() -> None:
    options = ModelBenchOptions(frames="1, 16", batch="3")
    assert (options.frame_counts, options.batch_sizes) == ((1, 16), (3,))
