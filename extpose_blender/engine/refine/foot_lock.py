"""Keep feet where they stand: anchors per contact, small smooth corrections, legs that follow.

What is to change is first written down as three curves per foot (a turn of the sole, a shift of the
ankle) and one of the root (a little lower where a leg would be too short), all smooth in time; only
then do the legs follow by inverse kinematics. A correction that would be large is not made: that
contact is given up.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from ...protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from .contact import runs
from .figure import Figure, Posed, pose_figure
from .grounding import onto_ground
from .leg_ik import Leg, reach_ankle, shortest_turn
from .smoothing import whittaker

_SIDES = ("left", "right")
_ROWS_AT_ONCE = 1024
"""Rows that are posed together where only the feet are wanted; bounds the memory."""


@dataclass(frozen=True)
class LockOptions:
    """How far feet may be corrected, and how softly."""

    farthest_m: float = 0.06
    """A contact is given up where a foot would have to move farther than this."""
    along_weight: float = 0.35
    """How much of that distance counts along the view ray."""
    steepest_rad: float = 0.40
    """A sole is left as it is where it would have to turn farther than this."""
    lowest_root_m: float = 0.03
    """How far the root may be lowered for a leg that is too short."""
    loosest_m: float = 0.008
    """Rows in which a point ends up farther than this from its anchor are no contact."""
    shortest_s: float = 0.08
    """Contacts that get shorter than this by giving up rows are dropped."""
    blend_hz: float = 6.0
    """How fast corrections come and go."""


@dataclass(frozen=True)
class _Anchored:
    """Where the heel and toe of one foot should be."""

    contact: np.ndarray
    """(T, 2) rows in which heel and toe are held."""
    place_m: np.ndarray
    """(T, 2, 3) where; only meaningful where held."""


def lock_feet(
    figure: Figure,
    rotmat: np.ndarray,
    transl_m: np.ndarray,
    contact: np.ndarray,
    eye_m: np.ndarray,
    fps: float,
    options: LockOptions | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hold resting feet still and on the ground.

    Args:
        figure: The body, with feet.
        rotmat: (T, J, 3, 3) local rotations in the world (Z up, ground at 0).
        transl_m: (T, 3) smplx's `transl`.
        contact: (T, 4) resting points in the order of `FOOT_POINTS`.
        eye_m: (3,) centre of the camera: a foot may move farther along its view ray than across it,
            for that leaves the picture, and one view knows it badly.
        fps: Rows per second.
        options: Limits.

    Returns:
        `rotmat` and `transl_m` with legs and root changed, and the contacts that hold, (T, 4).
    """
    wanted = options or LockOptions()
    posed = pose_figure(figure, rotmat, transl_m)
    feet = posed.feet()
    places, kept, targets, soles = [], [], [], []
    for number, side in enumerate(_SIDES):
        points = slice(2 * number, 2 * number + 2)
        anchored = _find_anchors(feet[:, points], contact[:, points], eye_m, fps, wanted)
        ankle = posed.joint(f"{side}_ankle")
        turn = _sole_turn(feet[:, points], anchored, fps, wanted)
        shift = _ankle_shift(feet[:, points], ankle, turn, anchored, fps, wanted)
        targets.append(ankle + shift)
        soles.append(turn)
        kept.append(anchored.contact)
        places.append(anchored.place_m)
    held = np.concatenate(kept, axis=1)
    if not held.any():
        return rotmat, transl_m, held
    drop = _root_drop(posed, targets, held, fps, wanted)
    lowered = replace(posed, joints_m=posed.joints_m + drop[:, None, :])
    result = rotmat.copy()
    for side, target, turn in zip(_SIDES, targets, soles, strict=True):
        leg = _leg(figure, side)
        foot = turn @ posed.rotmat[:, leg.ankle]
        result[:, leg.hip], result[:, leg.knee], result[:, leg.ankle] = reach_ankle(
            lowered, leg, target, foot
        )
    locked = _feet(figure, result, transl_m + drop)
    off = np.linalg.norm((locked - np.concatenate(places, axis=1))[..., :2], axis=-1)
    return result, transl_m + drop, held & (off <= wanted.loosest_m)


