"""What MediaPipe would say of a person whose landmarks are known: its errors, drawn in batches.

The numbers are measured by `measure_detector.py` and lie in `mediapipe_errors.npz`. Errors of 2D
points and 3D hints are drawn together: a part that stays for a while, one that trembles, both
tied over the body. How large they are follows from the landmark, from whether it is in plain view,
hidden or beyond the picture, from its score, and from how hard the whole picture is. Sides get
swapped, people are lost.

Frames: pixels; hints in OpenCV axes of a camera that looks straight at the person, metres, origin
between the hips.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from extpose_blender.protocol.errors import BadModelFile
from extpose_blender.protocol.files import read_npz
from extpose_blender.protocol.skeletons import MEDIAPIPE_33

from .draws import Draws, smooth_factor

ERRORS_FILE = Path(__file__).with_name("mediapipe_errors.npz")
POINTS = len(MEDIAPIPE_33)
PARTS = 5 * POINTS
"""Numbers of one joint error: x and y of 33 points in shares of the person's height, then x, y and z
of 33 hints in metres."""
HEIGHT_M = 1.7
"""Height of the people that hints show."""
LEFT_HIP, RIGHT_HIP = MEDIAPIPE_33.indices("left_hip", "right_hip")
LEGS = ("hip", "knee", "ankle", "heel", "foot_index")
ARMS = ("shoulder", "elbow", "wrist", "pinky", "index", "thumb")
VIEWS = ("plain", "hidden", "outside")
"""How a landmark can be seen: in plain view, behind the person's own flesh, beyond the picture."""
LIMBS = (
    tuple(range(11)),
    *(
        MEDIAPIPE_33.indices(*(f"{side}_{part}" for part in parts))
        for parts in (ARMS, LEGS)
        for side in ("left", "right")
    ),
)
"""Points of the face, the arms with their shoulders, and the legs with their hips."""
CORE = MEDIAPIPE_33.indices("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
"""Points by which a person is found."""


@dataclass(frozen=True)
class ErrorModel:
    """Statistics of the detector's errors."""

    score_mean: Tensor
    """(33, 3) mean logit of the score in each of `VIEWS`."""
    score_spread: Tensor
    """(33, 3) its deviation."""
    burst: Tensor
    """() deviation of the logarithm of how strongly a limb's errors change: mostly little, at times a
    lot."""
    score_time: Tensor
    """(3,) the same of scores, whose lasting part points share in part."""
    scale_scores: Tensor
    """(S,) ascending scores at which the scales are known."""
    scale: Tensor
    """(33, 3, S) usual 2D error at those scores in each of `VIEWS`, shares of the person's height."""
    hint_scale: Tensor
    """(33, 3, S) usual error of hints, metres."""
    hardness_mean: Tensor
    """(2,) mean logarithm of how hard a picture is, for points and for hints."""
    hardness_factor: Tensor
    """(2, 2) from independent numbers to its deviations."""
    smooth_factor: Tensor
    """(165, 165) from independent numbers to what is smooth in scaled errors."""
    tremble_factor: Tensor
    """(165, 165) the same for what changes from picture to picture."""
    error_time: Tensor
    """(3,) share of the lasting part of smooth errors, how long it and the other last, seconds."""
    follow: Tensor
    """(33,) how much of a point's 2D error its hint has as well."""
    hint_map: Tensor
    """(99, 100) from true hints and 1 to what hints have on top of them, on average."""
    swaps: Tensor
    """(2,) share of frames in which legs, and arms, are taken for each other's."""
    swap_tau_s: Tensor
    """() how long a swap lasts, seconds."""
    lost: Tensor
    """(2,) share of frames without the person at full view, and when half of it is in view."""

    @cached_property
    def limb_of_part(self) -> Tensor:
        """(165,) int64: index into `LIMBS` of each number of a joint error."""
        limb = torch.zeros(POINTS, dtype=torch.int64)
        for i, points in enumerate(LIMBS):
            limb[list(points)] = i
        both = torch.cat([limb.repeat_interleave(2), limb.repeat_interleave(3)])
        return both.to(self.scale.device)

    def to(self, device: torch.device | str) -> ErrorModel:
        """The same on a device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @staticmethod
    def load(path: Path = ERRORS_FILE) -> ErrorModel:
        """Read the measured statistics. Raises BadModelFile for a missing or damaged file."""
        arrays = read_npz(path, BadModelFile)
        missing = [f.name for f in fields(ErrorModel) if f.name not in arrays]
        if missing:
            raise BadModelFile(f"`{path}` lacks {', '.join(missing)}")
        return ErrorModel(
            **{f.name: torch.as_tensor(arrays[f.name]).float() for f in fields(ErrorModel)}
        )


@dataclass(frozen=True)
class Seen:
    """What the detector says of B people over T frames."""

    keypoints_px: Tensor
    """(B, T, 33, 3) x, y, score."""
    hints_m: Tensor
    """(B, T, 33, 4) x, y, z, score."""
    seen: Tensor
    """(B, T) bool."""


def draw_sightings(
    draws: Draws,
    model: ErrorModel,
    times_s: Tensor,
    true_px: Tensor,
    landmarks_m: Tensor,
    hidden: Tensor,
    size_m: Tensor,
    mean_size_m: float,
    focal_px: Tensor,
    size_wh: Tensor,
) -> Seen:
    """Draw what the detector would say.

    Args:
        draws: The batch's random numbers.
        model: The statistics.
        times_s: (B, T) seconds.
        true_px: (B, T, 33, 2) where the points are in the picture.
        landmarks_m: (B, T, 33, 3) and in the camera.
        hidden: (B, T, 33) how far each is hidden, 0 to 1.
        size_m: (B,) `skeleton_size` of each person.
        mean_size_m: That of the mean body, whose size hints have.
        focal_px: (B,) focal length.
        size_wh: (B, 2) size of the picture.
    """
    outside = beyond_picture(true_px, size_wh)
    score = _draw_scores(draws, model, times_s, hidden, outside)
    errors = _draw_errors(draws, model, times_s, score, hidden, outside)
    depth = landmarks_m[:, :, [LEFT_HIP, RIGHT_HIP], 2].mean(-1).clamp(min=0.2)
    height_px = (focal_px * size_m / 0.75)[:, None] / depth
    flat = errors[..., : 2 * POINTS].unflatten(-1, (POINTS, 2))
    points = true_px + flat * height_px[..., None, None]
    hints = sighted(landmarks_m) * (mean_size_m / size_m)[:, None, None, None]
    usual = hints.flatten(-2) @ model.hint_map[:, :-1].T + model.hint_map[:, -1]
    hints = hints + usual.unflatten(-1, (POINTS, 3)) + followed(flat) * model.follow[:, None]
    hints = hints + errors[..., 2 * POINTS :].unflatten(-1, (POINTS, 3))
    hints = hints - hints[:, :, [LEFT_HIP, RIGHT_HIP]].mean(2, keepdim=True)
    order = _draw_swaps(draws, model, times_s)
    points = points.gather(2, order[..., None].expand_as(points))
    hints = hints.gather(2, order[..., None].expand_as(hints))
    seen = _draw_seen(draws, model, times_s, outside, height_px)
    there = seen[..., None, None]
    keypoints = torch.cat([points, score[..., None]], -1) * there
    return Seen(keypoints, torch.cat([hints, score[..., None]], -1) * there, seen)


def followed(flat: Tensor) -> Tensor:
    """Errors of points (..., 33, 2), shares of the person's height, as those of hints (..., 33, 3):
    metres from between the hips, without depth.
    """
    metres = (flat - flat[..., [LEFT_HIP, RIGHT_HIP], :].mean(-2, keepdim=True)) * HEIGHT_M
    return torch.cat([metres, torch.zeros_like(metres[..., :1])], -1)


def beyond_picture(points_px: Tensor, size_wh: Tensor) -> Tensor:
    """(B, T, K) bool: points (B, T, K, 2) outside pictures of size (B, 2)."""
    return ((points_px < 0) | (points_px > size_wh[:, None, None])).any(-1)


def sighted(landmarks_m: Tensor) -> Tensor:
    """Points of the camera (..., 33, 3) from between the hips, in the axes of a camera that looks
    straight there.

    The turn is the shortest one, as in `engine/lift/fit/evidence.py`.
    """
    middle = landmarks_m[..., [LEFT_HIP, RIGHT_HIP], :].mean(-2)
    x, y, z = (middle / middle.norm(dim=-1, keepdim=True).clamp(min=1e-6)).unbind(-1)
    share = 1 / (1 + z).clamp(min=1e-3)
    rows = [1 - x * x * share, -x * y * share, -x, -x * y * share, 1 - y * y * share, -y, x, y, z]
    straight = torch.stack(rows, -1).unflatten(-1, (3, 3))
    return (landmarks_m - middle[..., None, :]) @ straight.mT


def _draw_scores(
    draws: Draws, model: ErrorModel, times: Tensor, hidden: Tensor, outside: Tensor
) -> Tensor:
    """(B, T, 33) scores that follow from view, and change slowly."""
    normal = (0.5**0.5) * (
        _wandering(draws, model.score_time, times, 1)
        + _wandering(draws, model.score_time, times, POINTS)
    )
    view, behind, away = model.score_mean.unbind(-1)
    mean = view + hidden * (behind - view)
    spread = model.score_spread[:, 0] + hidden * (
        model.score_spread[:, 1] - model.score_spread[:, 0]
    )
    mean = torch.where(outside, away, mean)
    spread = torch.where(outside, model.score_spread[:, 2], spread)
    return torch.sigmoid(mean + spread * normal)


def _draw_errors(
    draws: Draws, model: ErrorModel, times: Tensor, score: Tensor, hidden: Tensor, outside: Tensor
) -> Tensor:
    """(B, T, 165) errors of points and hints."""
    count, frames = times.shape
    lasting, passing = _parts(draws, model.error_time, times, PARTS)
    trembling = draws.normal(count, frames, PARTS) @ model.tremble_factor.T
    limbs = _wandering(draws, model.error_time, times, len(LIMBS))
    strength = torch.exp(model.burst * limbs - model.burst**2)[..., model.limb_of_part]
    errors = lasting @ model.smooth_factor.T
    errors = errors + strength * (passing @ model.smooth_factor.T + trembling)
    # Half of what makes a picture hard stays throughout a clip: clothes, light, the view.
    wave = _wandering(draws, model.error_time, times, 2)
    mixed = (0.5**0.5) * (wave + draws.normal(count, 1, 2))
    hard = torch.exp(model.hardness_mean + mixed @ model.hardness_factor.T)
    scales = [
        scale_at(model.scale_scores, table, score, hidden, outside) * hard[..., i, None]
        for i, table in enumerate((model.scale, model.hint_scale))
    ]
    spread = (scales[0].repeat_interleave(2, -1), scales[1].repeat_interleave(3, -1))
    return errors * torch.cat(spread, -1)


def _wandering(draws: Draws, time: Tensor, times: Tensor, size: int) -> Tensor:
    """(B, T, size) smooth numbers of deviation 1, part of which last; `time` as `error_time`."""
    lasting, passing = _parts(draws, time, times, size)
    return lasting + passing


def _parts(draws: Draws, time: Tensor, times: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The lasting and the passing part of `_wandering`."""
    shares = torch.stack([time[0], 1 - time[0]]).sqrt()
    lasting, passing = (
        share * (smooth_factor(times, tau) @ draws.normal(*times.shape, size))
        for share, tau in zip(shares.unbind(), time[1:].unbind(), strict=True)
    )
    return lasting, passing


def scale_at(
    knots: Tensor, table: Tensor, score: Tensor, hidden: Tensor, outside: Tensor
) -> Tensor:
    """(..., 33) values of a table (33, 3, S).

    Args:
        knots: (S,) scores of the table.
        table: Values of each point, view and score.
        score: (..., 33) scores; values lie between those of the nearest knots.
        hidden: (..., 33) how far each point is hidden, 0 to 1.
        outside: (..., 33) bool: beyond the picture.
    """
    index = torch.searchsorted(knots, score.contiguous()).clamp(1, len(knots) - 1)
    low, high = knots[index - 1], knots[index]
    share = ((score - low) / (high - low)).clamp(0, 1)
    point = torch.arange(len(table), device=score.device)
    known = torch.where(outside, VIEWS.index("outside"), (hidden > 0.5).long())
    return table[point, known, index - 1] * (1 - share) + table[point, known, index] * share


def _draw_swaps(draws: Draws, model: ErrorModel, times: Tensor) -> Tensor:
    """(B, T, 33) whose place each point shows: its own, or for a while the other side's."""
    count, frames = times.shape
    factor = smooth_factor(times, model.swap_tau_s)
    level = torch.distributions.Normal(0.0, 1.0).icdf((1 - model.swaps).clamp(0.5, 1 - 1e-6))
    swapped = factor @ draws.normal(count, frames, 2) > level.to(times)
    order = torch.arange(POINTS, device=times.device)
    result = order.expand(count, frames, POINTS)
    for column, parts in enumerate((LEGS, ARMS)):
        other = order.clone()
        for part in parts:
            left, right = MEDIAPIPE_33.indices(f"left_{part}", f"right_{part}")
            other[left], other[right] = right, left
        result = torch.where(swapped[..., column, None], other[result], result)
    return result


def _draw_seen(
    draws: Draws, model: ErrorModel, times: Tensor, outside: Tensor, height_px: Tensor
) -> Tensor:
    """(B, T) bool: found, which needs head or trunk in the picture and some size."""
    count, frames = times.shape
    in_view = 1 - outside[..., CORE].float().mean(-1)
    least, half = model.lost.clamp(1e-4, 0.5).unbind(-1)
    share = torch.exp(least.log() + 2 * (1 - in_view) * (half.log() - least.log())).clamp(max=0.98)
    share = torch.where((in_view < 0.3) | (height_px < 24), 1.0, share)
    wave = smooth_factor(times, 0.1) @ draws.normal(count, frames, 1)
    return torch.distributions.Normal(0.0, 1.0).cdf(wave[..., 0]) > share
