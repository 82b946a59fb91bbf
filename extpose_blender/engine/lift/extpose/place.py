"""From the network's predictions to a person's body in the camera: a `LiftedTrack`.

The network sees a crop, and answers as if its camera looked straight at the crop's middle from far
away. The picture's camera does not: at the edge of a wide picture a person is seen from the side,
and nearer limbs are larger. So the body is turned with the ray through the crop's middle, which
shows the camera the same side of it as the network saw, and is then put where its joints, in true
perspective, lie best over where the network drew them in its crop.

    predictions ─▶ joints in the crop ─▶ pixels ─┐
        └─▶ posed body, turned to the ray ───────┴─▶ place ─▶ rows between filled ─▶ confidence
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ....protocol.errors import BadShape
from ....protocol.flow import Intrinsics, LiftedTrack, Track
from ....protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from ....protocol.skeletons import LIMB_JOINTS, MODEL_SKELETONS, SMPL_24
from ...body.landmarks import landmark_map
from ...body.relaxed import relaxed_rest
from ..base import RestBody
from ..fit.chain import BODY_JOINTS, Chain, Posed
from ..fit.evidence import fill_rows, line_of_sight
from .blend import JOINTS, RowPredictions, nearest_rotmat
from .camera import focal_of_full, project_in_crop, translation_in_crop, translation_in_full
from .confidence import prediction_confidence
from .crop import CROP_SIZE, NETWORK_COLUMNS
from .shape import ShapeMatch, match_shape, turn_joints

MODEL_TYPES = ("smpl", "smplh", "smplx")
"""Bodies that a prediction of SMPL's joints can pose."""

_HELD = SMPL_24.indices(*LIMB_JOINTS, "pelvis", "neck", "head")
"""Joints that are laid over the network's own; the others lie elsewhere in every body."""
_OUTSIDE = 0.1
"""How much a joint counts that the network drew where it could not see."""
LEAST_SCALE = 0.02
"""Scales below this put a person farther away than a crop can show: the row is not usable."""
_NEAREST, _FARTHEST = 0.4, 2.5
"""Depths that are believed, as shares of the closed form's."""
_STEPS = 5
_BLOCK_ROWS = 512
_HALF_SEEN = torch.tensor(
    [(NETWORK_COLUMNS.stop - NETWORK_COLUMNS.start) / CROP_SIZE / 2, 0.5], dtype=torch.float64
)
"""Half of what the network sees, in crop units."""


def assemble_track(
    track: Track,
    predictions: RowPredictions,
    body: RestBody,
    body_of_betas: str,
    intrinsics: Intrinsics,
    height_m: float | None = None,
) -> LiftedTrack:
    """Put a person's predictions into the camera.

    Args:
        track: The person's keypoints, which tell how far the predictions can be trusted.
        predictions: What the network said, for all rows of the clip.
        body: The body to pose, of a type in `MODEL_TYPES`.
        body_of_betas: The body whose shape numbers the network speaks of, see `match_shape`.
        intrinsics: The camera. With the base models' own focal length nothing is turned, for that
            camera is as far away as the crop's.
        height_m: The person's height, where it is known.

    Returns:
        The pose of every row. Rows that were not seen lie between their neighbours, or hold the
        nearest pose, with confidence 0.

    Raises:
        BadShape: No row was predicted, the lengths differ, or the body is of another type.
    """
    if body.model_type not in MODEL_TYPES:
        raise BadShape(f"`extpose` poses {', '.join(MODEL_TYPES)}, not `{body.model_type}`")
    if len(track) != len(predictions):
        raise BadShape(f"the track has {len(track)} rows, the predictions {len(predictions)}")
    usable = predictions.seen & (predictions.camera[:, 0] >= LEAST_SCALE)
    usable &= predictions.side_px > 0
    rows = np.flatnonzero(usable)
    if not len(rows):
        raise BadShape("the predictions hold no row in which the person was seen")
    shape = match_shape(predictions.betas, body_of_betas, body, height_m)
    known = CameraPose(np.zeros((len(rows), JOINTS, 3, 3)), np.zeros((len(rows), 3)))
    for block in _blocks(len(rows)):
        part = _place_rows(predictions, rows[block], body, shape, intrinsics)
        known.rotmat[block], known.pelvis_m[block] = part.rotmat, part.pelvis_m
    pose = fill_pose(known, usable)
    return _result(track, pose, usable, body, shape, intrinsics, _notes(predictions, usable))


@dataclass(frozen=True)
class CameraPose:
    """A body's pose in the camera."""

    rotmat: np.ndarray
    """(T, 24, 3, 3) float64: joint 0 from the rest frame to the camera, others in their parents'."""
    pelvis_m: np.ndarray
    """(T, 3) float64 place of the pelvis joint, metres."""


