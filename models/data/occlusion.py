"""Which points of a person are hidden: by the person, a body of spheres, or by things in the way."""

from __future__ import annotations

import torch
from torch import Tensor

from extpose_blender.engine.body.landmarks import landmark_map
from extpose_blender.protocol.skeletons import MEDIAPIPE_33, SMPL_24

from .draws import Draws

_SEGMENTS: tuple[tuple[str, str, float, tuple[float, ...]], ...] = (
    ("left_hip", "right_hip", 0.13, (0.5,)),
    ("pelvis", "neck", 0.12, (0.2, 0.45, 0.7)),
    ("left_shoulder", "right_shoulder", 0.10, (0.3, 0.7)),
    ("neck", "head", 0.09, (1.7,)),
    ("left_hip", "left_knee", 0.075, (0.15, 0.45, 0.75)),
    ("left_knee", "left_ankle", 0.055, (0.1, 0.4, 0.7)),
    ("left_shoulder", "left_elbow", 0.05, (0.25, 0.7)),
    ("left_elbow", "left_wrist", 0.04, (0.2, 0.6, 1.15)),
)
"""Two joints, radius of the flesh about the line between them in metres, places along it. The right
side mirrors the left."""
_BEHIND, _BEHIND_HEAD = 0.6, 0.15
"""Share of a sphere's radius by which a point must lie behind its middle to be hidden; a face lies on
its head, other points inside the flesh."""
_STEEP = 60.0
"""How fast a point gets hidden as it goes behind, per metre."""
_EDGE, _SOFT_EDGE = 3.0, 1.15
"""How fast it gets hidden as it passes the edge, and where that begins, in radii."""


class SelfOcclusion:
    """Hides landmarks behind the flesh of other parts.

    Args:
        device: Where it computes.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        carriers = landmark_map(MEDIAPIPE_33.name).joints
        rows, radii, depths, apart = [], [], [], []
        for start, end, radius, places in _all_segments():
            a, b = SMPL_24.indices(start, end)
            for place in places:
                row = torch.zeros(len(SMPL_24))
                row[a] += 1 - place
                row[b] += place
                rows.append(row)
                radii.append(radius)
                depths.append(radius * (_BEHIND_HEAD if end == "head" else _BEHIND))
                is_limb = start.partition("_")[0] == end.partition("_")[0] and "_" in start
                apart.append([not (is_limb and joint in (a, b)) for joint in carriers])
        self._middles = torch.stack(rows).to(device)  # (S, 24)
        self._radii = torch.tensor(radii, device=device)
        self._depths = torch.tensor(depths, device=device)
        kept = torch.tensor(apart, device=device).T  # (33, S)
        # A point cannot be hidden by the flesh that carries it.
        self._reach = torch.where(kept, _EDGE * _SOFT_EDGE**2, -torch.inf)

    def __call__(self, landmarks_m: Tensor, joints_m: Tensor) -> Tensor:
        """How far each landmark is hidden, from 0 to 1.

        Args:
            landmarks_m: (N, 33, 3) in the camera, metres.
            joints_m: (N, 24, 3) SMPL's joints in the camera.

        Returns:
            (N, 33): 0 in plain view, 1 well behind something.
        """
        middles = self._middles @ joints_m  # (N, S, 3)
        depth = landmarks_m.norm(dim=-1, keepdim=True)
        along = (landmarks_m / depth.clamp(min=1e-3)) @ middles.mT  # (N, 33, S)
        per_radius = _EDGE / self._radii**2
        # Positive where the line of sight passes a sphere's middle within its radius, or nearly.
        inside = along.square().mul_(per_radius)
        inside.sub_(((middles**2).sum(-1) * per_radius)[:, None]).add_(self._reach)
        behind = along.neg_().add_(depth).sub_(self._depths).mul_(_STEEP)
        return torch.minimum(inside, behind, out=inside).amax(-1).clamp(0, 1)


def _all_segments() -> list[tuple[str, str, float, tuple[float, ...]]]:
    segments = list(_SEGMENTS)
    for start, end, radius, places in _SEGMENTS:
        if start.startswith("left") and end.startswith("left"):
            pair = start.replace("left", "right"), end.replace("left", "right")
            segments.append((*pair, radius, places))
    return segments


def draw_covers(draws: Draws, share: float, points_px: Tensor) -> Tensor:
    """Hide points behind things that stand still in the picture: a desk, a post, the edge of a door.

    Args:
        draws: The batch's random numbers.
        share: Share of clips with such a thing.
        points_px: (B, T, K, 2) pixels.

    Returns:
        (B, T, K) float, 1 where hidden.
    """
    count = len(points_px)
    flat = points_px.flatten(1, 2)
    middle, spread = flat.mean(1), flat.std(1).clamp(min=1)  # (B, 2)
    # From 0 to 1 over about the person's width and height.
    at = (points_px - middle[:, None, None]) / (3.2 * spread)[:, None, None] + 0.5
    desk = at[..., 1] > draws.uniform(count, 1, 1, low=0.35, high=0.95)
    place = draws.uniform(count, 1, 1, low=-0.1, high=1.1)
    post = (at[..., 0] - place).abs() < draws.uniform(count, 1, 1, low=0.03, high=0.2)
    covered = torch.where(draws.chance(0.6, count, 1, 1), desk, post)
    return (covered & draws.chance(share, count, 1, 1)).float()
