"""A small body of tubes."""

from __future__ import annotations

import pytest

from extpose_blender.protocol.body_file import BodyGeometry

from ..tubes import tube_body


@pytest.fixture
def body() -> BodyGeometry:
    """The body of tubes."""
    return tube_body()
