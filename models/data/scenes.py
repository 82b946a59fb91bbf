"""Scenes for clips: the place, light, clothes and camera of each, and where every surface is.

A clip keeps its place, light and clothes; sometimes the person of another clip comes along.
Frames: cameras (OpenCV) and places (`surroundings.py`), metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .boxes import CropBoxes
from .clips import Clips
from .draws import Draws
from .finish import Finishes, draw_finishes
from .lighting import Lights, draw_lights
from .people import Surfaces, Wearers
from .rows import Rows
from .surroundings import Places, draw_places
from .wardrobe import Outfits

_NEAR_FLOOR_M = 0.25
"""A body whose lowest point is this near to the ground stands on it."""
_GUEST_SHARE = 0.2
"""Clips in which somebody else is there."""


@dataclass(frozen=True)
class Scenes(Rows):
    """N frames of clips; what belongs to a clip is repeated for its frames."""

    places: Places
    """Where they are."""
    lights: Lights
    """Their light."""
    outfits: Outfits
    """What the people wear."""
    finishes: Finishes
    """What the camera and the file do."""
    place_T_camera: Tensor
    """(N, 4, 4)."""
    focal_px: Tensor
    """(N,)."""
    size_wh: Tensor
    """(N, 2) of the source pictures."""
    boxes: CropBoxes
    """(N,) what is cut out of them."""
    surfaces: Surfaces
    """(N, V, 3) in the camera."""
    velocity_px: Tensor
    """(N, V, 2) how far vertices move while the shutter is open, source pixels."""
    pan_px: Tensor
    """(N, 2) how far what stands still moves in the same time, because the camera turns."""
    guest: Tensor
    """(N,) the frame whose person is there as well, -1 for none."""
    guest_shift_m: Tensor
    """(N, 3) from where that person is in their own place to where they are in this one."""

    def points_in_place(self) -> Tensor:
        """(N, V, 3) vertices in the place."""
        turn, shift = self.place_T_camera[:, :3, :3], self.place_T_camera[:, :3, 3]
        return self.surfaces.points_m @ turn.mT + shift[:, None]

    def normals_in_place(self) -> Tensor:
        """(N, V, 3) normals in the place."""
        return self.surfaces.normals @ self.place_T_camera[:, :3, :3].mT


def draw_scenes(
    draws: Draws, clips: Clips, boxes: CropBoxes, wearers: Wearers, at_once: int
) -> Scenes:
    """Draw everything that clips do not say, and pose the people.

    Args:
        draws: Random numbers.
        clips: B clips of T frames.
        boxes: (B, T) their crops.
        wearers: The bodies.
        at_once: Frames posed together.
    """
    count, frames = clips.seen.shape
    of_frame = torch.arange(count, device=draws.device).repeat_interleave(frames)
    outfits = wearers.tailor.draw_outfits(draws, count)
    finishes = draw_finishes(draws, count)
    surfaces = _pose(clips, wearers, wearers.tailor.thickness_m(outfits), of_frame, at_once)
    turn, cameras = clips.world_T_camera[..., :3, :3], clips.world_T_camera[..., :3, 3]
    people = (turn @ clips.joints_m[:, :, 0, :, None])[..., 0] + cameras
    places = draw_places(draws, people, cameras, _floor_m(clips, surfaces))
    lights = draw_lights(draws, places.outdoors)
    place_T_camera = places.place_T_world[:, None] @ clips.world_T_camera
    focal = clips.focal_px[of_frame]
    shutter = finishes.shutter[of_frame][:, None, None]
    guest, shift = _draw_guests(draws, place_T_camera[:, :, :3, 3].mean(1), frames)
    return Scenes(
        places=places.select(of_frame),
        lights=lights.select(of_frame),
        outfits=outfits.select(of_frame),
        finishes=finishes.select(of_frame),
        place_T_camera=place_T_camera.flatten(0, 1),
        focal_px=focal,
        size_wh=clips.size_wh[of_frame],
        boxes=CropBoxes(
            boxes.center_px.flatten(0, 1), boxes.side_px.flatten(), boxes.valid.flatten()
        ),
        surfaces=surfaces,
        velocity_px=_velocity(surfaces.points_m, focal, frames) * shutter,
        pan_px=_pan(clips).flatten(0, 1) * shutter[:, 0],
        guest=guest.flatten(),
        guest_shift_m=shift[of_frame],
    )


def _pose(
    clips: Clips, wearers: Wearers, thickness_m: Tensor, of_frame: Tensor, at_once: int
) -> Surfaces:
    """Surfaces of all frames, in the camera."""
    rotmat, hands = clips.rotmat.flatten(0, 1), clips.hand_rotvec.flatten(0, 1)
    transl = clips.transl_m.flatten(0, 1)
    parts = [
        wearers.pose(
            clips.betas[of_frame[i]], rotmat[i], hands[i], transl[i], thickness_m[of_frame[i]]
        )
        for i in torch.arange(len(of_frame), device=rotmat.device).split(at_once)
    ]
    return Surfaces(
        torch.cat([part.points_m for part in parts]), torch.cat([part.normals for part in parts])
    )


def _floor_m(clips: Clips, surfaces: Surfaces) -> Tensor:
    """(B,) height of the floor in the world: the ground, unless a body reaches near it or below."""
    upward, height = clips.world_T_camera[..., 2, :3], clips.world_T_camera[..., 2, 3]
    heights = (surfaces.points_m @ upward.flatten(0, 1)[..., None])[..., 0]
    lowest = (heights.amin(1) + height.flatten()).view(clips.seen.shape).amin(1)
    return torch.where(lowest.abs() < _NEAR_FLOOR_M, lowest, lowest.clamp(max=0.0))


def _velocity(points_m: Tensor, focal_px: Tensor, frames: int) -> Tensor:
    """(N, V, 2) how far vertices move from frame to frame, source pixels; 0 for single frames."""
    if frames == 1:
        return torch.zeros_like(points_m[..., :2])
    flat = points_m[..., :2] / points_m[..., 2:].clamp(min=0.05) * focal_px[:, None, None]
    velocity: Tensor = torch.gradient(flat.unflatten(0, (-1, frames)), dim=1)[0]
    return velocity.flatten(0, 1)


def _pan(clips: Clips) -> Tensor:
    """(B, T, 2) how far a place behind the person moves from frame to frame, source pixels."""
    place = 2 * clips.joints_m[:, :, :1]  # Twice as far away as the pelvis.
    turn, shift = clips.world_T_camera[..., :3, :3], clips.world_T_camera[..., :3, 3]
    in_world = place @ turn.mT + shift[:, :, None]

    def seen_from(frames: Tensor) -> Tensor:
        moved = ((in_world - shift[:, frames, None]) @ turn[:, frames])[:, :, 0]
        return moved[..., :2] / moved[..., 2:].clamp(min=0.05) * clips.focal_px[:, None, None]

    frames = torch.arange(clips.seen.shape[1], device=place.device)
    before, after = (frames - 1).clamp(min=0), (frames + 1).clamp(max=len(frames) - 1)
    steps = (after - before).clamp(min=1)[:, None]
    return (seen_from(after) - seen_from(before)) / steps


def _draw_guests(draws: Draws, cameras_m: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Who else is there (B, T), frame numbers or -1, and where (B, 3), place frame."""
    count = len(cameras_m)
    other = (
        torch.arange(count, device=draws.device) + 1 + draws.whole(max(count - 1, 1), 1)
    ) % count
    here = draws.chance(_GUEST_SHARE, count) & (count > 1)
    first = torch.where(here, other * frames, -frames)
    guest = first[:, None] + torch.arange(frames, device=draws.device)
    away = torch.nn.functional.normalize(-cameras_m[:, :2], dim=-1)
    across = torch.stack([-away[:, 1], away[:, 0]], -1)
    side = torch.where(draws.chance(0.5, count), 1.0, -1.0) * draws.uniform(
        count, low=0.35, high=2.0
    )
    back = draws.uniform(count, low=-0.3, high=3.0)
    shift = across * side[:, None] + away * back[:, None]
    shift = torch.cat([shift, torch.zeros_like(side)[:, None]], -1)
    return torch.where(here[:, None], guest, -1), shift
