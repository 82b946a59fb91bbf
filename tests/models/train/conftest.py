from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.mocap.__main__ import write_motion
from models.mocap.retarget import RetargetedMotion


@pytest.fixture(scope="session")
def motion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two made-up motions, in the layout that `python -m models.mocap` writes."""
    folder = tmp_path_factory.mktemp("motion")
    for seed in range(2):
        rng = np.random.default_rng(seed)
        time = np.arange(60)[:, None, None] / 30
        rotvec = np.zeros((60, 52, 3), np.float32)
        rotvec[:, :22] = 0.4 * np.sin(3 * time + rng.uniform(0, 6, (1, 22, 3)))
        rotvec[:, 0] = [np.pi / 2, 0, 0]  # Y up to Z up.
        place = np.tile(np.array([0, 0, 1], np.float32), (60, 1))
        motion = RetargetedMotion(f"made/{seed}", 30.0, rotvec, place, np.ones(60, bool))
        write_motion(folder / "made" / f"{seed}.npz", motion)
    return folder
