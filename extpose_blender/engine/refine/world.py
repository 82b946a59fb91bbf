"""From bodies in the camera's frame to motions in one world that everyone in the clip shares.

World: Z up, ground at z = 0, metres. The camera stands above the origin and looks along +Y in the
first row, so pictures of a level camera have +X to their right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ...protocol.arrays import check_shape
from ...protocol.errors import BadShape
from ...protocol.flow import LiftedTrack, Track
from ...protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from ...protocol.motion import Motion
from ..body.joint_limits import hold_to_limits, joint_limits
from .assemble import assemble_motion
from .figure import Figure, Posed, pose_figure
from .foot_lock import lock_feet
from .gravity import Posture, find_up, mean_trunk, read_posture
from .grounding import lift_to_ground, slide_along_rays
from .placing import (
    find_footing,
    first_contacts,
    legs_seen,
    share_ground,
    touch_downs,
    world_R_camera0,
)
from .shape import ShapedBody, figure_of, with_stature
from .smoothing import smooth_path, smooth_rotations

_WORTH_RESIZING = 0.003
"""Factors closer to 1 than this leave a person's shape as it is."""

_ROWS_AT_ONCE = 1024
"""Rows whose joints are held to their limits together; bounds the memory."""

_SURELY_OFF_M = 0.20
"""A resting foot this far from the ground rests on something else."""


@dataclass(frozen=True)
class WorldOptions:
    """The user's choices that matter here."""

    height_m: float | None = None
    """Height in metres of the first person of those given, where it is known."""
    smooth: float = 0.5
    """Strength of smoothing, 0 to 1."""
    foot_lock: bool = True
    """Whether resting feet are kept in place."""


@dataclass(frozen=True)
class _Person:
    """One person on the way into the world; which frame the arrays are in is said where it is
    used.
    """

    figure: Figure
    """The body at its shape."""
    betas: np.ndarray
    """(B,) that shape."""
    rotvec: np.ndarray
    """(T, J, 3) local rotations; joint 0 in the current frame."""
    root_m: np.ndarray
    """(T, 3) root joint in the current frame."""
    confidence: np.ndarray
    """(T, J)."""
    fps: float
    """Rows per second."""

    def posed(self) -> Posed:
        """Joints in the current frame."""
        return pose_figure(self.figure, self.rotmat(), self.transl())

    def rotmat(self) -> np.ndarray:
        """(T, J, 3, 3) local rotations."""
        return _by_blocks(rotvec_to_rotmat, self.rotvec)

    def transl(self) -> np.ndarray:
        """(T, 3) smplx's `transl` in the current frame."""
        return np.asarray(self.root_m - self.figure.rest_m[0])

    def turned(self, turn: np.ndarray, shift_m: np.ndarray) -> _Person:
        """In another frame: `turn` (3, 3) or (T, 3, 3), `shift_m` (3,)."""
        rotvec = self.rotvec.copy()
        rotvec[:, 0] = rotmat_to_rotvec(turn @ rotvec_to_rotmat(rotvec[:, 0]))
        root = np.einsum("...ij,...j->...i", turn, self.root_m) + shift_m
        return replace(self, rotvec=rotvec, root_m=root)


def to_world(
    lifted: Sequence[LiftedTrack],
    tracks: Sequence[Track],
    body: ShapedBody,
    frame_index: np.ndarray,
    time_s: np.ndarray,
    camera0_R_camera: np.ndarray | None = None,
    options: WorldOptions | None = None,
    meta: dict[str, Any] | None = None,
) -> list[Motion]:
    """Bring lifted people into one world, calm them, and set their feet on the ground.

    Gravity comes from how people stand and where their feet touch down; the ground from their feet;
    with several people one ground for all, for which each may be made a little smaller and nearer
    or larger and farther. A person's height is the one given, else that of the solved shape: one
    view cannot know it.

    Args:
        lifted: One per person, all with the same camera and rows.
        tracks: The same people's 2D keypoints.
        body: The body that the people were lifted with.
        frame_index: (T,) source picture of each row.
        time_s: (T,) its presentation time, seconds.
        camera0_R_camera: (T, 3, 3) maps each row's camera to the first row's; `None` for a camera
            that stands still. The camera may turn, not travel.
        options: The user's choices.
        meta: What the motions' `meta` should hold.

    Returns:
        One motion per person, in the order given.

    Raises:
        BadShape: Arrays do not belong together.
    """
    wanted, count = options or WorldOptions(), len(frame_index)
    _check(lifted, tracks, time_s, camera0_R_camera, count)
    turns = np.eye(3)[None].repeat(count, 0) if camera0_R_camera is None else camera0_R_camera
    turns = np.asarray(turns, dtype=float)
    people = [_calmed(_person(one, body).turned(turns, np.zeros(3)), wanted) for one in lifted]
    people, turn, eye = _placed(people, body, wanted)
    people, eye = _levelled(people, eye, wanted)
    camera_T_world = _camera_path(turn @ turns, eye)
    motions = []
    for one, track, person in zip(lifted, tracks, people, strict=True):
        grounded, contact = _stood(person, eye, wanted)
        motion = assemble_motion(
            one, track, body, grounded.posed(), grounded.rotvec, grounded.transl(),
            grounded.betas, contact, camera_T_world, frame_index, time_s, meta or {},
        )  # fmt: skip
        motions.append(motion)
    return motions


