"""The lifter `fit`: optimisation over the whole clip. Sources of its parts stand in their files.

track ─▶ sides put right ─▶ shape and camera from spread frames ─▶ windows solved ─▶ joined ─▶
LiftedTrack
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ....protocol.errors import BadShape
from ....protocol.flow import Intrinsics, LiftedTrack, Track
from ....protocol.resources import find_resource
from ....protocol.skeletons import MODEL_SKELETONS, Skeleton
from ...body.joint_limits import hold_to_limits, joint_limits
from ...body.landmarks import landmark_map
from ...body.relaxed import relaxed_rest
from ..base import OnProgress, OnWindow, RestBody
from .body_shape import BodyLine, solve_shape, spread_rows
from .chain import BODY_JOINTS, Pose
from .evidence import Evidence, gather_evidence
from .initial import first_pose
from .limits import angle_limits
from .prior import PRIOR, load_pose_prior
from .rotation import rotmat_to_rotvec
from .sides import find_swaps, swap_sides
from .solve import Anchor, Problem, Weights, solve_window
from .start import Start, believed_rows, choose_rows, read_start
from .trust import joint_confidence, mean_error, spread_confidence
from .windows import cut_windows, join_poses

MODEL_TYPES = ("smpl", "smplh", "smplx")
"""Bodies that this lifter can pose."""

_STEPS = 6
_JOINING_STEPS = 2
_SHAPE_NUMBERS = 10
_POOR_FIT = 0.04
"""Mean keypoint error, in shares of the person's height, above which the user is told."""


@dataclass(frozen=True)
class Setting:
    """What holds for a whole clip once its shape is solved."""

    line: BodyLine
    betas: torch.Tensor
    intrinsics: Intrinsics
    hint_scale: float
    evidence: Evidence
    points: Skeleton
    fps: float
    notes: tuple[str, ...]
    start: Start | None = None


