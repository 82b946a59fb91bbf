"""Which points of a person are hidden by the person: a body of spheres before the camera."""

from __future__ import annotations

import torch
from torch import Tensor

from extpose_blender.engine.body.landmarks import landmark_map
from extpose_blender.protocol.skeletons import MEDIAPIPE_33, SMPL_24

_SEGMENTS: tuple[tuple[str, str, float, tuple[float, ...]], ...] = (
    ("left_hip", "right_hip", 0.13, (0.5,)),
    ("pelvis", "neck", 0.12, (0.2, 0.45, 0.7)),
    ("left_shoulder", "right_shoulder", 0.10, (0.3, 0.7)),
    ("neck", "head", 0.10, (1.6,)),
    ("left_hip", "left_knee", 0.075, (0.15, 0.45, 0.75)),
    ("left_knee", "left_ankle", 0.055, (0.1, 0.4, 0.7)),
    ("left_shoulder", "left_elbow", 0.05, (0.25, 0.7)),
    ("left_elbow", "left_wrist", 0.04, (0.2, 0.6, 1.15)),
)
"""Two joints, radius of the flesh about the line between them in metres, places along it. The right
side mirrors the left."""
_BEHIND = 0.6
"""Share of a sphere's radius by which a point must lie behind its middle to be hidden."""


class SelfOcclusion:
    """Hides landmarks behind the flesh of other parts.

    Args:
        device: Where it computes.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        carriers = landmark_map(MEDIAPIPE_33.name).joints
        rows, radii, apart = [], [], []
        for start, end, radius, places in _all_segments():
            a, b = SMPL_24.indices(start, end)
            for place in places:
                row = torch.zeros(len(SMPL_24))
                row[a] += 1 - place
                row[b] += place
                rows.append(row)
                radii.append(radius)
                is_limb = start.partition("_")[0] == end.partition("_")[0] and "_" in start
                apart.append([not (is_limb and joint in (a, b)) for joint in carriers])
        self._middles = torch.stack(rows).to(device)  # (S, 24)
        self._radii = torch.tensor(radii, device=device)
        self._apart = torch.tensor(apart, device=device).T.float()  # (33, S)

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
        beside = ((middles**2).sum(-1)[:, None] - along**2).clamp(min=0).sqrt()
        inside = (1.15 - beside / self._radii) * 6
        behind = (depth - along - _BEHIND * self._radii) * 60
        cover = torch.minimum(inside, behind).clamp(0, 1) * self._apart
        return cover.amax(-1)


def _all_segments() -> list[tuple[str, str, float, tuple[float, ...]]]:
    segments = list(_SEGMENTS)
    for start, end, radius, places in _SEGMENTS:
        if start.startswith("left") and end.startswith("left"):
            pair = start.replace("left", "right"), end.replace("left", "right")
            segments.append((*pair, radius, places))
    return segments
