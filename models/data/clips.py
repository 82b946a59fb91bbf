"""Captures that nobody made: moving people before cameras, as a detector would see them, in batches.

A batch is a function of the source's seed and a step: training resumes exactly and needs no state.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from extpose_blender.engine.body.load import load_body
from extpose_blender.protocol.skeletons import SMPL_24

from .cameras import CameraConfig, Cameras, draw_cameras
from .detector_errors import ErrorModel, draw_sightings
from .draws import Draws
from .figure import TURNED, Figure, Placed
from .hands import draw_hands
from .mixing import MixConfig, Motions, mix_motion
from .motion import MotionBank
from .occlusion import SelfOcclusion, draw_covers
from .poses import PoseConfig, PoseSource, rest_heights
from .quaternions import quat_to_rotmat, quat_to_rotvec


@dataclass(frozen=True)
class Clips:
    """B made-up captures of T frames, float32 on one device; picture and focal length stay within
    a clip.
    """

    keypoints_px: Tensor
    """(B, T, 33, 3) MediaPipe's points as it would give them: x, y in pixels, score; zeros where
    the person is not seen."""
    hints_m: Tensor
    """(B, T, 33, 4) its 3D points with their errors: OpenCV axes, origin between the hips, score."""
    seen: Tensor
    """(B, T) bool: the detector found the person."""
    true_px: Tensor
    """(B, T, 33, 2) the points without errors."""
    landmarks_m: Tensor
    """(B, T, 33, 3) their places in the camera."""
    rotmat: Tensor
    """(B, T, 24, 3, 3) SMPL's joints; joint 0 turns the rest frame into the OpenCV camera."""
    betas: Tensor
    """(B, 10) shape of the open body."""
    transl_m: Tensor
    """(B, T, 3) smplx's `transl` in the camera."""
    joints_m: Tensor
    """(B, T, 24, 3) in the camera; the hand joints are the middles of the knuckles."""
    joints_px: Tensor
    """(B, T, 24, 2)."""
    focal_px: Tensor
    """(B,) focal length; the principal point is the picture's middle."""
    size_wh: Tensor
    """(B, 2) width and height, pixels."""
    fps: Tensor
    """(B,) frames per second."""
    world_T_camera: Tensor
    """(B, T, 4, 4) camera to world, Z up, ground at z = 0."""
    hand_rotvec: Tensor
    """(B, T, 30, 3) SMPL-H's finger joints 22 to 51."""

    def __len__(self) -> int:
        return len(self.betas)

    def to(self, device: torch.device | str) -> Clips:
        """The same on a device."""
        return Clips(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def select(self, index: Tensor | slice) -> Clips:
        """Some of the clips."""
        return Clips(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class ClipConfig:
    """How captures are drawn."""

    frame_rates: tuple[float, ...] = (60.0, 50.0, 30.0, 25.0, 24.0, 20.0, 15.0, 10.0, 6.0, 5.0)
    """Frames per second of the pictures."""
    rate_weights: tuple[float, ...] = (1.5, 1, 6, 4, 2, 1.5, 1, 0.7, 0.4, 0.4)
    """How often each is taken."""
    shape_deviation: float = 1.1
    """Deviation of shape numbers."""
    shape_limit: float = 3.0
    """Largest shape number."""
    posed_share: float = 0.2
    """Share of clips that run through seldom poses; captured motion fills the rest."""
    poses: PoseConfig = field(default_factory=PoseConfig)
    """Seldom poses."""
    covered_share: float = 0.15
    """Share of clips with something before the person."""
    mix: MixConfig = field(default_factory=MixConfig)
    """Motion."""
    camera: CameraConfig = field(default_factory=CameraConfig)
    """Cameras."""


class ClipSource:
    """Batches of made-up captures.

    Args:
        bank: Captured motion.
        config: How captures are drawn.
        seed: Of everything.
        device: Where batches are made.
    """

    def __init__(
        self,
        bank: MotionBank,
        config: ClipConfig | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = config or ClipConfig()
        self.seed = seed
        self.device = torch.device(device)
        self._bank = bank.to(self.device)
        # Long captures hold more to see, but not in proportion.
        self._run_weights = self._bank.seconds.sqrt()
        self._poses = PoseSource(self._bank, self.config.poses)
        self._figure = Figure(load_body("open"), self.device)
        self._errors = ErrorModel.load().to(self.device)
        self._occlusion = SelfOcclusion(self.device)

    def batch(self, step: int, B: int, T: int) -> Clips:
        """The batch of a step: B clips of T frames; the same for the same numbers."""
        draws = Draws(self.seed, step, self.device)
        rates = torch.tensor(self.config.frame_rates, device=self.device)
        fps = rates[draws.choice(self.config.rate_weights, B)]
        times = torch.arange(T, device=self.device) / fps[:, None]
        betas = self._draw_shapes(draws, B)
        rest = self._figure.rest_joints(betas)
        motions, pelvis = self._draw_motions(draws, times, rest)
        hands = torch.where(
            motions.fingers.repeat_interleave(15, -1)[:, None, :, None],
            quat_to_rotvec(motions.quat[:, :, TURNED:]),
            draw_hands(draws, times),
        )
        size = self._figure.sizes(rest)
        cameras = draw_cameras(draws, self.config.camera, pelvis, size / 0.75, times)
        rotmat, placed = self._place(motions, cameras, rest, pelvis)
        return self._finish(draws, times, fps, betas, rest, size, cameras, rotmat, placed, hands)

    def _draw_motions(self, draws: Draws, times: Tensor, rest: Tensor) -> tuple[Motions, Tensor]:
        """Motions, and paths (B, T, 3) of the pelvis of bodies with rest joints (B, 24, 3)."""
        motions = mix_motion(draws, self._bank, self._run_weights, self.config.mix, times)
        pelvis = motions.pelvis_m * self._figure.leg_share(rest)[:, None, None]
        posed = draws.chance(self.config.posed_share, len(times)).nonzero()[:, 0]
        if not len(posed):
            return motions, pelvis
        seldom, above = self._poses.draw(draws, times[posed])
        motions.quat[posed] = seldom.quat
        motions.fingers[posed] = seldom.fingers
        pelvis[posed] = seldom.pelvis_m
        pelvis[posed, :, 2] = self._rest_on_ground(seldom, rest[posed]) + above
        return motions, pelvis

    def _rest_on_ground(self, motions: Motions, rest: Tensor) -> Tensor:
        """(B, T) heights of the pelvis."""
        shape = motions.quat.shape[:2]
        rotmat = quat_to_rotmat(motions.quat[:, :, :TURNED]).flatten(0, 1)
        every_rest = rest.repeat_interleave(shape[1], 0)
        still = torch.zeros(len(every_rest), 3, device=self.device)
        joints = self._figure.place(rotmat, every_rest, still).joints_m
        return rest_heights(joints).unflatten(0, shape)

    def _draw_shapes(self, draws: Draws, count: int) -> Tensor:
        limit = self.config.shape_limit
        return (self.config.shape_deviation * draws.normal(count, 10)).clamp(-limit, limit)

    def _place(
        self, motions: Motions, cameras: Cameras, rest: Tensor, pelvis: Tensor
    ) -> tuple[Tensor, Placed]:
        """Rotations (B, T, 24, 3, 3) and bodies (B·T) in the camera."""
        count, frames = pelvis.shape[:2]
        rotmat = torch.eye(3, device=self.device).repeat(count, frames, len(SMPL_24), 1, 1)
        rotmat[:, :, :TURNED] = quat_to_rotmat(motions.quat[:, :, :TURNED])
        rotmat[:, :, 0] = cameras.world_T_camera[..., :3, :3].mT @ rotmat[:, :, 0]
        middle = cameras.see(pelvis[:, :, None])[:, :, 0]
        every_rest = rest[:, None].expand(-1, frames, -1, -1).flatten(0, 1)
        return rotmat, self._figure.place(rotmat.flatten(0, 1), every_rest, middle.flatten(0, 1))

    def _finish(
        self,
        draws: Draws,
        times: Tensor,
        fps: Tensor,
        betas: Tensor,
        rest: Tensor,
        size: Tensor,
        cameras: Cameras,
        rotmat: Tensor,
        placed: Placed,
        hands: Tensor,
    ) -> Clips:
        """Look at the bodies through camera and detector."""
        shape = times.shape
        landmarks = placed.landmarks_m.unflatten(0, shape)
        joints = placed.joints_m.unflatten(0, shape)
        hidden = self._occlusion(placed.landmarks_m, placed.joints_m).unflatten(0, shape)
        true_px = cameras.project(landmarks)
        hidden = torch.maximum(hidden, draw_covers(draws, self.config.covered_share, true_px))
        sightings = draw_sightings(
            draws, self._errors, times, true_px, landmarks, hidden, size,
            self._figure.mean_size_m, cameras.focal_px, cameras.size_wh,
        )  # fmt: skip
        return Clips(
            keypoints_px=sightings.keypoints_px,
            hints_m=sightings.hints_m,
            seen=sightings.seen,
            true_px=true_px,
            landmarks_m=landmarks,
            rotmat=rotmat,
            betas=betas,
            transl_m=joints[:, :, 0] - rest[:, None, 0],
            joints_m=joints,
            joints_px=cameras.project(joints),
            focal_px=cameras.focal_px,
            size_wh=cameras.size_wh,
            fps=fps,
            world_T_camera=cameras.world_T_camera,
            hand_rotvec=hands,
        )