def _check(
    lifted: Sequence[LiftedTrack],
    tracks: Sequence[Track],
    time_s: np.ndarray,
    camera0_R_camera: np.ndarray | None,
    count: int,
) -> None:
    if not lifted or len(lifted) != len(tracks):
        raise BadShape(f"wanted as many lifted tracks as tracks, not {len(lifted)}, {len(tracks)}")
    check_shape("time_s", time_s, (count,))
    if camera0_R_camera is not None:
        check_shape("camera0_R_camera", camera0_R_camera, (count, 3, 3))
    for one, track in zip(lifted, tracks, strict=True):
        if one.person_id != track.person_id or not len(one) == len(track) == count:
            raise BadShape(
                f"person {one.person_id} with {len(one)} rows and person {track.person_id} with "
                f"{len(track)} rows do not answer to each other in a clip of {count} rows"
            )


def _person(one: LiftedTrack, body: ShapedBody) -> _Person:
    figure = figure_of(body, one.betas)
    return _Person(
        figure, one.betas, one.rotvec.astype(float), one.transl_m + figure.rest_m[0],
        one.confidence, one.fps,
    )  # fmt: skip


def _calmed(person: _Person, options: WorldOptions) -> _Person:
    """Smoothed, in a frame whose origin is the camera and which does not turn with it."""
    confidence, fps, strength = person.confidence, person.fps, options.smooth
    rotvec = _within_limits(person, smooth_rotations(person.rotvec, confidence, fps, strength))
    root = smooth_path(person.root_m, np.zeros(3), confidence.max(axis=1), fps, strength)
    return replace(person, rotvec=rotvec, root_m=root)


def _placed(
    people: list[_Person], body: ShapedBody, options: WorldOptions
) -> tuple[list[_Person], np.ndarray, np.ndarray]:
    """People in the world, the rotation (3, 3) from the first row's camera to it, the camera's
    centre.
    """
    origin = np.zeros(3)
    posed = [person.posed() for person in people]
    postures = [
        read_posture(one, person.confidence, person.fps)
        for one, person in zip(posed, people, strict=True)
    ]
    up, steps = _up_and_steps(people, posed, [posture for posture in postures if posture])
    turn = world_R_camera0(up)
    people = [person.turned(turn, origin) for person in people]
    footings = [
        find_footing(
            person.posed(), person.confidence, step @ turn.T, _known_factor(person, number, options)
        )
        for number, (person, step) in enumerate(zip(people, steps, strict=True))
    ]
    height, factors = share_ground(footings)
    eye = np.array([0.0, 0.0, height])
    resized = [_resized(p, body, float(k)) for p, k in zip(people, factors, strict=True)]
    return [person.turned(np.eye(3), eye) for person in resized], turn, eye