def _feet(figure: Figure, rotmat: np.ndarray, transl_m: np.ndarray) -> np.ndarray:
    """Heels and toes (T, 4, 3) of a pose, made in blocks of rows."""
    starts = range(0, len(rotmat), _ROWS_AT_ONCE)
    blocks = [slice(start, start + _ROWS_AT_ONCE) for start in starts]
    return np.concatenate([pose_figure(figure, rotmat[b], transl_m[b]).feet() for b in blocks])


def _leg(figure: Figure, side: str) -> Leg:
    return Leg(*(figure.index(f"{side}_{part}") for part in ("hip", "knee", "ankle")))


def _find_anchors(
    points_m: np.ndarray,
    contact: np.ndarray,
    eye_m: np.ndarray,
    fps: float,
    options: LockOptions,
) -> _Anchored:
    """Anchors (T, 2, 3) of heel and toe: the median place on the ground of each contact."""
    shortest = max(1, round(options.shortest_s * fps))
    held, place = np.zeros_like(contact), np.zeros_like(points_m)
    landed = onto_ground(points_m, eye_m)
    for point in range(2):
        for first, end in runs(contact[:, point]):
            path = points_m[first:end, point]
            for start, stop in _steady(path, landed[first:end, point], eye_m, shortest, options):
                rows = slice(first + start, first + stop)
                held[rows, point] = True
                place[rows, point, :2] = np.median(landed[rows, point, :2], axis=0)
    _fit_sole_length(points_m, held, place)
    return _Anchored(held, place)


def _steady(
    path_m: np.ndarray,
    landed_m: np.ndarray,
    eye_m: np.ndarray,
    shortest: int,
    options: LockOptions,
) -> list[tuple[int, int]]:
    """Parts of one contact's path (N, 3) that stay near one place: the whole, or what is left of
    it.
    """
    middle = np.median(landed_m, axis=0)
    ray = middle - eye_m
    ray /= np.linalg.norm(ray)
    off = path_m - middle
    along = off @ ray
    across = np.linalg.norm(off - along[:, None] * ray, axis=1)
    near = np.hypot(across, options.along_weight * along) <= options.farthest_m
    return [part for part in runs(near) if part[1] - part[0] >= min(shortest, len(path_m))]


def _fit_sole_length(points_m: np.ndarray, held: np.ndarray, place_m: np.ndarray) -> None:
    """Move the anchors of a foot that rests on heel and toe until they are one sole apart."""
    both = held.all(axis=1)
    changes = np.any(np.diff(place_m[..., :2], axis=0) != 0, axis=(1, 2))
    for first, end in runs(both):
        cuts = [first, *(np.flatnonzero(changes[first : end - 1]) + first + 1).tolist(), end]
        for start, stop in itertools.pairwise(cuts):
            sole = points_m[start:stop, 1] - points_m[start:stop, 0]
            apart = place_m[start, 1] - place_m[start, 0]
            length = float(np.linalg.norm(apart))
            if length < 1e-6:
                continue
            missing = (float(np.median(np.linalg.norm(sole, axis=1))) - length) * apart / length
            _shift_contact(held, place_m, start, 0, -0.5 * missing)
            _shift_contact(held, place_m, start, 1, 0.5 * missing)


def _shift_contact(
    held: np.ndarray, place_m: np.ndarray, row: int, point: int, by_m: np.ndarray
) -> None:
    """Move the anchor of the contact that holds a point in a row, in all of its rows."""
    same = held[:, point] & np.all(place_m[:, point] == place_m[row, point], axis=1)
    place_m[same, point] += by_m


