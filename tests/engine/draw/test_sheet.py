"""Sheets: panels keep their pixels, tags stay inside, heat shows where it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from extpose_blender.engine.draw import sheet
from extpose_blender.protocol.errors import BadShape


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def test_panels_are_arranged_without_loss() -> None:
    panels = [noise(40, 60, 1), noise(70, 20, 2), noise(10, 200, 3)]
    whole = sheet.arrange([panels[:2], panels[2:]])
    for panel in panels:
        found = cv2.matchTemplate(whole, panel, cv2.TM_SQDIFF_NORMED)
        y, x = np.unravel_index(found.argmin(), found.shape)
        np.testing.assert_array_equal(whole[y:, x:][: panel.shape[0], : panel.shape[1]], panel)


def test_captions_leave_the_picture_alone_however_long() -> None:
    image = noise(30, 50)
    out = sheet.captioned(image, ["a caption that is far too long for so small a picture", "b"])
    assert out.shape[1] == 50
    np.testing.assert_array_equal(out[-30:], image)
    assert len(np.unique(out[:-30])) > 3, "something is written"


@pytest.mark.parametrize("xy", [(-500.0, -500.0), (500.0, 500.0), (60.0, 60.0), (1.0, 119.0)])
def test_tags_are_wholly_inside(xy: tuple[float, float]) -> None:
    image = np.zeros((120, 120, 3), np.uint8)
    sheet.tag(image, "12", xy, (10, 200, 30))
    middle = np.zeros((120, 120, 3), np.uint8)
    sheet.tag(middle, "12", (60.0, 60.0), (10, 200, 30))
    assert (image == (10, 200, 30)).all(axis=2).sum() == (middle == (10, 200, 30)).all(axis=2).sum()


def test_heat_glows_where_it_is_and_dims_the_rest() -> None:
    image, heat = np.full((64, 48, 3), 200, np.uint8), np.zeros((64, 48))
    heat[20:30, 10:20] = 5.0
    out = sheet.heat_over(image, heat).astype(int)
    assert out[40:].max() <= 121
    assert np.abs(np.diff(out[25, 15])).max() > 10, "a colour, no grey"
    even = sheet.heat_over(image, np.full((64, 48), 7.0))
    assert even[25, 15].sum() < out[25, 15].sum(), "attention without a peak shows none"
    with pytest.raises(BadShape):
        sheet.heat_over(image, heat[:10])


def test_pictures_fit_and_keep_their_shape() -> None:
    assert sheet.fit_picture(noise(100, 50), 200, 80).shape == (80, 40, 3)
    assert sheet.fit_picture(noise(1, 3000), 200, 80).shape == (1, 200, 3)


def test_png_holds_the_picture() -> None:
    image = noise(9, 7)
    back = cv2.imdecode(np.frombuffer(sheet.as_png(image), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(cv2.cvtColor(back, cv2.COLOR_BGR2RGB), image)
