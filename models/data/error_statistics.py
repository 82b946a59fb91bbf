"""From sightings to statistics: how a detector's errors are spread, tied together, and last.

An error is taken as scale · hardness · number: the scale follows from landmark, view and score, the
hardness is the whole picture's, and the numbers are normal, tied over the body and in time. Every
sighting enters together with its mirror image.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from extpose_blender.engine.body.landmarks import skeleton_size
from extpose_blender.engine.body.load import load_body
from extpose_blender.protocol.skeletons import MEDIAPIPE_33

from .detector_errors import (
    ARMS,
    CORE,
    LEFT_HIP,
    LEGS,
    POINTS,
    RIGHT_HIP,
    VIEWS,
    followed,
    sighted,
)
from .sightings import Sighting, heights_px

SCORES = (0.0, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 1.0)
"""Scores at which scales are known."""
PRIOR_ROWS = 40.0
"""As many rows of the whole part of the body stand behind a scale before its own rows do."""
GROUPS = (
    tuple(range(11)),
    tuple(i for i, n in enumerate(MEDIAPIPE_33.joint_names) if n.partition("_")[2] in ARMS),
    tuple(i for i, n in enumerate(MEDIAPIPE_33.joint_names) if n.partition("_")[2] in LEGS),
)
"""Points whose scales help each other out: face, arms with shoulders, legs with hips."""
USUAL_2D, USUAL_3D = 1.515, 1.876
"""What 68.3 % of lengths of normal vectors of two and three numbers stay below."""


@dataclass(frozen=True)
class Rows:
    """Pictures of all sightings in which the person was found, one after the other, N in all."""

    flat: np.ndarray
    """(N, 33, 2) errors of points, shares of the person's height."""
    deep: np.ndarray
    """(N, 33, 3) errors of hints, metres."""
    true_hints: np.ndarray
    """(N, 33, 3) hints without errors, on a body of mean size."""
    score: np.ndarray
    """(N, 33)."""
    view: np.ndarray
    """(N, 33) int: index into `VIEWS`."""
    clip: np.ndarray
    """(N,) int: which sighting."""
    row: np.ndarray
    """(N,) int: which picture of it."""
    step_s: float
    """Seconds between pictures."""

    def __len__(self) -> int:
        return len(self.clip)

    def flat_m(self) -> np.ndarray:
        """(N, 33, 3) errors of points as a picture of a mean body has them, metres, from between the
        hips; no depth.
        """
        return np.asarray(followed(torch.from_numpy(self.flat)).numpy())

    def pick(self, keep: np.ndarray) -> Rows:
        """Some of the rows."""
        return Rows(
            self.flat[keep], self.deep[keep], self.true_hints[keep], self.score[keep],
            self.view[keep], self.clip[keep], self.row[keep], self.step_s,
        )  # fmt: skip

    def with_mirror(self) -> Rows:
        """The rows, and after them their mirror images."""
        mirror = list(MEDIAPIPE_33.mirror)
        two, three = np.array([-1.0, 1.0]), np.array([-1.0, 1.0, 1.0])
        parts = (
            (self.flat, self.flat[:, mirror] * two),
            (self.deep, self.deep[:, mirror] * three),
            (self.true_hints, self.true_hints[:, mirror] * three),
            (self.score, self.score[:, mirror]),
            (self.view, self.view[:, mirror]),
            (self.clip, self.clip + self.clip.max() + 1),
            (self.row, self.row),
        )
        return _stacked(parts, self.step_s)


def _stacked(parts: Iterable[tuple[np.ndarray, ...]], step_s: float) -> Rows:
    """Rows from pieces of each of their arrays."""
    flat, deep, true, score, view, clip, row = (np.concatenate(pieces) for pieces in parts)
    return Rows(flat, deep, true, score, view, clip, row, step_s)


def gather_rows(sightings: list[Sighting]) -> Rows:
    """Errors of all sightings; pictures in which sides were swapped are left out."""
    mean_size = skeleton_size(load_body("open").joints_rest(np.zeros(10, np.float32)))
    parts: list[tuple[np.ndarray, ...]] = []
    steps = []
    for i, one in enumerate(sightings):
        kept = one.seen & ~swapped(one, LEGS) & ~swapped(one, ARMS)
        height = heights_px(one)[:, None, None]
        flat = (one.keypoints_px[..., :2] - one.true_px) / height
        true = sighted(torch.from_numpy(one.landmarks_m)).numpy() * mean_size / float(one.size_m)
        hints = one.hints_m[..., :3]
        hints = hints - hints[:, [LEFT_HIP, RIGHT_HIP]].mean(1, keepdims=True)
        view = views(one)
        rows = np.flatnonzero(kept)
        parts.append(
            (flat[kept], (hints - true)[kept], true[kept], one.keypoints_px[kept, :, 2],
             view[kept], np.full(len(rows), i), rows)
        )  # fmt: skip
        steps += np.diff(one.times_s).tolist()
    step = float(np.median(steps)) if steps else 1.0
    return _stacked(zip(*parts, strict=True), step)


