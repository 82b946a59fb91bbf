"""Adding a body of one's own: recognised by contents, kept in a form that runs nothing, usable by name."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.motion import read_motion

from .body.conftest import make_body
from .conftest import FAKE, ROOT

TINY = ROOT / "tests" / "data" / "checkpoints" / "tiny_hmr2.ckpt"
"""A small network in HMR2.0's format; see tests/data/README.md."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose model folder is empty."""
    return {**os.environ, "EXTPOSE_MODELS": str(tmp_path / "models")}


def write_body(path: Path, kind: str = "smplh") -> Path:
    np.savez(path, **make_body(kind))  # type: ignore[arg-type]
    return path


def test_added_body_is_listed_verified_used_and_cleaned(
    extpose: Run, home: dict[str, str], clip: Path, tmp_path: Path
) -> None:
    pytest.importorskip("smplx", reason="needs the extra `smpl`")
    file = write_body(tmp_path / "anything.npz")
    added = extpose("models", "add", file, "--json", env=home)
    assert added.returncode == 0, added.stderr
    model = json.loads(added.stdout)["model"]
    assert (model["name"], model["kind"]) == ("smplh", "body")
    assert "esearch" in model["licence"]
    rows = json.loads(extpose("models", "list", "--json", env=home).stdout)["models"]
    assert {row["name"]: row["state"] for row in rows}["smplh"] == "added"
    assert extpose("models", "verify", env=home).returncode == 0

    out = tmp_path / "out"
    used = extpose("capture", clip, "--out", out, *FAKE, "--body", "smplh", env=home)
    assert used.returncode == 0, used.stderr
    assert read_motion(out / "walk" / "person_0.npz").surface_model_type == "smplh"

    kept = tmp_path / "models" / model["file"]
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    broken = extpose("models", "verify", env=home)
    assert broken.returncode == 3
    assert "smplh" in broken.stderr
    (kept.parent / "stray.bin").write_text("")
    assert "stray.bin" in extpose("models", "clean", env=home).stdout


def test_hostile_pickle_runs_nothing_and_exits_with_3(
    extpose: Run, home: dict[str, str], clip: Path, tmp_path: Path
) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    file = tmp_path / "SMPL_NEUTRAL.pkl"
    file.write_bytes(pickle.dumps({"v_template": Bomb()}))
    for words in (
        ("models", "add", file),
        ("capture", clip, "--out", tmp_path / "out", *FAKE, "--body", file),
    ):
        result = extpose(*words, env=home)
        assert result.returncode == 3
        assert "error[bad-body]" in result.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "models").exists()


def test_added_weights_are_listed_verified_and_cleaned(
    extpose: Run, home: dict[str, str], tmp_path: Path
) -> None:
    misnamed = tmp_path / "SMPL_NEUTRAL.pkl"
    misnamed.write_bytes(TINY.read_bytes())
    said = extpose("models", "add", misnamed, "--name", "tiny", env=home)
    assert said.returncode == 0, said.stderr
    assert "Use it with `--weights tiny`." in said.stdout
    added = json.loads(extpose("models", "add", TINY, "--json", env=home).stdout)
    assert (added["model"]["name"], added["model"]["kind"]) == ("hmr2", "weights")
    assert added["body"] is None
    listed = json.loads(extpose("models", "list", "--json", env=home).stdout)["models"]
    rows = {row["name"]: row for row in listed if row["kind"] == "weights"}
    assert [rows[name]["state"] for name in ("hmr2", "tiny", "hamer")] == [
        "added",
        "added",
        "not added",
    ]
    assert extpose("models", "verify", env=home).returncode == 0

    kept = tmp_path / "models" / added["model"]["file"]
    kept.write_bytes(kept.read_bytes()[:-9] + b"otherwise")
    broken = extpose("models", "verify", env=home)
    assert broken.returncode == 3
    assert "hmr2" in broken.stderr
    kept.unlink()
    (kept.parent / "stray.bin").write_text("")
    assert "stray.bin" in extpose("models", "clean", env=home).stdout
    listed = json.loads(extpose("models", "list", "--json", env=home).stdout)["models"]
    assert {row["name"] for row in listed if row["state"] == "added"} == {"tiny"}


def test_bad_checkpoints_run_nothing_add_nothing_and_exit_with_3(
    extpose: Run, home: dict[str, str], tmp_path: Path
) -> None:
    import torch

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    file = tmp_path / "epoch=35.ckpt"
    whole = TINY.read_bytes()
    for write in (
        lambda: torch.save({"state_dict": {}, "hyper_parameters": Bomb()}, file),
        lambda: file.write_bytes(whole[: len(whole) // 2]),
        file.unlink,
    ):
        write()
        result = extpose("models", "add", file, env=home)
        assert result.returncode == 3
        assert "error[bad-model]" in result.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "models").exists()


def test_a_hand_is_no_body_to_capture(
    extpose: Run, home: dict[str, str], clip: Path, tmp_path: Path
) -> None:
    pytest.importorskip("smplx", reason="needs the extra `smpl`")
    hand = write_body(tmp_path / "hand.npz", "mano")
    result = extpose("capture", clip, "--out", tmp_path / "out", *FAKE, "--body", hand, env=home)
    assert result.returncode == 3
    assert "error[bad-body]" in result.stderr
    assert not (tmp_path / "out").exists()
