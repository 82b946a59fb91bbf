"""Pictures of made-up captures: dressed people in rooms and outdoors, cut out as a capture cuts them.

Clips ─▶ crops ─▶ places, lights, clothes ─▶ surroundings by rays, people by triangles ─▶ motion
blur ─▶ camera and file ─▶ `Pictures`, with the skeleton images of the same crops.

A batch is a function of the clips, a seed and a step; a clip keeps its place, light and clothes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from extpose_blender.engine.body.load import load_body

from .boxes import CROP_SIZE, CropBoxes, boxes_of_keypoints, skeleton_points
from .clips import Clips
from .draws import Draws
from .finish import add_noise, blur, compress, expose, smear
from .lighting import BodyShadows
from .people import Wearers, color_people
from .rasterise import rasterise
from .render_places import camera_rays, render_places
from .scenes import Scenes, draw_scenes
from .skeleton_pictures import draw_skeletons
from .textures import TextureBank
from .wardrobe import Outfits

_FIXED_POINT = 1 << 12
"""Steps of a level of light when blurred pixels are added up: whole numbers add in any order."""
_BRIGHTEST = 16.0
MEAN_RGB, STD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean colour of the pictures that the base models learned from, and its deviation, of 1."""

_STREAM = 0x70696373
"""Keeps the random numbers of pictures apart from those of clips of the same seed."""


@dataclass(frozen=True)
class PictureConfig:
    """How pictures are made."""

    size_hw: tuple[int, int] = (256, 192)
    """Height and width: 256×192 divided by a whole number."""
    supersample: int = 2
    """People are drawn this many times finer and then shrunk."""
    exposures: int = 5
    """Places at which a moving pixel is painted for motion blur."""
    frames_at_once: int = 64
    """Pictures rendered together; bounds the memory."""


@dataclass(frozen=True)
class Pictures:
    """What the network sees of B clips of T frames."""

    image: Tensor
    """(B, T, 3, H, W) uint8 RGB; black where the crop reaches beyond the frame."""
    skeleton: Tensor
    """(B, T, 3, H, W) uint8 RGB: the detector's points, drawn."""
    boxes: CropBoxes
    """(B, T) what was cut; where it is not valid, both pictures are black."""


@dataclass(frozen=True)
class _Meshes:
    """M people in N pictures."""

    points_m: Tensor
    """(M, V, 3) in the camera of their picture."""
    normals: Tensor
    """(M, V, 3) in its place."""
    lit: Tensor
    """(M, V) share of the key light that reaches them."""
    velocity_px: Tensor
    """(M, V, 2)."""
    outfits: Outfits
    picture: Tensor
    """(M,) which picture they are in."""


