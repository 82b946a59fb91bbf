"""Where the streams look: joints ask, and what they look at glows at its place in the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extpose_blender.engine.lift.extpose import inspect_person
from extpose_blender.engine.lift.extpose.attention_map import cross_modal_attention
from extpose_blender.engine.lift.extpose.crop import normalize
from extpose_blender.engine.lift.extpose.inspect_person import SeenPerson, look_across, see_person
from extpose_blender.engine.lift.extpose.network import ExtPose

from .networks import small_network

TOKENS, COLUMNS, PATCH_PX = 12, 3, 64
"""Of the small network: 4 rows of 3 tokens, each 64 pixels of a crop of 256 by 192."""


def standing_person() -> np.ndarray:
    """(17, 3) COCO points of somebody upright in the middle of a picture of 640 by 480."""
    x = [0, 6, -6, 12, -12, 30, -30, 40, -40, 45, -45, 20, -20, 22, -22, 23, -23]
    y = [0, -5, -5, -3, -3, 40, 40, 90, 90, 135, 135, 140, 140, 220, 220, 300, 300]
    return np.stack([np.array(x) + 320.0, np.array(y) + 100.0, np.ones(17)], axis=1)


def seen() -> SeenPerson:
    rng = np.random.default_rng(0)
    person = see_person(rng.integers(0, 256, (480, 640, 3), np.uint8), standing_person(), "coco17")
    assert person is not None
    return person


def test_skeleton_lies_on_the_person_in_the_crop() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    points = standing_person()
    for x, y, _ in points:
        image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = 255
    person = see_person(image, points, "coco17")
    assert person is not None
    marked = person.picture_rgb.min(axis=2) > 200
    assert marked.sum() > 30
    assert person.skeleton_rgb[marked].any(axis=1).mean() > 0.99


def test_nobody_is_cut_out_of_too_few_points() -> None:
    points = standing_person()
    points[3:, 2] = 0.1
    assert see_person(np.zeros((480, 640, 3), np.uint8), points, "coco17") is None


@pytest.mark.parametrize("block", [0, -1])
def test_shares_are_those_of_the_network(block: int) -> None:
    net, person = small_network(double=False), seen()
    look = look_across(net, person, block)
    streams = [
        normalize(torch.from_numpy(inspect_person._fitted(picture, 48, 64)))[None, None]
        for picture in (person.picture_rgb, person.skeleton_rgb)
    ]
    weights = cross_modal_attention(net, *streams, block).mean(dim=0)
    cells = {
        (int(y + 2 * 4 + 0.5) // PATCH_PX, int(x + 2 * 4 + 0.5) // PATCH_PX)
        for x, y, _ in person.points
    }
    ask = [row * COLUMNS + column for row, column in cells if row < 4 and column < COLUMNS]
    wanted = weights[ask, TOKENS:].sum(dim=1).mean()
    assert look.share_into_skeleton == pytest.approx(float(wanted), abs=1e-6)
    assert look.into_picture.shape == (256, 192)


@pytest.mark.parametrize("asked", [0, 7, 11])
@pytest.mark.parametrize("looked_at", [0, 4, 11])
def test_a_look_at_one_patch_glows_there(
    asked: int, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the token of the one joint looks at that patch; all others look at themselves."""
    weights = torch.eye(2 * TOKENS)
    weights[asked, :] = 0
    weights[asked, asked], weights[asked, TOKENS + looked_at] = 0.25, 0.75
    monkeypatch.setattr(inspect_person, "cross_modal_attention", lambda *_: weights[None])
    points = np.zeros((18, 3))
    row, column = divmod(asked, COLUMNS)
    points[4] = [column * PATCH_PX + 20, row * PATCH_PX + 20, 0.9]
    picture = np.zeros((256, 192, 3), np.uint8)
    person = SeenPerson(seen().box, picture, picture, points)
    look = look_across(small_network(double=False), person)
    assert look.share_into_skeleton == pytest.approx(0.75)
    assert look.share_into_picture == 0.0
    y, x = np.unravel_index(look.into_skeleton.argmax(), look.into_skeleton.shape)
    assert (y // PATCH_PX) * COLUMNS + x // PATCH_PX == looked_at
    assert look.into_skeleton.max() == pytest.approx(0.75 * 2 * TOKENS, rel=0.1)


def test_even_attention_is_one_everywhere() -> None:
    net = small_network(double=False)
    with torch.no_grad():
        for block in net.backbone.blocks:
            block.attn.qkv.weight.zero_()
            block.attn.qkv.bias.zero_()
    look = look_across(net, seen())
    np.testing.assert_allclose(look.into_skeleton, 1.0, rtol=1e-5)
    np.testing.assert_allclose(look.into_picture, 1.0, rtol=1e-5)
    assert look.share_into_picture == pytest.approx(0.5)


def test_nobody_in_sight_lets_all_tokens_ask() -> None:
    net, person = small_network(double=False), seen()
    away = SeenPerson(person.box, person.picture_rgb, person.skeleton_rgb, person.points - 9999.0)
    assert 0 < look_across(net, away).share_into_skeleton < 1
    assert isinstance(net, ExtPose)
