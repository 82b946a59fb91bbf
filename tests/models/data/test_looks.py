"""Clothes cover bodies, textures repeat, and files lose only what they should."""

from __future__ import annotations

import pytest
import torch

from extpose_blender.engine.body.load import load_body
from models.data.draws import Draws
from models.data.finish import add_noise, blur, compress, draw_finishes, expose, smear
from models.data.textures import KINDS, SIDE, TextureBank, texture_numbers
from models.data.wardrobe import GARMENTS, HAIR, LOWER, SHOES, SKIN, UPPER, Tailor


@pytest.fixture(scope="module")
def tailor() -> Tailor:
    return Tailor(load_body("open"))


@pytest.fixture(scope="module")
def bank() -> TextureBank:
    return TextureBank()


def _stripes(count: int = 2) -> torch.Tensor:
    columns = torch.arange(64) // 5 % 2
    return (0.2 + 0.6 * columns.float()).expand(count, 3, 64, 64).clone()


def test_every_place_wears_something_and_both_sides_the_same(tailor: Tailor) -> None:
    outfits = tailor.draw_outfits(Draws(0, 0), 30)
    places = tailor.places.expand(30, -1, -1)
    shares = tailor.coverage(outfits.cuts, places, 0.01)
    assert shares.shape == (30, len(tailor.places), GARMENTS)
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(-1), torch.ones(30, len(tailor.places)))
    mirrored = places * torch.tensor([-1.0, *[1.0] * (places.shape[-1] - 1)])
    torch.testing.assert_close(tailor.coverage(outfits.cuts, mirrored, 0.01), shares)


def test_clothes_lie_where_they_belong(tailor: Tailor) -> None:
    body = load_body("open")
    outfits = tailor.draw_outfits(Draws(1, 0), 60)
    worn = tailor.coverage(outfits.cuts, tailor.places.expand(60, -1, -1), 0.005).argmax(-1)
    assert (worn[:, body.landmarks["nose"]] == SKIN).all()
    heels = worn[:, body.landmarks["LHeel"]]
    assert 0.6 < (heels == SHOES).float().mean() < 1
    top = worn[:, body.v_template[:, 1].argmax()]
    assert 0.8 < (top == HAIR).float().mean() < 1
    joints = torch.tensor(body.joints_rest(torch.zeros(10).numpy()))
    for name, garment in (("spine3", UPPER), ("left_hip", LOWER)):
        joint = joints[body.joint_names.index(name)]
        near = (tailor.places[:, :3] - joint).norm(dim=-1).argmin()
        assert (worn[:, near] == garment).float().mean() > 0.8
    thickness = tailor.thickness_m(outfits)
    assert (thickness >= 0).all()
    assert thickness.max() < 0.1


def test_textures_repeat_and_do_not_flicker_far_away(bank: TextureBank) -> None:
    u, v = torch.rand(2, 500, generator=torch.Generator().manual_seed(0)) * 5 - 2
    texture = torch.arange(500) % bank.count
    here = bank.look_up(texture, u, v, torch.full((500,), 1 / SIDE))
    there = bank.look_up(texture, u + 3, v - 2, torch.full((500,), 1 / SIDE))
    torch.testing.assert_close(here, there, atol=5e-3, rtol=0)
    assert here.min() >= 0
    assert here.max() <= 1
    far = bank.look_up(texture, u, v, torch.full((500,), 4.0))
    assert far.std() < 0.8 * here.std()
    assert len(texture_numbers(" ".join(KINDS))) == bank.count


def test_compression_keeps_what_is_coarse() -> None:
    pictures = _stripes(3)
    none, fine, coarse = compress(pictures, torch.tensor([0.0, 0.01, 0.4]))
    assert torch.equal(none, pictures[0])
    torch.testing.assert_close(fine, pictures[1], atol=0.03, rtol=0)
    assert 0.01 < (coarse - pictures[2]).abs().mean() < 0.3


def test_blur_keeps_the_mean_and_noise_has_its_deviation() -> None:
    pictures = _stripes()
    soft = blur(pictures, torch.tensor([0.01, 2.0]))
    torch.testing.assert_close(soft[0], pictures[0])
    assert soft[1].std() < 0.8 * pictures[1].std()
    assert abs(soft[1, :, :, 8:56].mean() - 0.5) < 0.02
    noisy = add_noise(pictures, torch.tensor([0.0, 0.1]), torch.Generator().manual_seed(0))
    assert torch.equal(noisy[0], pictures[0])
    assert abs((noisy[1] - pictures[1]).std() - 0.1) < 0.01


def test_smear_spreads_along_the_way_alone() -> None:
    pictures = torch.zeros(3, 1, 33, 33)
    pictures[:, :, 16, 16] = 1.0
    ways = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 4.0]])
    none, right, down = smear(pictures, ways, 5)[:, 0]
    torch.testing.assert_close(none, pictures[0, 0])
    torch.testing.assert_close(right[16, [12, 14, 16, 18, 20]], torch.full((5,), 0.2))
    torch.testing.assert_close(down[14:19, 16], torch.full((5,), 0.2))
    assert abs(float(right.sum()) - 1) < 1e-4


def test_exposure_does_not_depend_on_how_strong_the_light_is() -> None:
    finishes = draw_finishes(Draws(3, 0), 2)
    finishes = finishes.select(torch.tensor([0, 0]))
    pictures = _stripes()
    pictures[1] *= 40
    inside = torch.ones(2, 1, 64, 64, dtype=torch.bool)
    inside[:, :, :10] = False
    pictures[0, :, :10] = 1e3
    pictures[1, :, :10] = 0.0
    first, second = expose(pictures, finishes, inside)
    torch.testing.assert_close(first[:, 10:], second[:, 10:], atol=0.05, rtol=0)
    assert first.min() >= 0
    assert first.max() <= 1
