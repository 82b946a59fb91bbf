from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.clips import ClipSource
from models.data.motion import MotionBank
from models.mocap.__main__ import main as run_mocap
from models.mocap.__main__ import write_motion
from models.mocap.retarget import RetargetedMotion


def write_swinging(folder: Path, key: str, frames: int = 90, seed: int = 0) -> None:
    """A motion of slow waves in every body joint, about upright."""
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None] / 30
    rotvec = np.zeros((frames, 52, 3))
    phase = rng.uniform(0, 6, (1, 22, 3))
    rotvec[:, :22] = 0.3 * np.sin(2 * time + phase) * rng.uniform(0, 1, (1, 22, 3))
    rotvec[:, 0] = [np.pi / 2, 0, 0]
    path = np.stack([time[:, 0, 0], 0 * time[:, 0, 0], 1.0 + 0 * time[:, 0, 0]], -1)
    steady = np.ones(frames, bool)
    write_motion(
        folder / f"{key}.npz",
        RetargetedMotion(key, 30.0, rotvec.astype("f4"), path.astype("f4"), steady),
    )


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> MotionBank:
    folder = tmp_path_factory.mktemp("motion")
    for i in range(4):
        write_swinging(folder, f"made/wave_{i}", seed=i)
    return MotionBank.read(folder)


@pytest.fixture(scope="session")
def shared_motion(tmp_path_factory: pytest.TempPathFactory) -> MotionBank:
    """A few real captures; skips where the archive is not at hand."""
    archive = Path(__file__).resolve().parents[4] / "shared" / "motion"
    if not (archive / "motion_30fps.zip").exists():
        pytest.skip("needs ../shared/motion")
    folder = tmp_path_factory.mktemp("captures")
    keys = ["cmu_bvh/10_04", "cmu_bvh/13_31", "deepmimic/backflip", "m2m_addon/Pushup"]
    assert run_mocap([str(archive), "--out", str(folder), "--only", *keys]) == 0
    return MotionBank.read(folder)


@pytest.fixture(scope="session")
def source(bank: MotionBank) -> ClipSource:
    return ClipSource(bank, seed=3)
