"""From the shape that the network means to the shape of the body that is posed.

The network's shape numbers belong to the body it learned with, SMPL as a rule. Where another body
is posed and the file of the network's own one is there, that body's bones are measured, and the
posed body takes the shape whose bones are as long. The limbs of two bodies may also point a few
degrees apart at rest; so that they point the same way when posed, each limb joint is turned by that
difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ....protocol.errors import MissingModel
from ....protocol.skeletons import SMPL_24
from ...body.files import read_body_file
from ...body.load import Body, load_body
from ...weights import find_added
from ..base import RestBody
from ..fit.chain import BODY_JOINTS
from ..fit.rotation import shortest_turn
from .blend import BETAS

_LIMB_BONES = tuple(
    (f"{side}_{start}", f"{side}_{end}")
    for start, end in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
    for side in ("left", "right")
)
"""Bones long enough for their direction to be the limb's; shorter ones tell where a body has its
joints inside the flesh, and nothing about how it stands."""

_LENGTH_SPREAD_M = 0.01
"""How far apart two bodies' ideas of the length of one bone lie."""
_HEIGHT_SPREAD_M = 0.002
_WIDEST_BETA = 5.0
_SAME_M = 1e-4
_STEPS = 8


@dataclass(frozen=True)
class ShapeMatch:
    """The posed body's shape, and what its rest pose has to do with that of the network's body."""

    betas: np.ndarray
    """(B,) float32 shape numbers of the posed body."""
    source_rest_m: np.ndarray
    """(22, 3) rest joints of the network's own body at the shape it meant, metres."""
    turns: np.ndarray
    """(22, 3, 3) for each joint: turns the posed body's bone at rest onto the network's."""
    notes: tuple[str, ...]
    """What the user should know."""


def match_shape(
    betas: np.ndarray, body_of_betas: str, body: RestBody, height_m: float | None = None
) -> ShapeMatch:
    """Find the posed body's shape.

    Args:
        betas: (10,) what the network said.
        body_of_betas: The body that these numbers mean: `open`, or the name of an added body.
        body: The body that is posed, of a type with SMPL's first 22 joints.
        height_m: The person's height, where it is known: the shape is scaled to it.

    Returns:
        The shape. Without the file of `body_of_betas` it is the posed body's mean shape.

    Raises:
        BadBodyFile: The added body `body_of_betas` is damaged.
    """
    source = _source_body(body_of_betas, body)
    mean = np.zeros(body.num_betas)
    turns = np.broadcast_to(np.eye(3), (BODY_JOINTS, 3, 3)).copy()
    notes: tuple[str, ...] = ()
    if source is None:
        found, source_rest = mean, _rest(body, mean)
        notes = (
            f"the network's shape numbers are those of the body `{body_of_betas}`, which was not "
            f"added: `{body.body_id}` keeps its mean shape",
        )
    elif _same_shapes(source, body):
        found = mean.copy()
        found[:BETAS] = betas
        source_rest = _rest(body, found)
    else:
        source_rest = _rest(source, betas)
        found = _solve_shape(body, mean, bone_lengths(source_rest), None)
        turns = limb_turns(source_rest, _rest(body, found))
    if height_m is not None:
        scale = height_m / _height(body, found)
        found = _solve_shape(body, found, scale * bone_lengths(_rest(body, found)), height_m)
    return ShapeMatch(found.astype(np.float32), source_rest, turns, notes)


def bone_lengths(rest_joints_m: np.ndarray) -> np.ndarray:
    """(21,) distances of joints 1 to 21 of (22, 3) from their parents, metres."""
    assert SMPL_24.parents is not None
    parents = list(SMPL_24.parents[1:BODY_JOINTS])
    return np.asarray(np.linalg.norm(rest_joints_m[1:] - rest_joints_m[parents], axis=-1))


