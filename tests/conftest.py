"""What several test folders share: data beside the checkout, found or skipped with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_path() -> Callable[[str], Path]:
    """Path of a file below `../shared`; skips the test where it is absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"needs ../shared/{name}, which is not beside this checkout")
        return path

    return find


@pytest.fixture(scope="session")
def shared_fixture(shared_path: Callable[[str], Path]) -> Callable[[str], np.lib.npyio.NpzFile]:
    """Arrays of a file below `../shared/fixtures`; skips the test where it is absent."""

    def load(name: str) -> np.lib.npyio.NpzFile:
        return np.load(shared_path(f"fixtures/{name}"), allow_pickle=False)

    return load