def normalize(pictures: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pictures (..., 3, H, W), 0 to 255, in the range that the network is trained on."""
    mean, std = (
        255 * torch.tensor(color, device=pictures.device)[:, None, None]
        for color in (MEAN_RGB, STD_RGB)
    )
    return ((pictures.float() - mean) / std).to(dtype)


class PictureMaker:
    """Makes pictures of clips.

    Args:
        config: Size and effort.
        seed: Of clothes, places, light and cameras.
        device: Where everything is made; clips must lie there.
    """

    def __init__(
        self,
        config: PictureConfig | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config or PictureConfig()
        self.seed = seed
        self.device = torch.device(device)
        self._wearers = Wearers(load_body("open"), self.device)
        self._bank = TextureBank(self.device)

    def skeletons(self, clips: Clips) -> tuple[Tensor, CropBoxes]:
        """The skeleton images alone, (B, T, 3, H, W) uint8, and their crops (B, T)."""
        boxes = boxes_of_keypoints(clips.keypoints_px)
        points = skeleton_points(clips.keypoints_px, boxes)
        points = torch.where((boxes.valid & clips.seen)[..., None, None], points, 0.0)
        drawn = draw_skeletons(points.flatten(0, 1), self.config.size_hw)
        return drawn.unflatten(0, clips.seen.shape), boxes

    @torch.no_grad()
    def make(self, clips: Clips, step: int) -> Pictures:
        """Pictures of clips; the same for the same clips, seed and step."""
        count, frames = clips.seen.shape
        skeleton, boxes = self.skeletons(clips)
        shown = boxes.valid & clips.seen
        draws = Draws(self.seed ^ _STREAM, step, self.device)
        scenes = draw_scenes(draws, clips, boxes, self._wearers, self.config.frames_at_once)
        image = torch.zeros_like(skeleton).flatten(0, 1)
        for part in shown.flatten().nonzero()[:, 0].split(self.config.frames_at_once):
            image[part] = self._render(scenes.select(part), scenes, draws.generator)
        boxes = CropBoxes(boxes.center_px, boxes.side_px, shown)
        return Pictures(image.unflatten(0, (count, frames)), skeleton, boxes)

    def _render(self, scenes: Scenes, everyone: Scenes, generator: torch.Generator) -> Tensor:
        """(N, 3, H, W) uint8 pictures of N frames; guests come from among everyone."""
        height, width = self.config.size_hw
        x, y = scenes.boxes.source_px(self.config.size_hw)
        left, top = x - scenes.size_wh[:, :1] / 2, y - scenes.size_wh[:, 1:] / 2
        rays = camera_rays(scenes.place_T_camera, scenes.focal_px, left, top)
        points = scenes.points_in_place()
        shadows = BodyShadows(points, scenes.lights.toward, scenes.lights.softness)
        around = render_places(scenes.places, scenes.lights, rays, shadows, self._bank)
        meshes = _with_guests(scenes, everyone, shadows)
        person, cover = self._people(scenes, meshes, around.depth_m)
        behind = around.color.mT.unflatten(-1, (height, width)).clamp(0, _BRIGHTEST)
        behind = blur(behind, scenes.finishes.defocus_px * (height / CROP_SIZE))
        pan = scenes.pan_px * (height / scenes.boxes.side_px)[:, None]
        behind = smear(behind, pan, self.config.exposures)
        inside = (
            _in_frame(x, scenes.size_wh[:, :1])[:, None, None]
            & _in_frame(y, scenes.size_wh[:, 1:])[:, None, :, None]
        )
        return self._finished(behind * (1 - cover) + person, scenes, inside, generator)

    def _people(
        self, scenes: Scenes, meshes: _Meshes, around_depth_m: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Light of the people (N, 3, H, W) and how much of each pixel they cover (N, 1, H, W)."""
        height, width = (self.config.supersample * side for side in self.config.size_hw)
        picture, depth = meshes.picture, meshes.points_m[..., 2]
        focal = scenes.focal_px[picture]
        boxes = scenes.boxes.select(picture)
        flat = meshes.points_m[..., :2] / depth.clamp(min=0.02)[..., None] * focal[:, None, None]
        xy = boxes.to_picture(flat + scenes.size_wh[picture, None] / 2, (height, width))
        size_hw = (height, width)
        seen = rasterise(xy, depth, self._wearers.faces, picture, len(scenes.focal_px), size_hw)
        zoom = height / boxes.side_px
        turn = scenes.place_T_camera[picture, :3, :3]
        toward = (turn @ -meshes.points_m.mean(1)[..., None])[..., 0]
        color = color_people(
            seen,
            meshes.normals,
            meshes.lit,
            self._wearers.tailor,
            meshes.outfits,
            scenes.lights.select(picture),
            torch.nn.functional.normalize(toward, dim=-1),
            seen.depth_m / (focal * zoom)[seen.mesh],
            self._bank,
        )
        velocity = seen.interpolate(meshes.velocity_px) * zoom[seen.mesh, None]
        around = around_depth_m.unflatten(1, self.config.size_hw)
        for axis in (1, 2):
            around = around.repeat_interleave(self.config.supersample, axis)
        painted = self._paint(seen.pixel, seen.depth_m, color, velocity, around)
        painted = avg_pool2d(painted, self.config.supersample)
        return painted[:, :3], painted[:, 3:]

    def _paint(
        self, pixel: Tensor, depth_m: Tensor, color: Tensor, velocity: Tensor, around: Tensor
    ) -> Tensor:
        """Lay pixels over a fine grid along their way: (N, 4, H, W), colour times cover and cover.

        Args:
            pixel: (P,) numbers of the pixels.
            depth_m: (P,).
            color: (P, 3).
            velocity: (P, 2) the way, pixels of the grid.
            around: (N, H, W) depth of what may hide them.
        """
        count, height, width = around.shape
        picture, x, y = pixel // (height * width), pixel % width, pixel // width % height
        layers = torch.cat([color.clamp(0, _BRIGHTEST), torch.ones_like(color[:, :1])], 1)
        layers = (layers * _FIXED_POINT).int()
        sums = torch.zeros((around.numel(), 4), dtype=torch.int32, device=pixel.device)
        moves = np.linspace(-0.5, 0.5, self.config.exposures).tolist()
        if not (velocity.abs() > 0.5).any():
            moves = [0.0]
        for move in moves:
            column = (x + (velocity[:, 0] * move).round()).long()
            row = (y + (velocity[:, 1] * move).round()).long()
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = ((picture * height + row) * width + column)[inside]
            free = depth_m[inside] < around.flatten()[place]
            sums.index_add_(0, place[free], layers[inside][free])
        painted = (sums.float() / (_FIXED_POINT * len(moves))).view(count, height, width, 4)
        painted = (painted / painted[..., 3:].clamp(min=1.0)).permute(0, 3, 1, 2)  # Ways may cross.
        return painted if len(moves) == 1 else _without_gaps(painted)

    def _finished(
        self, linear: Tensor, scenes: Scenes, inside: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Light as a file would hold it."""
        finishes, zoom = scenes.finishes, self.config.size_hw[0] / CROP_SIZE
        stored = expose(linear, finishes, inside)
        # A person who is small in the frame is enlarged by the crop, and so are noise and blocks.
        enlarged = (CROP_SIZE / scenes.boxes.side_px).clamp(max=6.0)
        grain = finishes.noise * enlarged.clamp(0.5, 2.0) * math.sqrt(zoom)
        stored = add_noise(stored, grain, generator)
        stored = blur(stored, (finishes.blur_px**2 + (0.35 * enlarged) ** 2).sqrt() * zoom)
        stored = compress(stored, finishes.coarseness)
        levels = (stored * 255).round().clamp(0, 255)
        return torch.where(inside, levels, 0.0).to(torch.uint8)


def _without_gaps(painted: Tensor) -> Tensor:
    """Painted pixels (N, 4, H, W) without the gaps that open where neighbours' ways part."""
    cover = painted[:, 3:]
    closed = -max_pool2d(-max_pool2d(cover, 3, 1, 1), 3, 1, 1)
    nearby = avg_pool2d(painted, 3, 1, 1)
    return painted + (closed - cover) * nearby / nearby[:, 3:].clamp(min=1e-3)


def _with_guests(scenes: Scenes, everyone: Scenes, shadows: BodyShadows) -> _Meshes:
    """The people of the frames, then those who come along; guests are out of the lamp's shadows."""
    normals = scenes.normals_in_place()
    own = torch.arange(len(normals), device=normals.device)
    hosts = (scenes.guest >= 0).nonzero()[:, 0]
    guests = everyone.select(scenes.guest[hosts])
    turn, origin = (scenes.place_T_camera[hosts, :3, part] for part in (slice(3), 3))
    there = guests.points_in_place() + (scenes.guest_shift_m[hosts] - origin)[:, None]
    lit = shadows.lit_vertices(normals)
    still = torch.zeros_like(guests.velocity_px)
    return _Meshes(
        torch.cat([scenes.surfaces.points_m, there @ turn]),
        torch.cat([normals, guests.normals_in_place()]),
        torch.cat([lit, torch.ones_like(there[..., 0])]),
        torch.cat([scenes.velocity_px, still]),
        scenes.outfits.joined(guests.outfits),
        torch.cat([own, hosts]),
    )


def _in_frame(places: Tensor, size: Tensor) -> Tensor:
    return (places >= 0) & (places < size)