def _place_rows(
    predictions: RowPredictions,
    rows: np.ndarray,
    body: RestBody,
    shape: ShapeMatch,
    intrinsics: Intrinsics,
) -> CameraPose:
    """The pose of the rows (R,) that the network saw."""
    rotmat = nearest_rotmat(predictions.rotmat[rows].astype(float))
    camera, center, side = (
        torch.tensor(values[rows], dtype=torch.float64)
        for values in (predictions.camera, predictions.center_xy_px, predictions.side_px)
    )
    picture = torch.tensor([intrinsics.width, intrinsics.height], dtype=torch.float64)
    units = joints_in_crop(rotmat, shape.source_rest_m, camera)[:, _HELD]
    drawn = center[:, None] - picture / 2 + side[:, None, None] * units
    weight = torch.where((units.abs() <= _HALF_SEEN).all(-1), 1.0, _OUTSIDE)

    turned = turn_joints(rotmat, shape.turns)
    turned[:, 0] = turns_to_rays(center.numpy(), intrinsics) @ turned[:, 0]
    chain = _bare_chain(_rest(body, shape))
    joints = _pose(chain, turned, np.zeros((len(rows), 3))).joints[:, _HELD]
    own_pelvis = torch.tensor(shape.source_rest_m[0])
    usual = own_pelvis + translation_in_full(camera, center, side, picture, intrinsics.focal_px)
    place = solve_place(joints, drawn, weight, intrinsics.focal_px, usual)
    return CameraPose(turned, place.numpy())


def joints_in_crop(
    rotmat: np.ndarray, source_rest_m: np.ndarray, camera: torch.Tensor
) -> torch.Tensor:
    """(T, 22, 2) where the network sees its own body's joints, crop units.

    Args:
        rotmat: (T, 24, 3, 3) its rotations.
        source_rest_m: (22, 3) its body's rest joints, metres.
        camera: (T, 3) its cameras.
    """
    root = np.tile(source_rest_m[0], (len(rotmat), 1))
    joints = _pose(_bare_chain(source_rest_m), rotmat, root).joints
    return project_in_crop(joints, translation_in_crop(camera))


