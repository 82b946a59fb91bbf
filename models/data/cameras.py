"""Cameras as people use them: lenses, distances, tilt, pictures that cut the person off, motion.

A camera is aimed at a place of the person's path and then turned until that place lies where the
framing wants it. Static cameras stay; panning ones follow the person with some lag; those in a hand
tremble and drift.

Frames: world Z up, OpenCV camera, metres, pixels; focal lengths as on 36 mm film, along the longer
side of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .draws import Draws, smooth_factor
from .quaternions import quat_to_rotmat, rotvec_to_quat

SIZES_WH = (
    (1920, 1080), (1280, 720), (1080, 1920), (720, 1280), (640, 480), (1440, 1080), (720, 720),
    (854, 480), (480, 854), (640, 360), (3840, 2160),
)  # fmt: skip
_SIZE_WEIGHTS = (5, 4, 4, 2, 2, 1, 1, 1, 1, 2, 1)


@dataclass(frozen=True)
class CameraConfig:
    """How cameras are drawn."""

    focal_mm: tuple[float, float] = (18.0, 100.0)
    """Shortest and longest focal length, on 36 mm film."""
    person_share: tuple[float, float] = (0.18, 1.9)
    """Standing height of the person over the picture's height; above 1 the picture cuts it off."""
    nearest_m: float = 0.9
    """Least depth of the pelvis, about an arm's reach."""
    pitch_deg: tuple[float, float] = (8.0, 14.0)
    """Mean and deviation of how far a camera looks down."""
    steep_share: float = 0.08
    """Share of cameras that look down from anywhere up to 75 degrees."""
    roll_deg: float = 2.5
    """Deviation of the usual roll."""
    tilted_share: float = 0.06
    """Share of cameras that roll up to 35 degrees."""
    lowest_m: float = 0.15
    """Least height of a camera above the floor."""
    panning_share: float = 0.2
    """Share of cameras that follow the person."""
    handheld_share: float = 0.25
    """Share of cameras that tremble."""


@dataclass(frozen=True)
class Cameras:
    """B cameras over T frames."""

    world_T_camera: Tensor
    """(B, T, 4, 4)."""
    focal_px: Tensor
    """(B,) pixels."""
    size_wh: Tensor
    """(B, 2) float32: width and height, pixels."""

    def see(self, points_m: Tensor) -> Tensor:
        """World points (B, T, N, 3) in the camera, metres."""
        turn, place = self.world_T_camera[..., :3, :3], self.world_T_camera[..., :3, 3]
        return (points_m - place[:, :, None]) @ turn

    def project(self, points_m: Tensor) -> Tensor:
        """Points in the camera (B, T, N, 3) to pixels (B, T, N, 2)."""
        return project(points_m, self.focal_px, self.size_wh)


def project(points_m: Tensor, focal_px: Tensor, size_wh: Tensor) -> Tensor:
    """Points in the camera (B, T, N, 3) to pixels (B, T, N, 2); depths are held above 5 cm."""
    flat = points_m[..., :2] / points_m[..., 2:].clamp(min=0.05)
    return flat * focal_px[:, None, None, None] + 0.5 * size_wh[:, None, None]


def draw_cameras(
    draws: Draws, config: CameraConfig, pelvis_m: Tensor, height_m: Tensor, times_s: Tensor
) -> Cameras:
    """Draw a camera for each clip.

    Args:
        draws: The batch's random numbers.
        config: How they are drawn.
        pelvis_m: (B, T, 3) the person's path, world.
        height_m: (B,) the person's standing height.
        times_s: (B, T) seconds.
    """
    count, frames = times_s.shape
    size = torch.tensor(SIZES_WH, dtype=torch.float32, device=draws.device)[
        draws.choice(_SIZE_WEIGHTS, count)
    ]
    focal = draws.log_uniform(count, low=config.focal_mm[0], high=config.focal_mm[1]) / 36
    focal = focal * size.amax(-1)
    share = _draw_share(draws, config, count)
    distance = (focal * height_m / (share * size[:, 1])).clamp(min=config.nearest_m)
    target, wanted_px = _framing(draws, config, pelvis_m, height_m, focal / distance, size, share)
    away = _directions(draws, config, count)
    roll = _rolls(draws, config, count)
    place = _above_floor(target[:, 0] + distance[:, None] * away, config)
    aimed = _aim(target - place[:, None], wanted_px, focal, roll)
    for _ in range(2):
        # Who walks towards the camera must not get past it.
        depth = ((pelvis_m - place[:, None]) * aimed[..., 2]).sum(-1).amin(1)
        along = (-away[:, None] * aimed[..., 2]).sum(-1).amin(1).clamp(min=0.5)
        back = (config.nearest_m - depth).clamp(min=0) / along
        place = _above_floor(place + back[:, None] * away, config)
        aimed = _aim(target - place[:, None], wanted_px, focal, roll)
    tremble, sway = _tremble(draws, config, times_s)
    world_T_camera = torch.zeros(count, frames, 4, 4, device=draws.device)
    world_T_camera[..., 3, 3] = 1.0
    world_T_camera[..., :3, :3] = aimed @ tremble
    world_T_camera[..., :3, 3] = place[:, None] + sway
    return Cameras(world_T_camera, focal, size)


