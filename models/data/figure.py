"""The open body as a chain in batches: joints and a detector's points, for every clip's own shape.

What training calls thousands of times stays small: 22 turned joints, no surface. The batch lies
last in memory, so products of 3×3 matrices run along it.

Frames: SMPL's rest frame (Y up, facing +Z, left at +X), or what the root turns it to; metres.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extpose_blender.engine.body.landmarks import landmark_map, skeleton_size
from extpose_blender.engine.body.load import Body
from extpose_blender.protocol.skeletons import MEDIAPIPE_33, SMPL_24, SMPLH_52

TURNED = 22
"""Joints that a pose turns; the two hand joints of SMPL's 24 go along with the wrists."""

_KNUCKLES = ("index1", "middle1", "pinky1", "ring1")
_LEVELS: tuple[tuple[int, ...], ...] = (
    (0,), (1, 2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12, 13, 14), (15, 16, 17), (18, 19),
    (20, 21), (22, 23),
)  # fmt: skip
"""SMPL's joints by their distance from the pelvis."""


@dataclass(frozen=True)
class Placed:
    """N posed bodies."""

    joints_m: Tensor
    """(N, 24, 3) SMPL's joints; the hand joints are the middles of the knuckles."""
    landmarks_m: Tensor
    """(N, 33, 3) the detector's points."""


class Figure:
    """The skeleton of the open body at any shape, and MediaPipe's points on it.

    Args:
        body: The open body, or another with SMPL-H's joints.
        device: Where it computes.
    """

    def __init__(self, body: Body, device: torch.device | str = "cpu") -> None:
        names = SMPLH_52
        pick = np.zeros((len(SMPL_24), len(names)))
        pick[:TURNED, :TURNED] = np.eye(TURNED)
        for side, row in (("left", 22), ("right", 23)):
            pick[row, names.indices(*(f"{side}_{knuckle}" for knuckle in _KNUCKLES))] = 0.25
        layer = body.layer
        self._template = torch.tensor(pick @ layer.j_template.numpy(), dtype=torch.float32)
        directions = np.einsum("kj,jcn->kcn", pick, layer.j_shapedirs.numpy())
        self._directions = torch.tensor(directions, dtype=torch.float32)
        marks = landmark_map(MEDIAPIPE_33.name)
        self._carriers = torch.tensor(marks.joints)
        self._shifts = torch.tensor(marks.shifts, dtype=torch.float32)
        for name in ("_template", "_directions", "_carriers", "_shifts"):
            setattr(self, name, getattr(self, name).to(device))
        self.mean_size_m = skeleton_size(body.joints_rest(np.zeros(body.num_betas, np.float32)))
        """Length of a leg plus the trunk of the mean body, metres."""

    def rest_joints(self, betas: Tensor) -> Tensor:
        """(B, 24, 3) joints at rest of shapes (B, 10)."""
        return self._template + torch.einsum("bn,jcn->bjc", betas, self._directions)

    def place(self, rotmat: Tensor, rest: Tensor, pelvis_m: Tensor) -> Placed:
        """Pose bodies.

        Args:
            rotmat: (N, 22 or more, 3, 3) local rotations; joints beyond 22 are as at rest.
            rest: (N, 24, 3) `rest_joints` of each.
            pelvis_m: (N, 3) where the pelvis joint lies.
        """
        local = _batch_last(rotmat[:, :TURNED])  # (3, 3, 22, N)
        bones = _batch_last(rest)  # (3, 24, N)
        size = self.sizes(rest)
        turns, places = _turn_chain(local, bones, pelvis_m.T)
        shifts = self._shifts.T[:, :, None] * size
        carried = (turns.index_select(2, self._carriers) * shifts[None]).sum(1)
        points = places.index_select(1, self._carriers) + carried
        return Placed(places.permute(2, 1, 0).contiguous(), points.permute(2, 1, 0).contiguous())

    def sizes(self, rest: Tensor) -> Tensor:
        """(N,) length of a leg plus the trunk, metres; see `engine/body/landmarks.py`."""
        hip, knee, ankle, pelvis, neck = (
            rest[:, SMPL_24.index[name]]
            for name in ("left_hip", "left_knee", "left_ankle", "pelvis", "neck")
        )
        return (
            (knee - hip).norm(dim=-1) + (ankle - knee).norm(dim=-1) + (neck - pelvis).norm(dim=-1)
        )

    def leg_share(self, rest: Tensor) -> Tensor:
        """(N,) length of a leg over that of the mean body: how much longer its steps are."""
        hip, knee, ankle = SMPL_24.indices("left_hip", "left_knee", "left_ankle")
        mean = self._template[None]
        lengths = [
            (r[:, knee] - r[:, hip]).norm(dim=-1) + (r[:, ankle] - r[:, knee]).norm(dim=-1)
            for r in (rest, mean)
        ]
        return lengths[0] / lengths[1]


def _turn_chain(local: Tensor, rest: Tensor, pelvis: Tensor) -> tuple[Tensor, Tensor]:
    """Global rotations (3, 3, 22, N) and places (3, 24, N)."""
    parents = SMPL_24.parents
    assert parents is not None
    turns, places = [local[:, :, :1]], [pelvis[:, None]]
    for above, joints in itertools.pairwise(_LEVELS):
        rows = torch.tensor([above.index(parents[j]) for j in joints], device=rest.device)
        its = torch.tensor([parents[j] for j in joints], device=rest.device)
        own = torch.tensor(joints, device=rest.device)
        parent_turns = turns[-1].index_select(2, rows)
        bones = rest.index_select(1, own) - rest.index_select(1, its)
        places.append(places[-1].index_select(1, rows) + (parent_turns * bones[None]).sum(1))
        if joints[0] < TURNED:
            here = local.index_select(2, own)
            turns.append((parent_turns[:, :, None] * here[None]).sum(1))
    order = [joint for level in _LEVELS for joint in level]
    assert order == list(range(len(SMPL_24)))
    return torch.cat(turns, 2), torch.cat(places, 1)


def _batch_last(array: Tensor) -> Tensor:
    """(N, J, ...) to (..., J, N), in memory."""
    return array.movedim((0, 1), (-1, -2)).contiguous()
