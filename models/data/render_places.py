"""Pictures of places: a ray for each pixel against the shell and the things in it.

Frame: the place's own (`surroundings.py`), Z up, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .lighting import BodyShadows, Lights, shade
from .surroundings import BOXES, HUNG, SHELL, SKY_M, Places
from .textures import TextureBank

_NEAREST_M = 0.15
"""Things nearer than this are not seen."""
_FOG_M = 90.0
"""Distance outdoors after which two thirds of a colour are the sky's."""


@dataclass(frozen=True)
class Rays:
    """One ray for each of P pixels of N pictures, place frame."""

    origin: Tensor
    """(N, 3) the cameras."""
    direction: Tensor
    """(N, P, 3), of length 1 along the camera's axis: a factor on it is a depth."""
    pixel_m: Tensor
    """(N,) size of a pixel at one metre's depth."""


@dataclass(frozen=True)
class PlacePictures:
    """What is seen of N places."""

    color: Tensor
    """(N, P, 3) linear."""
    depth_m: Tensor
    """(N, P)."""


def camera_rays(place_T_camera: Tensor, focal_px: Tensor, x: Tensor, y: Tensor) -> Rays:
    """The rays through a grid of pixels.

    Args:
        place_T_camera: (N, 4, 4).
        focal_px: (N,).
        x: (N, W) columns of the grid, from the principal point.
        y: (N, H) rows.
    """
    shape = (len(x), y.shape[1], x.shape[1])
    flat = torch.stack(
        [
            x[:, None].expand(shape),
            y[:, :, None].expand(shape),
            focal_px[:, None, None].expand(shape),
        ],
        -1,
    )
    flat = flat.flatten(1, 2) / focal_px[:, None, None]
    direction = flat @ place_T_camera[:, :3, :3].mT
    step = (x[:, 1] - x[:, 0]) / focal_px if x.shape[1] > 1 else 1 / focal_px
    return Rays(place_T_camera[:, :3, 3], direction, step)


def render_places(
    places: Places, lights: Lights, rays: Rays, shadows: BodyShadows, bank: TextureBank
) -> PlacePictures:
    """Render places without the people, whose shadows are there.

    Args:
        places: N places, one for each picture.
        lights: Their light.
        rays: N pictures' rays.
        shadows: Of N bodies.
        bank: Textures.
    """
    depth, surface = _nearest(places, rays)
    points = rays.origin[:, None] + depth[..., None] * rays.direction
    u, v, normal = _on_surface(places, surface, points, rays)
    looks = places.surfaces
    scale = looks.scale.gather(1, surface)
    footprint = depth * rays.pixel_m[:, None] * scale
    texture = looks.texture.gather(1, surface)
    is_sky = places.outdoors[:, None] & (surface < SHELL) & (surface != 4)
    texture = torch.where(is_sky, looks.texture[:, 5:6], texture)
    texel = bank.look_up(texture, u * scale, v * scale, torch.where(is_sky, 0.0, footprint))
    dark, light = (_rows(colors, surface) for colors in (looks.dark, looks.light))
    color = dark + (light - dark) * texel
    lit = shadows.lit_places(points)
    arriving = shade(lights.select((slice(None), None)), normal, lit)
    corner = _corner_darkness(places, points, surface)
    color = color * arriving * corner[..., None]
    return PlacePictures(_with_sky(places, lights, rays, color, texel, depth, is_sky), depth)


def _nearest(places: Places, rays: Rays) -> tuple[Tensor, Tensor]:
    """Depth (N, P) and number of the surface that each ray meets first."""
    direction = torch.where(rays.direction.abs() < 1e-6, 1e-6, rays.direction)
    origin = rays.origin[:, None]
    walls = torch.where(direction > 0, places.high_m[:, None], places.low_m[:, None])
    depth, axis = ((walls - origin) / direction).min(-1)
    ahead = (direction.gather(-1, axis[..., None])[..., 0] > 0).long()
    surface = 2 * axis + ahead
    x, y, z = (part.contiguous() for part in direction.unbind(-1))
    starts = _unturned(origin - places.centers_m, places.turns)  # (N, things, 3)
    for k in range(places.centers_m.shape[1]):
        cosine, sine = places.turns[:, k, None].unbind(-1)
        along = (cosine * x + sine * y, cosine * y - sine * x, z)
        meet = _meet_box if k < BOXES else _meet_ball
        first, met = meet(starts[:, k, None], along, places.halves_m[:, k, None])
        met &= (first > _NEAREST_M) & (first < depth)
        depth = torch.where(met, first, depth)
        surface = torch.where(met, SHELL + k, surface)
    return depth, surface


def _meet_box(start: Tensor, along: tuple[Tensor, ...], half: Tensor) -> tuple[Tensor, Tensor]:
    """Where rays enter a box about zero, and whether they do.

    Args:
        start: (N, 1, 3).
        along: x, y and z of the directions, each (N, P).
        half: (N, 1, 3) half its size.
    """
    enter, leave = [], []
    for axis, part in enumerate(along):
        inverse = 1 / torch.where(part.abs() < 1e-6, 1e-6, part)
        here, reach = -start[..., axis] * inverse, half[..., axis] * inverse.abs()
        enter.append(here - reach)
        leave.append(here + reach)
    first = torch.maximum(torch.maximum(enter[0], enter[1]), enter[2])
    last = torch.minimum(torch.minimum(leave[0], leave[1]), leave[2])
    return first, first < last


