"""Scores one network on one benchmark: boxes as the base models' evaluations make them, then a protocol.

| protocol | box round a person or hand |
|---|---|
| bodies, body-keypoints | the set's, grown to the network's aspect |
| hands | the set's (it is padded already), grown to the aspect |
| hand-keypoints | twice the longer side of the set's, as it is |
| video | round the detections that come with 3DPW, as in a capture |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch

from extpose_blender.engine.body.load import Body
from extpose_blender.engine.lift.extpose.camera import unmirrored_points
from extpose_blender.engine.lift.extpose.crop import (
    CROP_SIZE,
    CropBox,
    box_of_keypoints,
    expand_to_aspect,
    keypoints_in_crop,
)
from extpose_blender.protocol.errors import InputError

from .bodies import pose_meshes, pose_set
from .networks import Predicted, SetNetwork, Shot
from .protocols.body import COMPARED, body_errors
from .protocols.hands import HO3D_ORDER, hand_scores
from .protocols.keypoints import body_pck, hand_keypoints_px, hand_pck
from .protocols.video import joints_of_mesh, video_errors
from .sets.hand_files import Hands
from .sets.pictures import PictureSet
from .sets.threedpw import PersonTrack

_HINT_FACTOR = 2.0
"""Side of a HInt crop over the longer side of the hand's own box."""


@dataclass(frozen=True)
class VideoBodies:
    """What 3DPW's video protocol is counted with."""

    neutral: Body
    """The body of the predictions."""
    male: Body
    """The body of men's truth."""
    female: Body
    """The body of women's truth."""
    regressor_17: np.ndarray
    """(17, V) Human3.6M's joints of a mesh."""


def set_boxes(pictures: PictureSet, hint: bool = False) -> list[CropBox]:
    """The square of each picture of a set; see the table above."""
    if hint:
        sides = _HINT_FACTOR * pictures.tight_wh_px.max(axis=1)
    else:
        sides = expand_to_aspect(pictures.tight_wh_px).max(axis=1)
    return [
        CropBox((float(x), float(y)), float(side))
        for (x, y), side in zip(pictures.center_xy_px, sides, strict=True)
    ]


def set_shots(
    pictures: PictureSet, folder: Path, boxes: list[CropBox], points: np.ndarray | None
) -> list[Shot]:
    """What the network shall see of each picture.

    Args:
        pictures: The set.
        folder: Its pictures.
        boxes: The square of each.
        points: (N, 18, 3) or (N, 21, 3) points to draw, source pixels, where there are any.
    """
    return [
        Shot(folder / name, box, not right, None if points is None else points[i])
        for i, (name, box, right) in enumerate(
            zip(pictures.pictures, boxes, pictures.right, strict=True)
        )
    ]


def score_bodies(
    predicted: Predicted, pictures: PictureSet, body: Body, regressor: np.ndarray
) -> dict[str, float]:
    """MPJPE and PA-MPJPE of bodies in pictures, means over the pictures.

    Raises:
        InputError: A picture of the set lacks the true joints.
    """
    truth = pictures.keypoints_3d[..., :3]
    unknown = np.flatnonzero((truth[:, list(COMPARED)] == 0).all(axis=(1, 2)))
    if len(unknown):
        raise InputError(
            f"{len(unknown)} of {len(pictures)} pictures have no true 3D joints, the first is "
            f"`{pictures.pictures[unknown[0]]}`",
            "This set is for 2D keypoints, or its file is another one",
        )
    errors = body_errors(pose_set(body, predicted, regressor).joints_m, truth)
    return {one.name: float(getattr(errors, one.name).mean()) for one in fields(errors)}


def score_body_keypoints(
    predicted: Predicted,
    pictures: PictureSet,
    boxes: list[CropBox],
    body: Body,
    regressor: np.ndarray,
) -> dict[str, float]:
    """PCK of bodies in pictures."""
    truth = np.stack(
        [
            keypoints_in_crop(points, box)
            for points, box in zip(pictures.keypoints_2d, boxes, strict=True)
        ]
    )
    truth[..., :2] = truth[..., :2] / CROP_SIZE - 0.5
    found = pose_set(body, predicted, regressor).keypoints_crop
    near, far = body_pck(found, truth, _sides(boxes), pictures.tight_wh_px)
    return {"pck_05": near.mean, "pck_10": far.mean}


