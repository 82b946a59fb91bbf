"""Footage behind the camera: sequences are found whatever their first number is."""

from __future__ import annotations

from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy wheel")

from extpose_blender.addon.background import open_footage  # noqa: E402
from tests.addon.scene_checks import empty_file  # noqa: E402


def write_pictures(folder: Path, numbers: list[int]) -> Path:
    for number in numbers:
        image = bpy.data.images.new("picture", 40, 30)
        image.filepath_raw = str(folder / f"shot_{number:04}.png")
        image.file_format = "PNG"
        image.save()
        bpy.data.images.remove(image)
    return folder


@pytest.mark.parametrize("numbers", [[1, 2, 3], [10, 11, 13]], ids=str)
@pytest.mark.parametrize("named_by", ["folder", "pattern"])
def test_a_sequence_is_found(tmp_path: Path, numbers: list[int], named_by: str) -> None:
    empty_file()
    folder = write_pictures(tmp_path, numbers)
    footage = open_footage(folder if named_by == "folder" else folder / "shot_####.png")
    assert footage is not None
    assert (footage.width, footage.height) == (40, 30)
    assert list(footage.numbers) == numbers
    assert footage.image.source == "SEQUENCE"


def test_what_is_no_picture_is_no_footage(tmp_path: Path) -> None:
    empty_file()
    (tmp_path / "clip.mp4").write_text("no video")
    assert open_footage(tmp_path / "clip.mp4") is None
    assert open_footage(tmp_path / "gone.mp4") is None
    assert open_footage(tmp_path) is None