def _sole_turn(
    points_m: np.ndarray, anchored: _Anchored, fps: float, options: LockOptions
) -> np.ndarray:
    """(T, 3, 3) turn of each foot: on its anchors while flat, level where it would dip into the
    ground.
    """
    sole = points_m[:, 1] - points_m[:, 0]
    goal, weight = sole.copy(), np.full(len(sole), 0.02)
    both, one = anchored.contact.all(axis=1), anchored.contact.any(axis=1)
    dips = one & ~both & np.where(anchored.contact[:, 0], sole[:, 2] < 0, sole[:, 2] > 0)
    goal[dips, 2], weight[dips] = 0.0, 1.0
    goal[both] = (anchored.place_m[:, 1] - anchored.place_m[:, 0])[both]
    weight[both] = 100.0
    rotvec = rotmat_to_rotvec(shortest_turn(sole, goal))
    steep = np.linalg.norm(rotvec, axis=1) > options.steepest_rad
    rotvec[steep], weight[steep] = 0.0, 0.02
    return rotvec_to_rotmat(whittaker(rotvec, weight, np.array(options.blend_hz), fps))


def _ankle_shift(
    points_m: np.ndarray,
    ankle_m: np.ndarray,
    turn: np.ndarray,
    anchored: _Anchored,
    fps: float,
    options: LockOptions,
) -> np.ndarray:
    """(T, 3) shift of an ankle that puts its resting points on their anchors, and none below the
    ground.
    """
    turned = ankle_m[:, None] + np.einsum("tij,tnj->tni", turn, points_m - ankle_m[:, None])
    held = anchored.contact[..., None]
    count = anchored.contact.sum(axis=1)
    shift = np.sum(held * (anchored.place_m - turned), axis=1) / np.maximum(count, 1)[:, None]
    weight = np.where(count > 0, 100.0, 0.02)
    lowest = turned[..., 2].min(axis=1)
    shift[count > 0, 2] = -np.where(held[..., 0], turned[..., 2], np.inf).min(axis=1)[count > 0]
    dips = (count == 0) & (lowest < 0)
    rise, rise_weight = shift[:, 2:], weight.copy()
    rise[dips, 0] = np.minimum(-lowest[dips], options.farthest_m)
    rise_weight[dips] = 10.0
    blend = np.array(options.blend_hz)
    level = whittaker(shift[:, :2], weight, blend, fps)
    return np.concatenate([level, whittaker(rise, rise_weight, blend, fps)], axis=1)


def _root_drop(
    posed: Posed, targets: list[np.ndarray], held: np.ndarray, fps: float, options: LockOptions
) -> np.ndarray:
    """(T, 3) how far to lower the root so that no held foot is out of reach, smooth in time."""
    needed = np.zeros(len(held))
    for number, (side, target) in enumerate(zip(_SIDES, targets, strict=True)):
        leg = _leg(posed.figure, side)
        rest = posed.figure.rest_m
        reach = np.linalg.norm(rest[leg.knee] - rest[leg.hip]) + np.linalg.norm(
            rest[leg.ankle] - rest[leg.knee]
        )
        arm = target - posed.joints_m[:, leg.hip]
        length = np.linalg.norm(arm, axis=1)
        steep = np.maximum(-arm[:, 2] / length, 0.5)
        standing = held[:, 2 * number : 2 * number + 2].any(axis=1) & (arm[:, 2] < 0)
        needed = np.maximum(needed, np.where(standing, (length - reach) / steep, 0.0))
    needed = np.clip(needed, 0.0, options.lowest_root_m)
    reach_rows = max(1, round(0.1 * fps))
    padded = np.pad(needed, reach_rows, mode="edge")
    widest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach_rows + 1).max(axis=1)
    drop = whittaker(widest[:, None], np.ones(len(needed)), np.array(0.6 * options.blend_hz), fps)
    return np.concatenate([np.zeros((len(drop), 2)), -np.maximum(drop, 0.0)], axis=1)