def _above_floor(place: Tensor, config: CameraConfig) -> Tensor:
    return torch.cat([place[:, :2], place[:, 2:].clamp(min=config.lowest_m)], -1)


def _draw_share(draws: Draws, config: CameraConfig, count: int) -> Tensor:
    """(B,) standing height over the picture's height: most often the whole person, not small."""
    low, high = config.person_share
    usual = (0.55 * torch.exp(0.35 * draws.normal(count))).clamp(low, high)
    anyhow = draws.log_uniform(count, low=low, high=high)
    return torch.where(draws.chance(0.6, count), usual, anyhow)


def _framing(
    draws: Draws,
    config: CameraConfig,
    pelvis: Tensor,
    height: Tensor,
    px_per_m: Tensor,
    size: Tensor,
    share: Tensor,
) -> tuple[Tensor, Tensor]:
    """What the camera is aimed at (B, T, 3), and where in the picture that lies (B, 2), pixels from
    its middle.

    Large people are framed by their upper body, as in portraits and calls.
    """
    count, frames = pelvis.shape[:2]
    clip = torch.arange(count, device=pelvis.device)
    still = pelvis[clip, draws.whole(frames, count)][:, None].expand(-1, frames, -1)
    lagging = 0.3 * pelvis.mean(1, keepdim=True) + 0.7 * pelvis
    path = torch.where(draws.chance(config.panning_share, count, 1, 1), lagging, still)
    upper = (share > 0.95) & draws.chance(0.7, count)
    lift = torch.where(upper, draws.uniform(count, low=0.1, high=0.36), 0.02) * height
    path = torch.cat([path[..., :2], path[..., 2:] + lift[:, None, None]], -1)
    room = (0.5 * size - 0.3 * (px_per_m * height)[:, None]).clamp(min=0) + 0.06 * size
    off = draws.uniform(count, 2, low=-1, high=1)
    return path, off * off.abs() * room


def _directions(draws: Draws, config: CameraConfig, count: int) -> Tensor:
    """(B, 3) unit vectors from the target to the camera."""
    yaw = draws.uniform(count, high=2 * torch.pi)
    mean, deviation = config.pitch_deg
    pitch = (mean + deviation * draws.normal(count)).clamp(-30, 75)
    steep = draws.uniform(count, low=0, high=75)
    pitch = torch.where(draws.chance(config.steep_share, count), steep, pitch).deg2rad()
    return torch.stack([pitch.cos() * yaw.cos(), pitch.cos() * yaw.sin(), pitch.sin()], -1)


def _rolls(draws: Draws, config: CameraConfig, count: int) -> Tensor:
    """(B,) turns about the optical axis, radians."""
    usual = config.roll_deg * draws.normal(count)
    tilted = draws.uniform(count, low=-35, high=35)
    return torch.where(draws.chance(config.tilted_share, count), tilted, usual).deg2rad()


def _aim(sight: Tensor, wanted_px: Tensor, focal: Tensor, roll: Tensor) -> Tensor:
    """(B, T, 3, 3) cameras that show what lies along `sight` (B, T, 3) at `wanted_px` (B, 2)."""
    forward = sight / sight.norm(dim=-1, keepdim=True)
    up = torch.zeros_like(forward)
    up[..., 2] = 1.0
    right = torch.linalg.cross(forward, up)
    right = right / right.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    level = torch.stack([right, torch.linalg.cross(forward, right), forward], -1)
    # Rolled pictures want the place where the roll has carried it.
    c, s = roll.cos(), roll.sin()
    x, y = wanted_px.unbind(-1)
    unrolled = torch.stack([c * x - s * y, s * x + c * y], -1) / focal[:, None]
    pitch = torch.atan(unrolled[:, 1])
    yaw = -torch.atan(unrolled[:, 0] / (1 + unrolled[:, 1] ** 2).sqrt())
    zero = torch.zeros_like(roll)
    turns = [
        quat_to_rotmat(rotvec_to_quat(torch.stack(vector, -1)))
        for vector in ((zero, yaw, zero), (pitch, zero, zero), (zero, zero, roll))
    ]
    return level @ (turns[0] @ turns[1] @ turns[2])[:, None]


def _tremble(draws: Draws, config: CameraConfig, times: Tensor) -> tuple[Tensor, Tensor]:
    """Small turns (B, T, 3, 3) and shifts (B, T, 3) of cameras in a hand; none for the others."""
    count, frames = times.shape
    held = draws.chance(config.handheld_share, count)[:, None, None]
    factor = smooth_factor(times, draws.log_uniform(count, low=0.12, high=0.6))
    size = draws.log_uniform(count, 1, 1, low=0.3, high=1.5)
    turn = factor @ draws.normal(count, frames, 3) * (size * held).deg2rad()
    shift = factor @ draws.normal(count, frames, 3) * (0.015 * size * held)
    return quat_to_rotmat(rotvec_to_quat(turn)), shift