def _meet_ball(start: Tensor, along: tuple[Tensor, ...], half: Tensor) -> tuple[Tensor, Tensor]:
    """The same for an ellipsoid."""
    start = start / half
    scaled = [part / half[..., axis] for axis, part in enumerate(along)]
    x, y, z = scaled
    square = x * x + y * y + z * z
    product = x * start[..., 0] + y * start[..., 1] + z * start[..., 2]
    root = product * product - square * ((start * start).sum(-1) - 1)
    return (-product - root.clamp(min=0).sqrt()) / square, root > 0


def _unturned(vectors: Tensor, turn: Tensor) -> Tensor:
    """Vectors (..., 3) turned back about the vertical by cosines and sines (..., 2)."""
    x, y, z = vectors.unbind(-1)
    cosine, sine = turn.unbind(-1)
    x, y = torch.broadcast_tensors(cosine * x + sine * y, cosine * y - sine * x)
    return torch.stack([x, y, z.expand_as(x)], -1)


def _on_surface(
    places: Places, surface: Tensor, points: Tensor, rays: Rays
) -> tuple[Tensor, Tensor, Tensor]:
    """Texture place u, v (N, P), metres, and normals (N, P, 3) at the points that were met."""
    shell = surface < SHELL
    thing = (surface - SHELL).clamp(min=0)
    turn = _rows(places.turns, thing)
    local = _unturned(points - _rows(places.centers_m, thing), turn)
    half = _rows(places.halves_m, thing)
    share = local / half
    box_axis = share.abs().argmax(-1)
    axis = torch.where(shell, surface // 2, box_axis)
    is_ball = surface >= SHELL + BOXES
    straight = torch.nn.functional.one_hot(axis, 3).to(points.dtype)
    inward = 1 - 2 * (surface % 2).to(points.dtype)
    normal = torch.where(shell[..., None], straight * inward[..., None], straight * share.sign())
    round_normal = share / half
    round_normal = round_normal / round_normal.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    normal = torch.where(is_ball[..., None], round_normal, normal)
    back = turn * torch.tensor([1.0, -1.0], device=turn.device)
    normal = torch.where(shell[..., None], normal, _unturned(normal, back))
    hung = (surface >= SHELL) & (surface < SHELL + HUNG) & (places.outdoors[:, None] == 0)
    place = torch.where(shell[..., None], points, torch.where(hung[..., None], 0.5 * share, local))
    x, y, z = place.unbind(-1)
    level = (axis == 2) & ~is_ball
    u = torch.where(is_ball, x + 0.7 * y, torch.where((axis == 0), y, x))
    v = torch.where(level, y, -z)
    is_sky = places.outdoors[:, None] & shell & (surface != 4)
    height = rays.direction[..., 2] / rays.direction[..., :2].norm(dim=-1).clamp(min=1e-3)
    around = torch.atan2(rays.direction[..., 1], rays.direction[..., 0])
    u = torch.where(is_sky, 0.6 * around, u)
    v = torch.where(is_sky, -height.clamp(-3, 3), v)
    return u, v, normal


def _corner_darkness(places: Places, points: Tensor, surface: Tensor) -> Tensor:
    """(N, P): 1, less near the edges of a room and where a thing meets the floor."""
    to_walls = torch.minimum(points - places.low_m[:, None], places.high_m[:, None] - points)
    shadowed = 1 - 0.35 * torch.exp(-to_walls.clamp(min=0) / 0.35)
    own = torch.nn.functional.one_hot((surface // 2).clamp(max=2), 3).bool()
    own &= (surface < SHELL)[..., None]
    return torch.where(own, 1.0, shadowed).prod(-1)


def _with_sky(
    places: Places,
    lights: Lights,
    rays: Rays,
    color: Tensor,
    texel: Tensor,
    depth: Tensor,
    is_sky: Tensor,
) -> Tensor:
    """Colours with the sky where nothing else is, and with haze before what is far away."""
    upward = rays.direction[..., 2] / rays.direction.norm(dim=-1)
    blue = torch.tensor([0.22, 0.42, 0.85], device=color.device)
    pale = torch.tensor([0.75, 0.82, 0.9], device=color.device)
    share = upward.clamp(0, 1).sqrt()[..., None]
    brightness = (lights.above + 0.4 * lights.key).mean(-1)[:, None, None]
    sky = (pale + (blue - pale) * share + (1 - pale) * texel) * brightness
    haze = pale * brightness
    near = torch.exp(-depth.clamp(max=SKY_M) / _FOG_M)[..., None]
    outside = torch.where(is_sky[..., None], sky, haze + (color - haze) * near)
    return torch.where(places.outdoors[:, None, None], outside, color)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """Rows of (N, S, C) tables that (N, P) numbers name: (N, P, C)."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[-1]))
