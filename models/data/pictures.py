"""Pictures of made-up captures: dressed people in rooms and outdoors, cut out as a capture cuts them.

Clips ─▶ crops ─▶ places, lights, clothes ─▶ surroundings by rays, people by triangles ─▶ motion
blur ─▶ camera and file ─▶ `Pictures`, with the skeleton images of the same crops.

A batch is a function of the clips, a seed and a step; a clip keeps its place, light and clothes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from extpose_blender.engine.body.load import load_body

from .boxes import CROP_SIZE, CropBoxes, boxes_of_keypoints, skeleton_points
from .clips import Clips
from .draws import Draws
from .finish import Finishes, add_noise, blur, compress, draw_finishes, expose
from .lighting import BodyShadows, Lights, draw_lights
from .people import Surfaces, Wearers, color_people
from .rasterise import rasterise
from .render_places import camera_rays, render_places
from .skeleton_pictures import draw_skeletons
from .surroundings import Places, draw_places
from .textures import TextureBank
from .wardrobe import Outfits

_FIXED_POINT = 1 << 12
"""Steps of a level of light when blurred pixels are added up: whole numbers add in any order."""
_BRIGHTEST = 16.0
_NEAR_FLOOR_M = 0.12
"""A body whose lowest point is this near to the ground stands on it."""


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
class _Scene:
    """All that stays the same within a clip, and N frames of clips."""

    places: Places
    lights: Lights
    outfits: Outfits
    finishes: Finishes
    place_T_camera: Tensor
    focal_px: Tensor
    size_wh: Tensor
    boxes: CropBoxes
    surfaces: Surfaces
    velocity_px: Tensor
    """(N, V, 2) how far vertices move in the source picture from frame to frame."""

    def take(self, index: Tensor) -> _Scene:
        """Some of the frames."""
        surfaces = Surfaces(self.surfaces.points_m[index], self.surfaces.normals[index])
        boxes = CropBoxes(*(value[index] for value in vars(self.boxes).values()))
        parts = (self.places, self.lights, self.outfits, self.finishes)
        return _Scene(
            *(part.select(index) for part in parts),
            self.place_T_camera[index],
            self.focal_px[index],
            self.size_wh[index],
            boxes,
            surfaces,
            self.velocity_px[index],
        )


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
        draws = Draws(self.seed, step, self.device)
        scene = self._scene(draws, clips, boxes)
        image = torch.zeros_like(skeleton).flatten(0, 1)
        wanted = shown.flatten().nonzero()[:, 0]
        for part in wanted.split(self.config.frames_at_once):
            image[part] = self._render(scene.take(part), draws.generator)
        boxes = CropBoxes(boxes.center_px, boxes.side_px, shown)
        return Pictures(image.unflatten(0, (count, frames)), skeleton, boxes)

    def _scene(self, draws: Draws, clips: Clips, boxes: CropBoxes) -> _Scene:
        """Draw everything that clips do not say."""
        count, frames = clips.seen.shape
        of_frame = torch.arange(count, device=self.device).repeat_interleave(frames)
        outfits = self._wearers.tailor.draw_outfits(draws, count)
        finishes = draw_finishes(draws, count)
        surfaces = self._pose(clips, self._wearers.tailor.thickness_m(outfits), of_frame)
        world_T_camera = clips.world_T_camera
        upward, height = world_T_camera[..., 2, :3].flatten(0, 1), world_T_camera[..., 2, 3]
        lowest = (surfaces.points_m @ upward[..., None])[..., 0].amin(1) + height.flatten()
        lowest = lowest.view(count, frames).amin(1)
        floor = torch.where(lowest.abs() < _NEAR_FLOOR_M, lowest, lowest.clamp(max=0.0))
        cameras = world_T_camera[..., :3, 3]
        people = (world_T_camera[..., :3, :3] @ clips.joints_m[:, :, 0, :, None])[..., 0] + cameras
        places = draw_places(draws, people, cameras, floor)
        lights = draw_lights(draws, places.outdoors)
        focal, size = clips.focal_px[of_frame], clips.size_wh[of_frame]
        velocity = _velocity(surfaces.points_m, focal, frames)
        velocity = velocity * finishes.shutter[of_frame][:, None, None]
        return _Scene(
            *(part.select(of_frame) for part in (places, lights, outfits, finishes)),
            (places.place_T_world[:, None] @ world_T_camera).flatten(0, 1),
            focal,
            size,
            CropBoxes(*(value.flatten(0, 1) for value in vars(boxes).values())),
            surfaces,
            velocity,
        )

    def _pose(self, clips: Clips, thickness_m: Tensor, of_frame: Tensor) -> Surfaces:
        """Surfaces of all frames, in the camera."""
        rotmat, hands = clips.rotmat.flatten(0, 1), clips.hand_rotvec.flatten(0, 1)
        transl = clips.transl_m.flatten(0, 1)
        parts = [
            self._wearers.pose(
                clips.betas[of_frame[i]], rotmat[i], hands[i], transl[i], thickness_m[of_frame[i]]
            )
            for i in torch.arange(len(of_frame), device=self.device).split(
                self.config.frames_at_once
            )
        ]
        return Surfaces(
            torch.cat([part.points_m for part in parts]),
            torch.cat([part.normals for part in parts]),
        )

    def _render(self, scene: _Scene, generator: torch.Generator) -> Tensor:
        """(N, 3, H, W) uint8 pictures of N frames."""
        height, width = self.config.size_hw
        x, y = scene.boxes.source_px(self.config.size_hw)
        rays = camera_rays(
            scene.place_T_camera,
            scene.focal_px,
            x - scene.size_wh[:, :1] / 2,
            y - scene.size_wh[:, 1:] / 2,
        )
        turn, shift = scene.place_T_camera[:, :3, :3], scene.place_T_camera[:, :3, 3]
        points = scene.surfaces.points_m @ turn.mT + shift[:, None]
        shadows = BodyShadows(points, scene.lights.toward, scene.lights.softness)
        around = render_places(scene.places, scene.lights, rays, shadows, self._bank)
        toward_camera = torch.nn.functional.normalize(shift - points.mean(1), dim=-1)
        person, cover = self._people(scene, shadows.lit_vertices(), toward_camera, around.depth_m)
        behind = around.color.mT.unflatten(-1, (height, width))
        zoom = height / CROP_SIZE
        behind = blur(behind.clamp(0, _BRIGHTEST), scene.finishes.defocus_px * zoom)
        linear = behind * (1 - cover) + person
        inside = (
            _in_frame(x, scene.size_wh[:, :1])[:, None, None]
            & _in_frame(y, scene.size_wh[:, 1:])[:, None, :, None]
        )
        return self._finished(linear, scene, inside, generator)

    def _people(
        self, scene: _Scene, lit: Tensor, toward_camera: Tensor, around_depth_m: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Light of the people (N, 3, H, W) and how much of each pixel they cover (N, 1, H, W)."""
        fine_hw = tuple(self.config.supersample * side for side in self.config.size_hw)
        height, width = fine_hw[0], fine_hw[1]
        points, count = scene.surfaces.points_m, len(scene.focal_px)
        depth = points[..., 2]
        flat = points[..., :2] / depth.clamp(min=0.02)[..., None] * scene.focal_px[:, None, None]
        xy = scene.boxes.to_picture(flat + scene.size_wh[:, None] / 2, (height, width))
        own = torch.arange(count, device=self.device)
        seen = rasterise(xy, depth, self._wearers.faces, own, count, (height, width))
        zoom = CROP_SIZE / scene.boxes.side_px * (height / CROP_SIZE)
        footprint = seen.depth_m / (scene.focal_px * zoom)[seen.mesh]
        normals = scene.surfaces.normals @ scene.place_T_camera[:, :3, :3].mT
        color = color_people(
            seen, normals, lit, self._wearers.tailor, scene.outfits, scene.lights,
            toward_camera, footprint, self._bank,
        )  # fmt: skip
        velocity = seen.interpolate(scene.velocity_px) * zoom[seen.mesh, None]
        around = around_depth_m.unflatten(1, self.config.size_hw)
        for axis in (1, 2):
            around = around.repeat_interleave(self.config.supersample, axis)
        painted = self._paint(seen.pixel, seen.depth_m, color, velocity, around)
        painted = avg_pool2d(painted.permute(0, 3, 1, 2), self.config.supersample)
        return painted[:, :3], painted[:, 3:]

    def _paint(
        self, pixel: Tensor, depth_m: Tensor, color: Tensor, velocity: Tensor, around: Tensor
    ) -> Tensor:
        """Lay pixels over a fine grid along their way: (N, H, W, 4), colour times cover and cover.

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
        moves = torch.linspace(-0.5, 0.5, self.config.exposures).tolist()
        if not (velocity.abs() > 0.5).any():
            moves = [0.0]
        for move in moves:
            column = (x + (velocity[:, 0] * move).round()).long()
            row = (y + (velocity[:, 1] * move).round()).long()
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = ((picture * height + row) * width + column)[inside]
            free = depth_m[inside] < around.flatten()[place]
            sums.index_add_(0, place[free], layers[inside][free])
        painted = sums.float() / (_FIXED_POINT * len(moves))
        return painted.view(count, height, width, 4)

    def _finished(
        self, linear: Tensor, scene: _Scene, inside: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Light as a file would hold it."""
        finishes, zoom = scene.finishes, self.config.size_hw[0] / CROP_SIZE
        stored = expose(linear, finishes, inside)
        # A person who is small in the frame is enlarged by the crop, and so are noise and blocks.
        enlarged = (CROP_SIZE / scene.boxes.side_px).clamp(max=6.0)
        stored = add_noise(stored, finishes.noise * enlarged.clamp(min=0.5), generator)
        stored = blur(stored, (finishes.blur_px**2 + (0.35 * enlarged) ** 2).sqrt() * zoom)
        stored = compress(stored, finishes.coarseness)
        levels = (stored * 255).round().clamp(0, 255)
        return torch.where(inside, levels, 0.0).to(torch.uint8)


def _velocity(points_m: Tensor, focal_px: Tensor, frames: int) -> Tensor:
    """(N, V, 2) how far vertices move from frame to frame, source pixels; 0 for single frames."""
    if frames == 1:
        return torch.zeros_like(points_m[..., :2])
    flat = points_m[..., :2] / points_m[..., 2:].clamp(min=0.05) * focal_px[:, None, None]
    flat = flat.unflatten(0, (-1, frames))
    (velocity,) = torch.gradient(flat, dim=1)
    return velocity.flatten(0, 1)


def _in_frame(places: Tensor, size: Tensor) -> Tensor:
    return (places >= 0) & (places < size)