def predict_hands(
    predicted: Predicted, pictures: PictureSet, hand: Body, order: str = "openpose"
) -> Hands:
    """Joints and vertices of hands in pictures, left ones as left hands.

    Args:
        predicted: What the network says of the pictures.
        pictures: The set.
        hand: The right hand.
        order: Of the joints: `openpose` or `ho3d`.
    """
    posed = pose_set(hand, predicted, None, vertices=True)
    assert posed.vertices_m is not None
    right = torch.from_numpy(pictures.right)
    joints, vertices = (
        unmirrored_points(torch.from_numpy(points), right).numpy().astype(float)
        for points in (posed.joints_m, posed.vertices_m)
    )
    return Hands(joints[:, list(HO3D_ORDER)] if order == "ho3d" else joints, vertices)


def score_hands(found: Hands, truth: Hands) -> dict[str, float]:
    """The hand sets' own scores.

    Raises:
        InputError: There are more or fewer of one than of the other.
    """
    if len(found) != len(truth):
        raise InputError(f"{len(found)} hands were predicted, the truth has {len(truth)}")
    return asdict(hand_scores(found.joints_m, truth.joints_m, found.vertices_m, truth.vertices_m))


def score_hand_keypoints(
    predicted: Predicted, pictures: PictureSet, boxes: list[CropBox], hand: Body
) -> dict[str, float]:
    """PCK of hands in whole pictures."""
    found = hand_keypoints_px(
        pose_set(hand, predicted, None).keypoints_crop,
        pictures.right,
        pictures.center_xy_px,
        _sides(boxes),
    )
    counted = hand_pck(found, pictures.keypoints_2d, pictures.tight_wh_px.max(axis=1))
    return dict(zip(("pck_05", "pck_10", "pck_15"), (one.mean for one in counted), strict=True))


def track_shots(track: PersonTrack, folder: Path, points: np.ndarray | None = None) -> list[Shot]:
    """What the network shall see of a track of 3DPW.

    Boxes lie round the points; where too few are sure, the box of the nearest picture that has one
    is used again.

    Args:
        track: The person.
        folder: 3DPW's folder `imageFiles`.
        points: (T, 18, 3) detections in source pixels; those of the set when left out.

    Raises:
        InputError: The person is detected in no picture.
    """
    points = track.points if points is None else points
    boxes = [box_of_keypoints(one) for one in points]
    known = np.array([i for i, box in enumerate(boxes) if box is not None], int)
    if not len(known):
        raise InputError(f"`{track.name}` has no picture with enough detected points")
    nearest = known[np.abs(np.arange(len(boxes))[:, None] - known).argmin(axis=1)]
    shots = []
    for name, row, drawn in zip(track.pictures, nearest, points, strict=True):
        box = boxes[row]
        assert box is not None
        shots.append(Shot(folder / name, box, points=drawn))
    return shots


def score_tracks(
    network: SetNetwork,
    tracks: Iterable[PersonTrack],
    folder: Path,
    bodies: VideoBodies,
    points: Mapping[str, np.ndarray] | None = None,
) -> dict[str, float]:
    """3DPW's video protocol: means over the pictures of all tracks.

    Args:
        network: The network.
        tracks: All people of the split.
        folder: 3DPW's folder `imageFiles`.
        bodies: What it is counted with.
        points: Detections (T, 18, 3) by the name of a track, in place of those of the set.
    """
    collected: dict[str, list[np.ndarray]] = {}
    for track in tracks:
        own = None if points is None else _points_of(track, points)
        predicted = network.track(track_shots(track, folder, own))
        mesh = pose_meshes(bodies.neutral, predicted)
        true_mesh = pose_meshes(
            bodies.male if track.sex == "male" else bodies.female, _truth(track)
        )
        errors = video_errors(
            joints_of_mesh(mesh, bodies.regressor_17),
            joints_of_mesh(true_mesh, bodies.regressor_17),
            mesh,
            true_mesh,
        )
        for name in ("mpjpe_mm", "pa_mpjpe_mm", "pve_mm"):
            collected.setdefault(name, []).append(getattr(errors, name))
        collected.setdefault("acceleration_m_s2", []).append(errors.counted_acceleration)
    joined = {name: np.concatenate(parts) for name, parts in collected.items()}
    return {name: float(errors.mean()) for name, errors in joined.items() if len(errors)}


def _points_of(track: PersonTrack, points: Mapping[str, np.ndarray]) -> np.ndarray:
    found = points.get(track.name)
    if found is None or found.shape != track.points.shape:
        actual = "nothing" if found is None else found.shape
        raise InputError(f"keypoints of `{track.name}` must be {track.points.shape}, not {actual}")
    return found


def _truth(track: PersonTrack) -> Predicted:
    count = len(track)
    shape = np.broadcast_to(track.betas, (count, len(track.betas)))
    return Predicted(track.rotmat, shape, np.zeros((count, 3)))


def _sides(boxes: list[CropBox]) -> np.ndarray:
    return np.array([box.side_px for box in boxes])