class FitLifter:
    """Finds the body that explains a person's keypoints.

    Args:
        body: Body model of a type in `MODEL_TYPES`.
        device: `cpu` or `cuda`: where torch works.
        weights: How strongly each term pulls.

    Raises:
        BadShape: The body is of another type.
    """

    def __init__(self, body: RestBody, device: str = "cpu", weights: Weights | None = None) -> None:
        if body.model_type not in MODEL_TYPES:
            raise BadShape(f"`fit` poses {', '.join(MODEL_TYPES)}, not `{body.model_type}`")
        self.body = body
        self.device = device
        self.weights = weights or Weights()
        self._prior = load_pose_prior(device)
        walls = angle_limits(body.model_type)
        self._limits = torch.tensor(walls, dtype=torch.float32, device=device)

    @staticmethod
    def model_files() -> list[Path]:
        """Files that its results depend on, for `report.json`."""
        return [find_resource(PRIOR)]

    @torch.no_grad()
    def __call__(
        self,
        track: Track,
        intrinsics: Intrinsics,
        height_m: float | None = None,
        on_progress: OnProgress | None = None,
        on_window: OnWindow | None = None,
        start: LiftedTrack | None = None,
    ) -> LiftedTrack:
        """Lift a person.

        Args:
            track: The person's keypoints.
            intrinsics: The camera; its focal length is refined when its source is `assumed`.
            height_m: The person's height, where it is known.
            on_progress: Told how many rows of how many are done.
            on_window: Given each finished window: its rows and the part of the result.
            start: Another lifter's result for the same track, in the same picture: the solver tries
                its rotations too, in rows where it has confidence, and its shape where it is of the
                same body, and heeds them where they agree with the keypoints. See `start.py`.

        Returns:
            The pose of every row of the track. Rows before the first and after the last sight hold
            the nearest pose with confidence 0.

        Raises:
            BadShape: The person was seen in no row, or the start has another length.
        """
        active = track.active
        if active.stop == 0:
            raise BadShape("the track holds no row in which the person was seen")
        if start is not None and len(start) != len(track):
            raise BadShape(f"the track has {len(track)} rows, its start {len(start)}")
        setting = self._settle(track, active, intrinsics, height_m, start)
        chain = setting.line.chain(setting.betas)
        pose: Pose | None = None
        trust = np.zeros((0, BODY_JOINTS))
        done = 0
        for window in cut_windows(len(setting.evidence)):
            problem = self._problem(setting, setting.evidence[window])
            part = self._solve(problem, setting, setting.start and setting.start[window])
            shared = done - window.start
            pose = part if pose is None else join_poses(pose, part, shared)
            fresh = joint_confidence(problem, chain.pose(part), setting.points)
            trust = np.concatenate([trust, fresh[shared:]])
            if on_window is not None:
                rows = slice(active.start + window.start, active.start + window.stop)
                on_window(rows, self._result(track, setting, pose[window], trust[window], rows))
            done = window.stop
            if on_progress is not None:
                on_progress(active.start + done, len(track))
        assert pose is not None
        whole = self._problem(setting, setting.evidence)
        setting = replace(setting, notes=setting.notes + _notes(whole, pose))
        return self._result(track, setting, pose, trust, active, len(track))

    @staticmethod
    def _solve(problem: Problem, setting: Setting, start: Start | None) -> Pose:
        """The pose of a window, from the hints, and where there is a start from there too."""
        first = first_pose(problem.chain, problem.evidence, setting.points, problem.focal_px)
        own = solve_window(problem, first, _STEPS)
        if start is None:
            return own
        begun, held = start.pose(problem, first)
        anchored = replace(problem, anchor=Anchor(begun, held.to(begun.q)))
        started = solve_window(anchored, begun, _STEPS)
        believed = believed_rows(problem, own, started)
        anchored = replace(problem, anchor=Anchor(begun, (held & believed).to(begun.q)))
        return solve_window(
            anchored, choose_rows(believed, started, own), _JOINING_STEPS, slack=1.0
        )

    def _settle(
        self, track: Track, active: slice, intrinsics: Intrinsics, height_m: float | None,
        start: LiftedTrack | None,
    ) -> Setting:  # fmt: skip
        """Put sides right, then find shape and camera from frames spread over the clip."""
        evidence = gather_evidence(track, intrinsics, self.device)
        swaps = find_swaps(track, evidence.size_px.cpu().numpy())
        notes: tuple[str, ...] = ()
        if swaps.any():
            track = swap_sides(track, swaps)
            evidence = gather_evidence(track, intrinsics, self.device)
            notes = (f"left and right were swapped back in {int((swaps > 0).sum())} rows",)
        line = body_line(self.body, track.skeleton, self.device)
        shape = torch.zeros(len(line.joint_shapes), device=self.device)
        setting = Setting(
            line, shape, intrinsics, 1.0, evidence[active], track.points, track.fps, notes
        )
        if start is not None:
            setting = replace(setting, start=read_start(start, active, evidence.xy_px))
        rows = spread_rows(setting.evidence)
        problem = self._problem(setting, setting.evidence[rows])
        first = first_pose(problem.chain, problem.evidence, track.points, intrinsics.focal_px)
        free = intrinsics.source == "assumed"
        found = solve_shape(line, problem, first, height_m, free)
        if start is not None and setting.start is not None:
            begun, _ = setting.start[rows].pose(problem, first)
            betas = self._betas_of(start, shape)
            other = solve_shape(line, problem, begun, height_m, free, betas)
            found = min(other, found, key=lambda solution: solution.energy)
        camera = replace(intrinsics, focal_px=found.focal_px if free else intrinsics.focal_px)
        evidence = gather_evidence(track, camera, self.device)[active]
        return replace(
            setting, betas=found.betas, intrinsics=camera, hint_scale=found.hint_scale,
            evidence=evidence,
        )  # fmt: skip

    def _betas_of(self, start: LiftedTrack, shape: torch.Tensor) -> torch.Tensor:
        """The start's shape numbers where they mean this body, else the mean shape `shape`."""
        if start.body_id != self.body.body_id:
            return shape
        return torch.as_tensor(start.betas[: len(shape)]).to(shape).clamp(-3, 3)

    def _problem(self, setting: Setting, evidence: Evidence) -> Problem:
        left, right = setting.points.indices("left_hip", "right_hip")
        return Problem(
            chain=setting.line.chain(setting.betas),
            evidence=evidence,
            prior=self._prior,
            limits=self._limits,
            hips=(left, right),
            focal_px=setting.intrinsics.focal_px,
            fps=setting.fps,
            hint_scale=setting.hint_scale,
            weights=self.weights,
        )

    def _result(
        self, track: Track, setting: Setting, pose: Pose, trust: np.ndarray, rows: slice,
        count: int | None = None,
    ) -> LiftedTrack:  # fmt: skip
        """The pose of `rows` as the stage's result, padded to `count` rows where that is given."""
        skeleton = MODEL_SKELETONS[self.body.model_type]
        assert skeleton.parents is not None
        rotvec = np.zeros((len(pose), len(skeleton), 3), np.float32)
        rotvec[:] = relaxed_rest(skeleton)
        rotvec[:, 0] = rotmat_to_rotvec(pose.root).cpu().numpy()
        rotvec[:, 1:BODY_JOINTS] = setting.line.chain(setting.betas).rotvecs(pose.q).cpu().numpy()
        limits = joint_limits(self.body.model_type)
        rotvec[:, 1:] = hold_to_limits(torch.from_numpy(rotvec).double(), limits)[:, 1:].numpy()
        root_rest = setting.line.rest(setting.betas)[0]
        transl = (pose.pelvis - root_rest).cpu().numpy()
        confidence = spread_confidence(trust, skeleton.parents)
        if count is not None:
            around = (rows.start, count - rows.stop)
            rotvec = np.pad(rotvec, (around, (0, 0), (0, 0)), mode="edge")
            transl = np.pad(transl, (around, (0, 0)), mode="edge")
            confidence = np.pad(confidence, (around, (0, 0)))
        betas = np.zeros(self.body.num_betas, np.float32)
        betas[: len(setting.betas)] = setting.betas.cpu().numpy()
        return LiftedTrack(
            track.person_id, self.body.model_type, self.body.body_id, rotvec, transl, betas,
            setting.intrinsics, confidence, track.fps, setting.notes,
        )  # fmt: skip


