"""The angle of view comes from the user, else the file, else a typical camera."""

from __future__ import annotations

from pathlib import Path

import pytest

from extpose_blender.engine.refine.intrinsics import choose_intrinsics
from extpose_blender.protocol.flow import ClipInfo


def _clip(width: int, height: int, focal_35mm: float | None = None) -> ClipInfo:
    return ClipInfo(Path("a.mp4"), width, height, 30.0, 10, 0.3, focal_35mm=focal_35mm)


def test_a_given_angle_is_across_the_width() -> None:
    camera = choose_intrinsics(_clip(1000, 500, 28.0), 90.0)
    assert camera.source == "given"
    assert camera.focal_px == pytest.approx(500.0)


def test_metadata_is_by_the_diagonal_of_film() -> None:
    camera = choose_intrinsics(_clip(3600, 2400, 50.0))
    assert camera.source == "metadata"
    assert camera.focal_px == pytest.approx(50.0 / 36.0 * 3600, rel=1e-3)


def test_an_assumed_camera_does_not_depend_on_how_it_is_held() -> None:
    wide, tall = choose_intrinsics(_clip(1920, 1080)), choose_intrinsics(_clip(1080, 1920))
    assert wide.source == tall.source == "assumed"
    assert wide.focal_px == tall.focal_px
    assert 0.6 < wide.focal_px / 1920 < 1.2


def test_useless_metadata_is_passed_over() -> None:
    assert choose_intrinsics(_clip(640, 480, 0.0)).source == "assumed"
