"""Real walks on a made-up body, read once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from .synthetic import Walk, read_walk


@pytest.fixture(scope="session")
def walk(shared_path: Callable[[str], Path]) -> Callable[[str], Walk]:
    """A sequence of the shared motion by its key, such as `cmu_bvh/07_01`."""
    archive = shared_path("motion/motion_30fps.zip")
    return cache(lambda key: read_walk(archive, key))
