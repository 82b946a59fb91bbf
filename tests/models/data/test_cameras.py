"""Cameras stay in their ranges, show people, and move only when they are meant to."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.data.cameras import SIZES_WH, CameraConfig, Cameras, draw_cameras
from models.data.draws import Draws

COUNT, FRAMES = 400, 12


def drawn(config: CameraConfig, step: int = 0) -> tuple[Cameras, torch.Tensor]:
    times = torch.arange(FRAMES)[None].expand(COUNT, -1) / 25.0
    path = torch.stack([times, 0 * times, 0.9 + 0 * times], -1)
    return draw_cameras(Draws(0, step), config, path, torch.full((COUNT,), 1.7), times), path


def test_cameras_are_rigid_above_ground_and_within_their_ranges() -> None:
    config = CameraConfig(handheld_share=0.0)
    cameras, path = drawn(config)
    turn = cameras.world_T_camera[..., :3, :3]
    eye = torch.eye(3).expand_as(turn)
    torch.testing.assert_close(turn @ turn.mT, eye, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(COUNT, FRAMES), atol=1e-5, rtol=0)
    place = cameras.world_T_camera[..., :3, 3]
    assert place[..., 2].min() >= config.lowest_m - 1e-6
    film = 36 * cameras.focal_px / cameras.size_wh.amax(-1)
    assert film.min() >= config.focal_mm[0] - 1e-3 and film.max() <= config.focal_mm[1] + 1e-3
    assert {tuple(map(int, size)) for size in cameras.size_wh} <= set(SIZES_WH)
    assert (place[:, 0] - path[:, 0]).norm(dim=-1).min() > 0.5


def test_people_are_in_the_picture_at_some_time_and_some_are_cut_off() -> None:
    cameras, path = drawn(CameraConfig())
    body = torch.stack([path + torch.tensor([0.0, 0.0, z]) for z in (-0.9, 0.0, 0.55)], 2)
    pixels = cameras.project(cameras.see(body))
    inside = ((pixels > 0) & (pixels < cameras.size_wh[:, None, None])).all(-1)
    assert inside.any(2).any(1).float().mean() > 0.97
    whole = inside.all(2).any(1).float().mean()
    assert 0.3 < whole < 0.85


def test_a_level_static_camera_is_level_and_static() -> None:
    config = CameraConfig(
        roll_deg=0, tilted_share=0, panning_share=0, handheld_share=0, steep_share=0
    )
    cameras, _ = drawn(config, 1)
    torch.testing.assert_close(
        cameras.world_T_camera, cameras.world_T_camera[:, :1].expand(-1, FRAMES, -1, -1)
    )
    # The middle column of the picture is vertical in the world: its right axis is level there.
    off_centre = cameras.world_T_camera[:, 0, 2, 0].abs()
    assert off_centre.median() < 0.05
    assert (cameras.world_T_camera[:, 0, 2, 1] < 0).all()  # Down is down.


def test_nobody_gets_past_the_camera() -> None:
    times = torch.arange(30)[None].expand(COUNT, -1) / 10.0
    path = torch.stack([3 * times, 0 * times, 0.9 + 0 * times], -1)  # 9 m
    config = CameraConfig(handheld_share=0)
    cameras = draw_cameras(Draws(0, 5), config, path, torch.full((COUNT,), 1.7), times)
    depth = cameras.see(path[:, :, None])[..., 2]
    assert (depth.amin((1, 2)) > 0.8 * config.nearest_m).float().mean() > 0.99
    assert depth.min() > 0.3


@pytest.mark.parametrize(("share", "moves"), [(0.0, False), (1.0, True)])
def test_handheld_cameras_tremble(share: float, moves: bool) -> None:
    config = replace(CameraConfig(), panning_share=0.0, handheld_share=share)
    turn = drawn(config)[0].world_T_camera[..., :3, :3]
    change = (turn[:, 1:] - turn[:, :-1]).abs().amax((1, 2, 3))
    assert bool((change > 1e-5).all()) == moves


def test_panning_keeps_a_walker_nearer_to_where_he_was() -> None:
    spread = []
    for share in (0.0, 1.0):
        config = replace(CameraConfig(), panning_share=share, handheld_share=0.0)
        cameras, path = drawn(config, 2)
        pixels = cameras.project(cameras.see(path[:, :, None]))[:, :, 0]
        spread.append((pixels[:, -1] - pixels[:, 0]).norm(dim=-1) / cameras.focal_px)
    assert spread[1].median() < 0.5 * spread[0].median()