def limb_turns(source_rest_m: np.ndarray, rest_m: np.ndarray) -> np.ndarray:
    """Turns of each joint's frame that lay the limbs of one resting body along those of another.

    Args:
        source_rest_m: (22, 3) rest joints of the body whose directions are wanted.
        rest_m: (22, 3) rest joints of the body that is posed.

    Returns:
        (22, 3, 3); identity for joints that are not the upper end of a limb bone.
    """
    turns = np.broadcast_to(np.eye(3), (BODY_JOINTS, 3, 3)).copy()
    for start, end in _LIMB_BONES:
        a, b = SMPL_24.indices(start, end)
        bones = [torch.tensor(rest[b] - rest[a]) for rest in (rest_m, source_rest_m)]
        own, wanted = (bone / bone.norm() for bone in bones)
        turns[a] = shortest_turn(own, wanted).numpy()
    return turns


def turn_joints(rotmat: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Rotations for a body with another rest pose.

    Args:
        rotmat: (T, J, 3, 3) local rotations of the first J joints of SMPL.
        turns: (22, 3, 3) from `limb_turns`.

    Returns:
        (T, J, 3, 3) local rotations under which the other body's limbs point the same way.
    """
    assert SMPL_24.parents is not None
    count = rotmat.shape[1]
    every = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    every[:BODY_JOINTS] = turns[:count]
    above = np.stack([np.eye(3), *(every[parent].T for parent in SMPL_24.parents[1:count])])
    return np.asarray(above @ rotmat @ every)


def _source_body(name: str, body: RestBody) -> RestBody | None:
    """The network's own body, not to be posed but measured; `None` where it was not added."""
    if name == body.body_id:
        return body
    if name == "open":
        return load_body("open")
    try:
        return Body(read_body_file(find_added("body", name), correctives=False), name)
    except MissingModel:
        return None


def _same_shapes(source: RestBody, body: RestBody) -> bool:
    """Whether shape numbers mean the same on both, whatever the bodies are called."""
    if source is body:
        return True
    units = [np.zeros(BETAS), *np.eye(BETAS)]
    return all(np.abs(_rest(source, unit) - _rest(body, unit)).max() < _SAME_M for unit in units)


def _rest(body: RestBody, betas: np.ndarray) -> np.ndarray:
    """(22, 3) float64 rest joints; `betas` of any length up to the body's."""
    every = np.zeros(body.num_betas, np.float32)
    every[: len(betas)] = betas
    return np.asarray(body.joints_rest(every), float)[:BODY_JOINTS]


def _height(body: RestBody, betas: np.ndarray) -> float:
    return float(np.ptp(np.asarray(body.vertices_rest(betas.astype(np.float32)))[:, 1]))


def _solve_shape(
    body: RestBody, usual: np.ndarray, lengths_m: np.ndarray, height_m: float | None
) -> np.ndarray:
    """(B,) shape with bones (21,) as long as wanted, and as high where that is given, near `usual`.

    Gauss-Newton; joints are linear in the shape, their distances nearly so.
    """
    used = min(BETAS, len(usual))
    units = np.eye(len(usual))[:used]
    template = _rest(body, np.zeros_like(usual))
    slopes = np.stack([_rest(body, unit) - template for unit in units])
    if height_m is not None:
        here = _height(body, usual)
        climb = np.array([_height(body, usual + unit) - here for unit in units])
    betas = usual.copy()
    for _ in range(_STEPS):
        rest = template + np.einsum("b,bjc->jc", betas[:used], slopes)
        rows = [_length_slopes(rest, slopes).T / _LENGTH_SPREAD_M, np.eye(used)]
        errors = [(bone_lengths(rest) - lengths_m) / _LENGTH_SPREAD_M, (betas - usual)[:used]]
        if height_m is not None:
            rows.append(climb[None] / _HEIGHT_SPREAD_M)
            errors.append(np.array([_height(body, betas) - height_m]) / _HEIGHT_SPREAD_M)
        step = np.linalg.lstsq(np.concatenate(rows), -np.concatenate(errors), rcond=None)[0]
        betas[:used] = np.clip(betas[:used] + step, -_WIDEST_BETA, _WIDEST_BETA)
    return betas


def _length_slopes(rest: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """(B, 21) how bone lengths change with each shape number."""
    assert SMPL_24.parents is not None
    parents = list(SMPL_24.parents[1:BODY_JOINTS])
    bone = rest[1:] - rest[parents]
    grown = slopes[:, 1:] - slopes[:, parents]
    return np.asarray((grown * bone).sum(-1) / np.linalg.norm(bone, axis=-1))