def turns_to_rays(center_xy_px: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    """(T, 3, 3) turns of the optical axis to the rays through the crops' middles (T, 2), pixels.

    The shortest turn is the right one: a picture is stretched towards its edges along the line from
    its middle, but not turned. Identity for the base models' own focal length.
    """
    picture = np.array([intrinsics.width, intrinsics.height], float)
    assumed = float(focal_of_full(torch.tensor(picture)))
    if np.isclose(intrinsics.focal_px, assumed, rtol=1e-6):
        return np.tile(np.eye(3), (len(center_xy_px), 1, 1))
    everywhere = np.ones(len(center_xy_px), bool)
    return line_of_sight(center_xy_px - picture / 2, intrinsics.focal_px, everywhere).numpy()


def solve_place(
    points_m: torch.Tensor,
    drawn_px: torch.Tensor,
    weight: torch.Tensor,
    focal_px: float,
    usual_m: torch.Tensor,
) -> torch.Tensor:
    """Where a body must be for its picture, drawn flat as the network draws it, to be the network's.

    The network's scale and shift are the best that a flat drawing can do for what it saw. A wide
    picture is stretched more along one line than across it, and no scale of a drawing does both. So
    nearness of the pixels is not what is asked for (the body would come out too far away, always),
    but that the misses have no part in common with a shift or a change of scale.

    Args:
        points_m: (T, K, 3) points of the turned body, metres.
        drawn_px: (T, K, 2) where the network drew them, pixels from the principal point.
        weight: (T, K) how much each counts.
        focal_px: Focal length.
        usual_m: (T, 3) where to start, and what holds where the solution runs off.

    Returns:
        (T, 3) shifts, metres: Newton's method on those three sums.
    """
    depth = usual_m[:, 2:]
    total = weight.sum(-1)[:, None, None]
    drawing = drawn_px - (drawn_px * weight[..., None]).sum(1, keepdim=True) / total
    ways = drawn_px.new_zeros(*drawn_px.shape, 3)  # (T, K, 2, 3): how a flat drawing can move
    ways[..., 0, 0] = ways[..., 1, 1] = 1.0
    ways[..., 2] = -drawing / drawing.square().mean((1, 2), keepdim=True).sqrt()
    ways = ways * weight[..., None, None]
    place = usual_m
    for _ in range(_STEPS):
        moved = points_m + place[:, None]
        ahead = moved[..., 2:].clamp_min(0.1 * depth[:, None])
        miss = focal_px * moved[..., :2] / ahead - drawn_px
        slope = torch.zeros_like(ways)
        slope[..., 0, 0] = slope[..., 1, 1] = (focal_px / ahead)[..., 0]
        slope[..., 2] = -focal_px * moved[..., :2] / ahead.square()
        matrix = torch.einsum("tkij,tkil->tjl", ways, slope)
        place = place - torch.linalg.solve(matrix, torch.einsum("tkij,tki->tj", ways, miss))
        near, far = _NEAREST * depth, _FARTHEST * depth
        place = torch.cat([place[:, :2], place[:, 2:].clamp(near, far)], -1)
    return place


def fill_pose(pose: CameraPose, seen: np.ndarray) -> CameraPose:
    """The pose of every row of a clip, from that of the rows that were seen.

    Args:
        pose: The pose of the R rows that were seen.
        seen: (T,) bool, R of them true.

    Returns:
        T rows: those between two that were seen are turned evenly from one to the other, those
        before the first and after the last hold still.
    """
    known, rows = np.flatnonzero(seen), np.arange(len(seen))
    after = np.searchsorted(known, rows).clip(max=len(known) - 1)
    before = np.where(known[after] > rows, np.maximum(after - 1, 0), after)
    gap = known[after] - known[before]
    share = np.where(gap > 0, (rows - known[before]) / np.maximum(gap, 1), 0.0)
    rotmat = pose.rotmat[before]
    between = np.flatnonzero(share > 0)
    turn = np.swapaxes(rotmat[between], -1, -2) @ pose.rotmat[after[between]]
    part = share[between, None, None] * rotmat_to_rotvec(turn)
    rotmat[between] = rotmat[between] @ rotvec_to_rotmat(part)
    pelvis = np.zeros((len(seen), 3))
    pelvis[known] = pose.pelvis_m
    return CameraPose(rotmat, fill_rows(pelvis, seen))


def _result(
    track: Track, pose: CameraPose, usable: np.ndarray, body: RestBody, shape: ShapeMatch,
    intrinsics: Intrinsics, notes: tuple[str, ...],
) -> LiftedTrack:  # fmt: skip
    skeleton = MODEL_SKELETONS[body.model_type]
    assert skeleton.parents is not None
    rest = _rest(body, shape)
    chain = _landmark_chain(rest, track.skeleton)
    points = torch.zeros(*track.keypoints_2d.shape, dtype=torch.float64)
    rotvec = np.tile(relaxed_rest(skeleton), (len(track), 1, 1))
    turned = JOINTS if skeleton is SMPL_24 else BODY_JOINTS  # Fingers and face stay as at rest.
    for block in _blocks(len(track)):
        points[block] = _pose(chain, pose.rotmat[block], pose.pelvis_m[block]).points
        rotvec[block, :turned] = rotmat_to_rotvec(pose.rotmat[block, :turned])
    confidence = prediction_confidence(track, intrinsics, points, usable, skeleton.parents)
    return LiftedTrack(
        track.person_id,
        body.model_type,
        body.body_id,
        rotvec,
        (pose.pelvis_m - rest[0]).astype(np.float32),
        shape.betas,
        intrinsics,
        confidence,
        track.fps,
        shape.notes + notes,
    )


def _rest(body: RestBody, shape: ShapeMatch) -> np.ndarray:
    return np.asarray(body.joints_rest(shape.betas), float)[:BODY_JOINTS]


def _bare_chain(rest_m: np.ndarray) -> Chain:
    """The chain of joints alone."""
    nothing = torch.zeros(0, dtype=torch.long)
    return Chain(torch.tensor(rest_m), nothing, torch.zeros(0, 3, dtype=torch.float64))


def _landmark_chain(rest_m: np.ndarray, skeleton: str) -> Chain:
    """The chain with the points of a detector's skeleton."""
    marks = landmark_map(skeleton)
    return Chain(
        torch.tensor(rest_m), torch.tensor(marks.joints), torch.tensor(marks.offsets_m(rest_m))
    )


def _pose(chain: Chain, rotmat: np.ndarray, pelvis_m: np.ndarray) -> Posed:
    """Place rotations (T, 24, 3, 3) with the pelvis at (T, 3)."""
    turns = torch.tensor(rotmat)
    return chain.place(turns[:, 0], torch.tensor(pelvis_m), turns[:, 1:BODY_JOINTS])


def _blocks(count: int) -> Iterator[slice]:
    """Rows in pieces that take little memory beside the clip's."""
    for first in range(0, count, _BLOCK_ROWS):
        yield slice(first, min(first + _BLOCK_ROWS, count))


def _notes(predictions: RowPredictions, usable: np.ndarray) -> tuple[str, ...]:
    notes = []
    odd = int((predictions.seen & ~usable).sum())
    if odd:
        notes.append(f"{odd} rows were left out: the network put the person out of sight there")
    rows = np.flatnonzero(usable)
    between = int((~usable[rows[0] : rows[-1]]).sum())
    if between:
        notes.append(f"{between} rows between sights were filled in")
    return tuple(notes)