def views(sighting: Sighting) -> np.ndarray:
    """(T, 33) int: how each landmark is to be seen, index into `VIEWS`."""
    xy = sighting.true_px
    outside = ((xy < 0) | (xy > sighting.size_wh)).any(-1)
    hidden = np.where(sighting.hidden > 0.5, VIEWS.index("hidden"), VIEWS.index("plain"))
    return np.where(outside, VIEWS.index("outside"), hidden)


def swapped(sighting: Sighting, parts: tuple[str, ...]) -> np.ndarray:
    """(T,) bool: left and right of some parts are taken for each other."""
    left, right = (
        MEDIAPIPE_33.indices(*(f"{side}_{part}" for part in parts[1:3]))
        for side in ("left", "right")
    )
    found = sighting.keypoints_px[..., :2]
    true = sighting.true_px
    kept, crossed = (
        np.linalg.norm(found[:, left] - true[:, a], axis=-1)
        + np.linalg.norm(found[:, right] - true[:, b], axis=-1)
        for a, b in ((left, right), (right, left))
    )
    far = kept.mean(1) > 0.12 * heights_px(sighting)
    return np.asarray(sighting.seen & far & (crossed.mean(1) < 0.5 * kept.mean(1)))


def score_table(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (33, 3) of the logit of scores in each view, held by their group's."""
    logits = logit(rows.score)
    mean, spread = np.zeros((POINTS, len(VIEWS))), np.zeros((POINTS, len(VIEWS)))
    for group in GROUPS:
        for view in range(len(VIEWS)):
            member = rows.view[:, group] == view
            every = logits[:, group][member]
            if not len(every):
                every = logits[:, group].ravel()
            for point in group:
                own = logits[rows.view[:, point] == view, point]
                share = len(own) / (len(own) + PRIOR_ROWS)
                own_mean = own.mean() if len(own) else 0.0
                own_square = (own**2).mean() if len(own) else 0.0
                mean[point, view] = share * own_mean + (1 - share) * every.mean()
                square = share * own_square + (1 - share) * (every**2).mean()
                spread[point, view] = np.sqrt(max(square - mean[point, view] ** 2, 0.01))
    return mean, spread


def scale_table(errors: np.ndarray, rows: Rows, usual: float) -> np.ndarray:
    """(33, 3, S) usual error per number of each point, in each view, around each of `SCORES`.

    Args:
        errors: (N, 33, C) errors.
        rows: The rows they belong to.
        usual: What 68.3 % of lengths of normal vectors of C numbers stay below.
    """
    length = np.linalg.norm(errors, axis=-1)
    nearest = np.abs(logit(rows.score)[..., None] - logit(np.array(SCORES))).argmin(-1)
    table = np.zeros((POINTS, len(VIEWS), len(SCORES)))
    for group in GROUPS:
        for view in range(len(VIEWS)):
            member = rows.view[:, group] == view
            whole = _usual(length[:, group][member], length[:, group].ravel())
            for bin_ in range(len(SCORES)):
                near = member & (nearest[:, group] == bin_)
                pooled = _blend(length[:, group][near], whole)
                for point in group:
                    own = (rows.view[:, point] == view) & (nearest[:, point] == bin_)
                    table[point, view, bin_] = _blend(length[own, point], pooled)
    return table / usual


def _usual(lengths: np.ndarray, otherwise: np.ndarray) -> float:
    return float(np.quantile(lengths if len(lengths) >= PRIOR_ROWS else otherwise, 0.683))


def _blend(lengths: np.ndarray, prior: float) -> float:
    """A usual length, leaning on what is usual elsewhere where there are few."""
    if not len(lengths):
        return prior
    share = len(lengths) / (len(lengths) + PRIOR_ROWS)
    own = max(float(np.quantile(lengths, 0.683)), 1e-4)
    return float(np.exp(share * np.log(own) + (1 - share) * np.log(prior)))


def read_scale(table: np.ndarray, rows: Rows) -> np.ndarray:
    """(N, 33) the scale of each row's points, read between scores as `draw_sightings` does."""
    result = np.zeros(rows.score.shape)
    for point in range(POINTS):
        for view in range(len(VIEWS)):
            member = rows.view[:, point] == view
            result[member, point] = np.interp(rows.score[member, point], SCORES, table[point, view])
    return result


def lag_correlation(numbers: np.ndarray, rows: Rows, lags: list[int]) -> np.ndarray:
    """How alike (L,) numbers (N, C) are to those of the same sighting some pictures later."""
    values = []
    for lag in lags:
        first, second = lagged(rows, lag)
        a, b = numbers[first], numbers[second]
        values.append((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-9))
    return np.array(values)


def lagged(rows: Rows, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of pairs of rows that are `lag` pictures apart."""
    place = {pair: i for i, pair in enumerate(zip(rows.clip, rows.row, strict=True))}
    pairs = [
        (i, place[clip, row + lag])
        for (clip, row), i in place.items()
        if (clip, row + lag) in place
    ]
    both = np.array(pairs, int).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def core_in_view(sighting: Sighting) -> np.ndarray:
    """(T,) share of the points by which a person is found that lie in the picture."""
    return (views(sighting)[:, CORE] != VIEWS.index("outside")).mean(1)


def logit(score: np.ndarray) -> np.ndarray:
    """Logits of scores, which are held a thousandth away from 0 and 1."""
    held = np.clip(score, 1e-3, 1 - 1e-3)
    return np.log(held / (1 - held))
