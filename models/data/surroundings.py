"""Where made-up people stand: rooms and places outdoors, full of things, some of them in the way.

A place is a box seen from inside (floor, walls, ceiling; outdoors the walls are sky) with upright
boxes and ellipsoids in it, all textured. `render_places.py` makes pictures of it.

Frame: the place's own, Z up, metres; its origin is on the floor under the middle of the path.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .draws import Draws
from .rows import Rows
from .textures import texture_numbers

BOXES, BALLS = 14, 7
"""Boxes and ellipsoids of a place."""
SHELL = 6
"""Surfaces of the shell: low and high x, low and high y, floor, ceiling or sky."""
SKY_M = 400.0
"""How far away the sky is."""

HUNG = 4
"""The first boxes hang on the walls: pictures, windows, doors."""
_IN_THE_WAY = 2
"""The last boxes may stand between the camera and the person."""
_SEATS = 1
"""The ones before those may be under a person who sits."""
_OUTDOORS_SHARE = 0.4
_OCCLUDED_SHARE = 0.15

_WALLS = texture_numbers("plain plain plain cloudy bricks planks striped")
_FLOORS = texture_numbers("planks planks bricks plain grainy cloudy")
_GROUNDS = texture_numbers("grainy grainy cloudy bricks plain")
_THINGS = texture_numbers("plain planks planks cloudy cluttered shelves shelves striped grainy")
_HANGINGS = texture_numbers("cluttered flowered facade shelves plain sky")
_BUILDINGS = texture_numbers("facade facade facade bricks cluttered plain")
_ROUND = texture_numbers("plain cloudy flowered plaid")
_LEAVES = texture_numbers("leafy")
_SKIES = texture_numbers("sky")


_GROUND_LINEAR = (
    (0.10, 0.17, 0.05), (0.16, 0.22, 0.08), (0.22, 0.2, 0.17), (0.13, 0.13, 0.14),
    (0.35, 0.33, 0.3), (0.45, 0.36, 0.24), (0.28, 0.18, 0.11), (0.6, 0.6, 0.6),
)  # fmt: skip
"""Linear colours of grass, earth, asphalt, concrete, sand, clay, snow."""


@dataclass(frozen=True)
class Surfaces(Rows):
    """What B places' surfaces look like: the shell's six, then boxes, then ellipsoids."""

    texture: Tensor
    """(B, S) number of the texture."""
    scale: Tensor
    """(B, S) textures per metre."""
    dark: Tensor
    """(B, S, 3) linear colour where the texture is 0."""
    light: Tensor
    """(B, S, 3) linear colour where it is 1."""


@dataclass(frozen=True)
class Places(Rows):
    """B places."""

    place_T_world: Tensor
    """(B, 4, 4)."""
    low_m: Tensor
    """(B, 3) corner of the shell."""
    high_m: Tensor
    """(B, 3) the opposite corner."""
    outdoors: Tensor
    """(B,) bool."""
    centers_m: Tensor
    """(B, `BOXES` + `BALLS`, 3) middles of the things."""
    halves_m: Tensor
    """(B, `BOXES` + `BALLS`, 3) half their sizes."""
    turns: Tensor
    """(B, `BOXES` + `BALLS`, 2) cosine and sine of their turn about the vertical."""
    surfaces: Surfaces
    """Their looks."""


def draw_places(draws: Draws, people_m: Tensor, cameras_m: Tensor, floor_m: Tensor) -> Places:
    """Furnish a place round the path of each person.

    Args:
        draws: Random numbers.
        people_m: (B, T, 3) where people are, world.
        cameras_m: (B, T, 3) where cameras are, world; they stand within the shell.
        floor_m: (B,) height of the floor in the world.
    """
    count = len(people_m)
    origin = torch.cat([people_m[..., :2].mean(1), floor_m[:, None]], -1)
    place_T_world = _turned_about(draws.uniform(count, high=6.2832), origin)
    people, cameras = (
        p @ place_T_world[:, :3, :3].mT + place_T_world[:, None, :3, 3]
        for p in (people_m, cameras_m)
    )
    outdoors = draws.chance(_OUTDOORS_SHARE, count)
    low, high = _shell(draws, people, cameras, outdoors)
    reach = people[..., :2].norm(dim=-1).amax(1) + 0.9
    camera = cameras.mean(1)
    standing = _standing(draws, reach, camera, outdoors)
    hung = _hung(draws, low, high, outdoors)
    blocking = _in_the_way(draws, people.mean(1), camera)
    boxes = BOXES - HUNG - _SEATS - _IN_THE_WAY
    parts = [hung, standing[:, :boxes], _seats(draws, people), blocking, standing[:, boxes:]]
    things = torch.cat(parts, 1)
    yaw = things[..., 6]
    return Places(
        place_T_world,
        low,
        high,
        outdoors,
        things[..., :3],
        things[..., 3:6],
        torch.stack([yaw.cos(), yaw.sin()], -1),
        _surfaces(draws, outdoors),
    )


def _turned_about(yaw: Tensor, origin: Tensor) -> Tensor:
    """(B, 4, 4): what carries `origin` to zero and turns about the vertical."""
    turn = torch.eye(4, device=yaw.device).repeat(len(yaw), 1, 1)
    turn[:, 0, 0] = turn[:, 1, 1] = yaw.cos()
    turn[:, 0, 1], turn[:, 1, 0] = -yaw.sin(), yaw.sin()
    turn[:, :3, 3] = -(turn[:, :3, :3] @ origin[..., None])[..., 0]
    return turn


def _shell(
    draws: Draws, people: Tensor, cameras: Tensor, outdoors: Tensor
) -> tuple[Tensor, Tensor]:
    """Corners of a box round people and cameras; outdoors the sky is far and the floor stays."""
    count = len(people)
    inside = torch.cat([people, cameras], 1)
    room = (
        draws.log_uniform(count, 2, low=1.0, high=6.0),
        draws.log_uniform(count, 2, low=1.0, high=6.0),
    )
    low, high = inside.amin(1)[:, :2] - room[0], inside.amax(1)[:, :2] + room[1]
    top = torch.maximum(inside[..., 2].amax(1) + 0.9, draws.uniform(count, low=2.4, high=4.5))
    far = torch.tensor(SKY_M, device=low.device)
    wide = outdoors[:, None]
    floor = torch.zeros(count, 1, device=low.device)
    low = torch.cat([torch.where(wide, -far, low), floor], 1)
    high = torch.cat([torch.where(wide, far, high), torch.where(outdoors, far, top)[:, None]], 1)
    return low, high


def _standing(draws: Draws, reach: Tensor, camera: Tensor, outdoors: Tensor) -> Tensor:
    """Things round the path (B, n, 7): middle, half size, turn; none hides the person."""
    count, boxes = len(reach), BOXES - HUNG - _SEATS - _IN_THE_WAY
    things = boxes + BALLS
    far = outdoors[:, None] & draws.chance(0.7, count, things)
    half = torch.where(
        far[..., None],
        draws.log_uniform(count, things, 3, low=1.0, high=6.0),
        draws.log_uniform(count, things, 3, low=0.1, high=0.9),
    )
    is_ball = torch.arange(things, device=reach.device) >= boxes
    half = half * torch.where(is_ball & ~far, 0.55, 1.0)[..., None]
    raised = torch.where(far, draws.uniform(count, things, low=0.0, high=3.0), 0.0)
    raised = torch.where(is_ball, raised, 0.0) + torch.where(
        ~far & draws.chance(0.2, count, things), draws.uniform(count, things, high=1.6), 0.0
    )
    gap = torch.where(
        far,
        draws.log_uniform(count, things, low=3.0, high=40.0),
        draws.log_uniform(count, things, low=0.1, high=4.0),
    )
    away = reach[:, None] + half[..., :2].norm(dim=-1) + gap
    toward_camera = torch.atan2(camera[:, 1], camera[:, 0])[:, None]
    # Most things lie where the camera looks; none between it and the person.
    spread = draws.normal(count, things) * 0.8
    free = torch.atan2(half[..., :2].norm(dim=-1) + 0.5, away) + 0.25
    spread = spread.clamp(-3.1416 + free, 3.1416 - free)
    angle = toward_camera + torch.pi + spread
    middle = torch.stack([angle.cos() * away, angle.sin() * away, half[..., 2] + raised], -1)
    # What would swallow the camera is put into the ground.
    swallows = ((middle[..., :2] - camera[:, None, :2]).norm(dim=-1)) < half[..., :2].norm(
        dim=-1
    ) + 0.3
    middle[..., 2] = torch.where(swallows, -half[..., 2] - 1.0, middle[..., 2])
    return torch.cat([middle, half, draws.uniform(count, things, 1, high=3.1416)], -1)


def _hung(draws: Draws, low: Tensor, high: Tensor, outdoors: Tensor) -> Tensor:
    """Thin boxes on the four walls (B, n, 7); outdoors they lie far off."""
    count = len(low)
    share = draws.uniform(count, HUNG, low=0.1, high=0.9)
    wide = draws.log_uniform(count, HUNG, low=0.25, high=1.2)
    tall = draws.log_uniform(count, HUNG, low=0.25, high=1.0)
    door = draws.chance(0.25, count, HUNG)
    height = torch.where(door, tall, draws.uniform(count, HUNG, low=1.1, high=1.9))
    side = torch.arange(HUNG, device=low.device) % 4
    on_x, at_high = side < 2, side % 2 == 1
    walls = torch.where(at_high[:, None], high[:, None, :2], low[:, None, :2])
    along = low[:, None, :2] + share[..., None] * (high - low)[:, None, :2]
    x = torch.where(on_x, walls[..., 0], along[..., 0])
    y = torch.where(on_x, along[..., 1], walls[..., 1])
    thin = torch.full_like(wide, 0.03)
    half_x, half_y = torch.where(on_x, thin, wide), torch.where(on_x, wide, thin)
    zero = torch.zeros_like(wide)
    return torch.stack([x, y, height, half_x, half_y, tall, zero], -1)


def _seats(draws: Draws, people: Tensor) -> Tensor:
    """A box below many of those who stay in one place with a low pelvis (B, 1, 7)."""
    count, middle = len(people), people.mean(1)
    top = middle[:, 2] - draws.uniform(count, low=0.08, high=0.13)
    stays = (people - middle[:, None]).norm(dim=-1).amax(1) < 0.15
    here = stays & (top > 0.2) & (top < 0.65) & draws.chance(0.6, count)
    half = torch.cat(
        [draws.uniform(count, 2, low=0.16, high=0.34), top.clamp(min=0.1)[:, None] / 2], -1
    )
    # A thing that nobody is to see lies in the ground.
    height = torch.where(here, half[:, 2], -5.0)
    turn = draws.uniform(count, 1, high=3.1416)
    return torch.cat([middle[:, :2], height[:, None], half, turn], -1)[:, None]


def _in_the_way(draws: Draws, person: Tensor, camera: Tensor) -> Tensor:
    """Boxes between the camera and the person (B, n, 7), low and wide or thin and tall."""
    count = len(person)
    here = draws.chance(_OCCLUDED_SHARE, count, _IN_THE_WAY)
    share = draws.uniform(count, _IN_THE_WAY, low=0.35, high=0.75)
    toward = camera - person
    middle = person[:, None] + share[..., None] * toward[:, None]
    distance = toward[:, :2].norm(dim=-1).clamp(min=0.5)[:, None]
    across = torch.stack([-toward[:, 1], toward[:, 0]], -1)[:, None] / distance[..., None]
    thin = draws.chance(0.4, count, _IN_THE_WAY)
    # As large as it looks before the person: what is nearer to the camera is smaller.
    size = 1 - share
    wide = torch.where(
        thin,
        draws.uniform(count, _IN_THE_WAY, low=0.02, high=0.05),
        draws.uniform(count, _IN_THE_WAY, low=0.12, high=0.6),
    )
    wide, deep = wide * size, torch.where(thin, 0.04, 0.2) * size
    tall = torch.where(
        thin, 3.0, middle[..., 2] * draws.uniform(count, _IN_THE_WAY, low=0.2, high=0.9)
    )
    tall = torch.where(here, tall.clamp(min=0.05), 0.0)
    sideways = draws.normal(count, _IN_THE_WAY) * 0.5 * size
    ground = middle[..., :2] + across * sideways[..., None]
    # A thing that nobody is to see lies in the ground.
    height = torch.where(here, tall / 2, -5.0)
    turn = torch.atan2(across[..., 1], across[..., 0]) + draws.normal(count, _IN_THE_WAY) * 0.3
    half = torch.stack([wide, deep, tall.clamp(min=0.05) / 2], -1)
    return torch.cat([ground, height[..., None], half, turn[..., None]], -1)


def _surfaces(draws: Draws, outdoors: Tensor) -> Surfaces:
    """Textures, scales and colours; the four walls are alike."""
    count, things = len(outdoors), BOXES + BALLS
    total = SHELL + things
    texture = torch.cat(
        [
            _one_of(draws, _WALLS, count, 1).expand(-1, 4),
            torch.where(
                outdoors[:, None],
                _one_of(draws, _GROUNDS, count, 1),
                _one_of(draws, _FLOORS, count, 1),
            ),
            torch.where(outdoors[:, None], _one_of(draws, _SKIES, count, 1), _WALLS[0]),
            _one_of(draws, _HANGINGS, count, HUNG),
            torch.where(
                outdoors[:, None],
                _one_of(draws, _BUILDINGS, count, BOXES - HUNG),
                _one_of(draws, _THINGS, count, BOXES - HUNG),
            ),
            torch.where(
                outdoors[:, None],
                _one_of(draws, _LEAVES, count, BALLS),
                _one_of(draws, _ROUND, count, BALLS),
            ),
        ],
        1,
    )
    light = draws.log_uniform(count, total, 1, low=0.05, high=0.85)
    light[:, :4] = light[:, :4].clamp(min=0.15)
    tint = 1 + draws.normal(count, total, 3) * 0.6 * draws.uniform(count, total, 1) ** 2
    light = (light * tint.clamp(0.2, 2.0)).clamp(0.02, 0.95)
    light[:, 1:4] = light[:, :1]
    ground = _row_of(draws, _GROUND_LINEAR, count) * draws.log_uniform(count, 1, low=0.6, high=1.6)
    light[:, 4] = torch.where(outdoors[:, None], ground.clamp(max=0.9), light[:, 4])
    green = torch.tensor([0.35, 0.6, 0.12], device=light.device) * draws.uniform(
        count, BALLS, 1, low=0.15, high=0.6
    )
    leaves = slice(SHELL + BOXES, total)
    light[:, leaves] = torch.where(outdoors[:, None, None], green, light[:, leaves])
    colored = torch.tensor(
        texture_numbers("cluttered flowered shelves facade plaid"), device=texture.device
    )
    native = torch.isin(texture, colored)[..., None]
    contrast = draws.uniform(count, total, 1, low=0.05, high=0.7)
    grey = light[:, :SHELL].mean(-1, keepdim=True)
    dull = torch.where(outdoors[:, None, None], 0.0, 0.6)
    light[:, :SHELL] = torch.lerp(light[:, :SHELL], grey, dull)
    dark = torch.where(native, 0.02 * light, light * contrast)
    light = torch.where(native, 0.25 + 0.5 * light, light)
    scale = draws.log_uniform(count, total, low=0.3, high=1.5)
    scale[:, 1:4] = scale[:, :1]
    # Pictures fill what they hang on; a facade has few windows to a texture.
    scale[:, SHELL : SHELL + HUNG] = torch.where(outdoors[:, None], 0.2, 1.0)
    boxes = slice(SHELL + HUNG, SHELL + BOXES)
    scale[:, boxes] *= torch.where(outdoors[:, None], 0.2, 1.0)
    return Surfaces(texture, scale, dark, light)


def _one_of(draws: Draws, numbers: list[int], *shape: int) -> Tensor:
    table = torch.tensor(numbers, device=draws.device)
    return table[draws.whole(len(numbers), *shape)]


def _row_of(draws: Draws, rows: tuple[tuple[float, ...], ...], count: int) -> Tensor:
    return torch.tensor(rows, device=draws.device)[draws.whole(len(rows), count)]
