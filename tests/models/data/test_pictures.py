"""Pictures repeat from seed and step, and show the people where the clips have them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.lift.extpose import crop
from models.data.boxes import CropBoxes, boxes_of_keypoints
from models.data.clips import Clips, ClipSource
from models.data.draws import Draws
from models.data.lighting import BodyShadows
from models.data.people import Wearers
from models.data.pictures import PictureConfig, PictureMaker, normalize
from models.data.rasterise import rasterise
from models.data.render_places import camera_rays, render_places
from models.data.scenes import Scenes, draw_scenes
from models.data.surroundings import draw_places
from models.data.textures import TextureBank

_SMALL = PictureConfig(size_hw=(128, 96), frames_at_once=16)


@pytest.fixture(scope="module")
def maker() -> PictureMaker:
    return PictureMaker(_SMALL, seed=4)


@pytest.fixture(scope="module")
def clips(source: ClipSource) -> Clips:
    """Clips in which everybody is seen."""
    clips = source.batch(3, 4, 2)
    points = torch.cat([clips.true_px, torch.ones_like(clips.true_px[..., :1])], -1)
    return replace(clips, keypoints_px=points, seen=torch.ones_like(clips.seen))


@pytest.fixture(scope="module")
def wearers() -> Wearers:
    return Wearers(load_body("open"))


@pytest.fixture(scope="module")
def scenes(source: ClipSource, wearers: Wearers) -> Scenes:
    clips = source.batch(7, 12, 1)
    boxes = boxes_of_keypoints(clips.keypoints_px)
    return draw_scenes(Draws(1, 1), clips, boxes, wearers, 16)


def test_a_batch_is_a_function_of_clips_seed_and_step(maker: PictureMaker, clips: Clips) -> None:
    once = maker.make(clips, 3)
    fresh = PictureMaker(_SMALL, seed=4).make(clips, 3)
    assert torch.equal(once.image, fresh.image)
    assert torch.equal(once.skeleton, fresh.skeleton)
    other = maker.make(clips, 4)
    assert not torch.equal(once.image, other.image)
    assert torch.equal(once.skeleton, other.skeleton)


def test_everything_is_made_where_the_clips_are(maker: PictureMaker, clips: Clips) -> None:
    expected = maker.make(clips, 0)
    with torch.device("meta"):  # What forgets its device ends there, and mixing them is an error.
        made = maker.make(clips, 0)
    assert torch.equal(made.image, expected.image)
    assert torch.equal(made.skeleton, expected.skeleton)


def test_normalized_as_in_a_capture() -> None:
    pictures = torch.randint(256, (2, 3, 8, 6), dtype=torch.uint8)
    expected = crop.normalize(pictures.permute(0, 2, 3, 1))
    torch.testing.assert_close(normalize(pictures), expected)


def test_what_stands_still_moves_with_a_panning_camera(source: ClipSource) -> None:
    clips = source.batch(3, 4, 5)
    clips = replace(clips, world_T_camera=clips.world_T_camera[:, :1].repeat(1, 5, 1, 1))
    boxes = boxes_of_keypoints(clips.keypoints_px)
    wearers = Wearers(load_body("open"))
    still = draw_scenes(Draws(0, 0), clips, boxes, wearers, 16)
    assert still.pan_px.abs().max() < 1e-3 * clips.size_wh.max()
    assert still.velocity_px.abs().max() > 0.1
    angle = 0.02 * torch.arange(5)
    turned = clips.world_T_camera.clone()
    turn = torch.eye(3).repeat(5, 1, 1)
    turn[:, 0, 0] = turn[:, 2, 2] = angle.cos()
    turn[:, 0, 2], turn[:, 2, 0] = angle.sin(), -angle.sin()
    turned[..., :3, :3] = turned[..., :3, :3] @ turn
    panned = draw_scenes(Draws(0, 0), replace(clips, world_T_camera=turned), boxes, wearers, 16)
    shutter = panned.finishes.shutter
    across = panned.pan_px[:, 0] / panned.focal_px
    assert (across <= 0).all()  # The camera turns right, everything moves left.
    assert (across[shutter > 0] < -0.015 * shutter[shutter > 0]).all()


def test_pictures_are_full_of_light_and_detail(maker: PictureMaker, clips: Clips) -> None:
    made = maker.make(clips, 0)
    assert made.image.shape == made.skeleton.shape == (4, 2, 3, 128, 96)
    assert made.image.dtype == torch.uint8
    for picture in made.image[made.boxes.valid].float():
        assert 5 < picture[picture > 0].mean() < 250
        assert picture.std() > 8


def test_who_is_not_seen_gives_black_pictures(maker: PictureMaker, clips: Clips) -> None:
    seen = torch.ones_like(clips.seen)
    seen[1, 0] = False
    points = clips.keypoints_px.clone()
    points[2, 1, :, 2] = 0.1
    made = maker.make(replace(clips, seen=seen, keypoints_px=points), 0)
    for blank in ((1, 0), (2, 1)):
        assert not made.boxes.valid[blank]
        assert not made.image[blank].any()
        assert not made.skeleton[blank].any()
    assert made.image[0, 0].any()


def test_how_many_are_rendered_at_once_changes_nothing(maker: PictureMaker, clips: Clips) -> None:
    few = PictureMaker(replace(_SMALL, frames_at_once=2), seed=4).make(clips, 0)
    many = maker.make(clips, 0)
    off = (few.image.float() - many.image.float()).abs()
    assert (off > 2).float().mean() < 1e-3


def test_black_where_the_crop_reaches_beyond_the_frame(maker: PictureMaker, clips: Clips) -> None:
    points = clips.keypoints_px.clone()
    points[..., :2] += clips.size_wh[:, None, None] * 20
    made = maker.make(replace(clips, keypoints_px=points), 0)
    assert made.boxes.valid.all()
    assert not made.image.any()


def test_to_picture_undoes_source_px() -> None:
    boxes = CropBoxes(
        torch.tensor([[300.0, 210.5], [50.0, 900.0]]),
        torch.tensor([77.0, 801.0]),
        torch.ones(2) > 0,
    )
    x, y = boxes.source_px((128, 96))
    back = boxes.to_picture(torch.stack([x, y[:, :96]], -1), (128, 96))
    middles = torch.arange(96) + 0.5
    torch.testing.assert_close(back[..., 0], middles.expand(2, -1), atol=2e-3, rtol=0)
    torch.testing.assert_close(back[..., 1], middles.expand(2, -1), atol=2e-3, rtol=0)


def test_rays_and_triangles_agree(scenes: Scenes, wearers: Wearers) -> None:
    size_hw = (64, 48)
    x, y = scenes.boxes.source_px(size_hw)
    half = scenes.size_wh / 2
    rays = camera_rays(scenes.place_T_camera, scenes.focal_px, x - half[:, :1], y - half[:, 1:])
    points = scenes.surfaces.points_m
    flat = points[..., :2] / points[..., 2:].clamp(min=0.02) * scenes.focal_px[:, None, None]
    xy = scenes.boxes.to_picture(flat + half[:, None], size_hw)
    own = torch.arange(len(xy))
    seen = rasterise(xy, points[..., 2], wearers.faces, own, len(xy), size_hw)
    assert len(seen.pixel) > 2000
    direction = rays.direction.flatten(0, 1)[seen.pixel]
    by_ray = rays.origin[seen.mesh] + seen.depth_m[:, None] * direction
    by_triangle = seen.interpolate(scenes.points_in_place())
    torch.testing.assert_close(by_ray, by_triangle, atol=2e-3, rtol=1e-3)


def test_people_stand_on_the_floor_within_their_place(scenes: Scenes) -> None:
    points = scenes.points_in_place()
    cameras = scenes.place_T_camera[:, :3, 3]
    low, high = scenes.places.low_m, scenes.places.high_m
    assert (points.amin(1)[:, 2] > -1e-3).all()
    assert (cameras > low).all()
    assert (cameras < high).all()
    assert (points[..., :2].amin(1) > low[:, :2] - 0.3).all()
    assert (points[..., :2].amax(1) < high[:, :2] + 0.3).all()


def test_many_who_sit_have_a_seat_and_nobody_who_stands() -> None:
    people = torch.zeros(200, 3, 3)
    people[:100, :, 2], people[100:, :, 2] = 0.5, 0.9
    cameras = torch.tensor([0.0, -4.0, 1.5]).expand(200, 3, 3)
    places = draw_places(Draws(0, 0), people, cameras, torch.zeros(200))
    below = places.centers_m[..., :2].norm(dim=-1) < 0.01
    tops = (places.centers_m + places.halves_m)[..., 2]
    seated = below & (tops > 0.3) & (tops < 0.5)
    assert 40 <= seated[:100].any(1).sum() <= 80
    assert not (below & (tops > 0)).any(1)[100:].any()


def test_things_seldom_hide_the_person(source: ClipSource, wearers: Wearers) -> None:
    clips = source.batch(1, 60, 1)
    boxes = boxes_of_keypoints(clips.keypoints_px)
    scenes = draw_scenes(Draws(2, 0), clips, boxes, wearers, 16)
    joints = clips.joints_m[:, 0, :22]
    turn, origin = scenes.place_T_camera[:, :3, :3], scenes.place_T_camera[:, :3, 3]
    around = _towards(scenes, joints @ turn.mT / joints[..., 2:], origin)
    hidden = around < joints[..., 2] - 0.25
    assert hidden.float().mean() < 0.15
    assert hidden.any()


def _towards(scenes: Scenes, directions: torch.Tensor, origin: torch.Tensor) -> torch.Tensor:
    """Depth of the place along rays (N, P, 3)."""
    rays = camera_rays(
        scenes.place_T_camera,
        scenes.focal_px,
        torch.zeros(len(origin), 2),
        torch.zeros(len(origin), 2),
    )
    points = scenes.points_in_place()
    shadows = BodyShadows(points, scenes.lights.toward, scenes.lights.softness)
    rays = replace(rays, direction=directions)
    return render_places(scenes.places, scenes.lights, rays, shadows, TextureBank()).depth_m


def test_bodies_throw_shadows_where_they_stand(scenes: Scenes) -> None:
    points = scenes.points_in_place()
    toward = scenes.lights.toward
    shadows = BodyShadows(points, toward, torch.zeros(len(points)))
    on_floor = points - toward[:, None] * (points[..., 2:] / toward[:, None, 2:])
    near = (on_floor - points.mean(1, keepdim=True)).norm(dim=-1) < 1.3
    assert shadows.lit_places(on_floor)[near].mean() < 0.35
    assert shadows.lit_places(on_floor + torch.tensor([9.0, 0, 0])).min() == 1.0


def test_fingers_and_clothes_are_on_the_body(clips: Clips, wearers: Wearers) -> None:
    rotmat, hands = clips.rotmat.flatten(0, 1), clips.hand_rotvec.flatten(0, 1)
    betas, transl = clips.betas.repeat_interleave(2, 0), clips.transl_m.flatten(0, 1)
    outfits = wearers.tailor.draw_outfits(Draws(0, 0), len(rotmat))
    thickness = wearers.tailor.thickness_m(outfits)
    bare = wearers.pose(betas, rotmat, hands, transl, torch.zeros_like(thickness))
    dressed = wearers.pose(betas, rotmat, hands, transl, thickness)
    out = ((dressed.points_m - bare.points_m) * bare.normals).sum(-1)
    torch.testing.assert_close(out, thickness, atol=1e-4, rtol=0)
    joints = clips.joints_m.flatten(0, 1)
    away = torch.cdist(joints, bare.points_m).amin(-1)
    assert (away < 0.16).all()
    torch.testing.assert_close(bare.normals.norm(dim=-1), torch.ones_like(thickness))
    opened = wearers.pose(betas, rotmat, torch.zeros_like(hands), transl, thickness * 0)
    moved = (opened.points_m - bare.points_m).norm(dim=-1).amax(1)
    assert (moved > 1e-3).all()
