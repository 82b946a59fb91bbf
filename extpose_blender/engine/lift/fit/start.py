"""Begins where another lifter ended, as SPIN's loop does: a network's pose, improved by the fit.

A start is a proposal. The solver runs from its own first pose, and from the start with the start's
angles as one more observation beside the keypoints: a network sees the picture and tells what
keypoints leave open. Each row keeps that second solution unless what was seen speaks clearly
against it. So a good start makes the result better, and a bad one costs time and little else.

Source: Kolotouros et al., "Learning to Reconstruct 3D Human Pose and Shape via Model-fitting in the
Loop" (2019), section 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ....protocol.flow import LiftedTrack
from ....protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat
from ....protocol.skeletons import SMPL_24
from .chain import BODY_JOINTS, Pose, pose_names
from .initial import place_pelvis
from .rotation import shortest_turn
from .solve import Problem, frame_energies

_DOUBT = 10.0
"""By how much a row's energy may exceed that of the own solution, nats: what it costs to give way to
a start that is right, and less than it costs to give way to a wrong one."""
_NEIGHBOURS_S = 0.1
"""Rows this close are judged together."""


@dataclass(frozen=True)
class Start:
    """Where the solver may begin, for T rows."""

    root: torch.Tensor
    """(T, 3, 3) turns the SMPL rest frame into the camera that the start was made for."""
    pelvis: torch.Tensor
    """(T, 3) in that camera, metres."""
    q: torch.Tensor
    """(T, Q) angles, radians."""
    usable: torch.Tensor
    """(T,) bool: the start knows this row."""
    focal_px: float
    """Focal length of that camera."""

    def __getitem__(self, rows: slice | torch.Tensor) -> Start:
        return Start(
            self.root[rows], self.pelvis[rows], self.q[rows], self.usable[rows], self.focal_px
        )

    def pose(self, problem: Problem, first: Pose) -> tuple[Pose, torch.Tensor]:
        """The start's pose of the rows it knows, laid over the keypoints, and `first` in others; and
        (T,) bool: which rows are the start's.

        Rows whose pose is as far from what was seen as if every keypoint were beyond belief take
        `first` too: the solver ties rows to each other, and one such row would spoil its
        neighbours.
        """
        q = self.q.clamp(problem.limits[:, 0], problem.limits[:, 1])
        pose = Pose(self._turned_to(problem.focal_px), first.pelvis, q)
        place = place_pelvis(problem.chain, pose, problem.evidence, problem.focal_px)
        pose = Pose(pose.root, place, q)
        hopeless = 0.5 * problem.weights.keypoint_reach**2 * problem.evidence.weight.sum(-1)
        held = self.usable & (_excess(problem, pose, first) < hopeless)
        return choose_rows(held, pose, first), held

    def _turned_to(self, focal_px: float) -> torch.Tensor:
        """The root as a camera of another focal length must have it to show the same view."""
        if focal_px == self.focal_px:
            return self.root
        ahead = self.root.new_tensor([0.0, 0.0, 1.0])
        old, new = (
            shortest_turn(ahead, ray / ray.norm(dim=-1, keepdim=True))
            for ray in (
                self.pelvis,
                self.pelvis * self.root.new_tensor([1.0, 1.0, focal_px / self.focal_px]),
            )
        )
        return new @ old.transpose(-1, -2) @ self.root


def read_start(lifted: LiftedTrack, rows: slice, like: torch.Tensor) -> Start:
    """A result of another lifter as a start.

    Args:
        lifted: The result; its body may be another one.
        rows: Which of its rows.
        like: A tensor of the type and on the device that are wanted.
    """
    rotmat = rotvec_to_rotmat(lifted.rotvec[rows, :BODY_JOINTS].astype(float))
    return Start(
        torch.as_tensor(rotmat[:, 0]).to(like),
        torch.as_tensor(lifted.transl_m[rows]).to(like),
        torch.as_tensor(solver_angles(rotmat[:, 1:])).to(like),
        torch.as_tensor((lifted.confidence[rows] > 0).any(-1), device=like.device),
        lifted.intrinsics.focal_px,
    )


def solver_angles(rotmat: np.ndarray) -> np.ndarray:
    """The solver's angles for rotations of the joints.

    Trunk, head and limbs come to point as they did. Lost are how a bend is shared among the spine's
    joints, and among neck and head, and the toes; the twist of a collar goes to its shoulder.

    Args:
        rotmat: (T, 21, 3, 3) rotations of joints 1 to 21 in their parents' frames.

    Returns:
        (T, Q), see `pose_names`.
    """
    local = {name: rotmat[:, i] for i, name in enumerate(SMPL_24.joint_names[1:BODY_JOINTS])}
    local["spine"] = local["spine1"] @ local["spine2"] @ local["spine3"]
    local["head"] = local["neck"] @ local["head"]
    for side in ("left", "right"):
        collar = rotmat_to_rotvec(local[f"{side}_collar"]) * [0.0, 1.0, 1.0]
        twist = np.swapaxes(rotvec_to_rotmat(collar), -1, -2) @ local[f"{side}_collar"]
        local[f"{side}_shoulder"] = twist @ local[f"{side}_shoulder"]
    vectors = {name: rotmat_to_rotvec(turn) for name, turn in local.items()}
    columns = (name.split(":") for name in pose_names())
    return np.stack([vectors[joint][:, int(axis)] for joint, axis in columns], -1)


def choose_rows(chosen: torch.Tensor, these: Pose, others: Pose) -> Pose:
    """`these` where `chosen` (T,) is true, else `others`."""
    return Pose(
        torch.where(chosen[:, None, None], these.root, others.root),
        torch.where(chosen[:, None], these.pelvis, others.pelvis),
        torch.where(chosen[:, None], these.q, others.q),
    )


def believed_rows(problem: Problem, own: Pose, started: Pose) -> torch.Tensor:
    """(T,) bool: rows in which the solution from the start explains what was seen as well as the
    own one.
    """
    excess = _excess(problem, started, own)
    reach = round(_NEIGHBOURS_S * problem.fps)
    around = torch.nn.functional.avg_pool1d(
        excess[None, None], 2 * reach + 1, 1, reach, count_include_pad=False
    )
    return around[0, 0] <= _DOUBT


def _excess(problem: Problem, pose: Pose, other: Pose) -> torch.Tensor:
    """(T,) by how much a pose explains each frame worse than another does, nats."""
    worse, better = (frame_energies(problem, p, problem.chain.pose(p)) for p in (pose, other))
    return worse - better