def body_line(body: RestBody, skeleton: str, device: str) -> BodyLine:
    """Rest joints and height as linear functions of the first shape numbers."""

    def measure(betas: np.ndarray) -> tuple[np.ndarray, float]:
        vertices = np.asarray(body.vertices_rest(betas), float)
        height = float(vertices[:, 1].max() - vertices[:, 1].min())
        return np.asarray(body.joints_rest(betas), float)[:BODY_JOINTS], height

    count = body.num_betas
    joints, height = measure(np.zeros(count, np.float32))
    moved = [measure(unit) for unit in np.eye(count, dtype=np.float32)[:_SHAPE_NUMBERS]]
    return BodyLine(
        torch.tensor(joints, dtype=torch.float32, device=device),
        torch.tensor(np.stack([m[0] - joints for m in moved]), dtype=torch.float32, device=device),
        height,
        torch.tensor([m[1] - height for m in moved], dtype=torch.float32, device=device),
        landmark_map(skeleton),
    )


def _notes(problem: Problem, pose: Pose) -> tuple[str, ...]:
    notes = []
    error = mean_error(problem, problem.chain.pose(pose))
    if error > _POOR_FIT:
        notes.append(
            f"the body lies {100 * error:.1f} % of its height beside the keypoints on average"
        )
    unseen = int((~problem.evidence.seen).sum())
    if unseen:
        notes.append(f"{unseen} rows between sights were filled in")
    return tuple(notes)