def _up_and_steps(
    people: list[_Person], posed: list[Posed], postures: list[Posture]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Up (3,), and per person the places where feet touched down, in the first row's camera.

    Contacts need a rough up, a good up needs contacts. So the first contacts are those under either
    of two guesses: what poses and camera make likely, and that people are upright however the
    camera is held.
    """
    both = list(zip(people, posed, strict=True))
    guesses = [find_up(postures, [])]
    if postures:
        guesses.append(mean_trunk(postures))
    up = find_up(postures, [_steps(one, person, u) for u in guesses for person, one in both])
    for _ in range(2):
        steps = [_steps(one, person, up) for person, one in both]
        up = find_up(postures, steps)
    return up, steps


def _steps(posed: Posed, person: _Person, up: np.ndarray) -> np.ndarray:
    seen = legs_seen(posed, person.confidence)
    if not seen.any():
        return np.zeros((0, 3))
    return touch_downs(posed, first_contacts(posed, seen, up, np.zeros(3), person.fps))


def _known_factor(person: _Person, number: int, options: WorldOptions) -> float | None:
    if options.height_m is None or number > 0:
        return None
    return options.height_m / person.figure.stature_m


def _resized(person: _Person, body: ShapedBody, factor: float) -> _Person:
    """Larger and farther from the origin, or smaller and nearer, by a factor."""
    if abs(factor - 1.0) < _WORTH_RESIZING:
        return person
    betas = with_stature(body, person.betas, factor * person.figure.stature_m)
    figure = figure_of(body, betas)
    size, before = (np.linalg.norm(f.rest_m - f.rest_m[0]) for f in (figure, person.figure))
    reached = float(size / before)
    return replace(person, figure=figure, betas=betas, root_m=reached * person.root_m)


def _levelled(
    people: list[_Person], eye: np.ndarray, options: WorldOptions
) -> tuple[list[_Person], np.ndarray]:
    """People slid along the view rays, then everything with the camera moved so that the ground is
    at 0.
    """
    slid = [_slid(person, eye, options) for person in people]
    heights = np.concatenate([rests for _, rests in slid])
    rise = np.array([0.0, 0.0, -float(np.median(heights)) if len(heights) else 0.0])
    return [person.turned(np.eye(3), rise) for person, _ in slid], eye + rise


def _slid(person: _Person, eye: np.ndarray, options: WorldOptions) -> tuple[_Person, np.ndarray]:
    """Moved along the view rays until resting feet rest, and heights (N,) of what then rests."""
    feet, contact = _contacts(person, eye)
    if not contact.any():
        return person, np.zeros(0)
    slide = slide_along_rays(person.root_m, feet, contact, eye, person.fps, options.foot_lock)
    return replace(person, root_m=person.root_m + slide), (feet + slide[:, None])[contact, 2]


def _stood(person: _Person, eye: np.ndarray, options: WorldOptions) -> tuple[_Person, np.ndarray]:
    """With resting feet on the ground, and still where that is wanted, and the contacts (T, 4)."""
    feet, contact = _contacts(person, eye)
    if not contact.any():
        return person, contact
    lift = lift_to_ground(feet, contact, person.fps)
    person = replace(person, root_m=person.root_m + lift[:, None] * [0.0, 0.0, 1.0])
    if not options.foot_lock:
        return person, contact
    rotmat, transl, contact = lock_feet(
        person.figure, person.rotmat(), person.transl(), contact, eye, person.fps
    )
    root = transl + person.figure.rest_m[0]
    rotvec = _within_limits(person, _by_blocks(rotmat_to_rotvec, rotmat))
    return replace(person, rotvec=rotvec, root_m=root), contact


def _within_limits(person: _Person, rotvec: np.ndarray) -> np.ndarray:
    """The same rotations (T, J, 3), no joint bent farther than joints bend."""
    limits = joint_limits(person.figure.skeleton.name)
    return _by_blocks(lambda rows: hold_to_limits(torch.from_numpy(rows), limits).numpy(), rotvec)


def _by_blocks(function: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> np.ndarray:
    """What a function makes of each row, a block of rows at a time: what it needs on the way is small."""
    first = function(values[:_ROWS_AT_ONCE])
    made = np.zeros((len(values), *first.shape[1:]), first.dtype)
    made[: len(first)] = first
    for start in range(len(first), len(values), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        made[rows] = function(values[rows])
    return made


def _contacts(person: _Person, eye: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heels and toes (T, 4, 3) in the world and which of them rest on the ground, (T, 4)."""
    posed = person.posed()
    seen = legs_seen(posed, person.confidence)
    if not seen.any():
        return np.zeros((len(seen), 4, 3)), np.zeros((len(seen), 4), dtype=bool)
    feet = posed.feet()
    contact = first_contacts(posed, seen, np.array([0.0, 0.0, 1.0]), eye, person.fps)
    return feet, contact & (np.abs(feet[..., 2]) < _SURELY_OFF_M)


def _camera_path(world_R_camera: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """(T, 4, 4) world to camera, for cameras (T, 3, 3) at one place."""
    path = np.tile(np.eye(4), (len(world_R_camera), 1, 1))
    path[:, :3, :3] = np.swapaxes(world_R_camera, -1, -2)
    path[:, :3, 3] = -path[:, :3, :3] @ eye
    return path
