"""`python -m models.data.measure_detector`: how MediaPipe's detector errs, written down.

    python -m models.data.measure_detector collect [--videos DIR …] [--stills DIR …] --out SIGHTINGS.npz
    python -m models.data.measure_detector fit SIGHTINGS.npz          # writes mediapipe_errors.npz
    python -m models.data.measure_detector compare SIGHTINGS.npz      # made errors beside real ones

DIR are folders of `python -m models.data.render_sightings` (videos) and `python -m
models.priors.render_views` (single pictures). Neither shows a sequence of `models/evaluate`'s lists.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from extpose_blender.protocol.files import write_npz

from .compare_errors import print_comparison
from .detector_errors import ARMS, ERRORS_FILE, LEGS, PARTS, POINTS
from .error_statistics import (
    SCORES,
    USUAL_2D,
    USUAL_3D,
    Rows,
    core_in_view,
    gather_rows,
    lag_correlation,
    lagged,
    logit,
    read_scale,
    scale_table,
    score_table,
    swapped,
)
from .sightings import Sighting, collect, read_sightings, write_sightings

RIDGE = 30.0
"""Pull of the map from true hints to their usual error towards none, in rows of usual size."""
FAR = 4.0
"""Scaled errors beyond this are cut off: the hardness of pictures holds the long tails."""
_NEAR = 0.2
LAGS = (1, 2, 3, 4, 6, 8, 12, 16, 20, 25)


def main(arguments: list[str] | None = None) -> int:
    """Collect, fit or compare; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m models.data.measure_detector",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("collect", help="show rendered pictures to the detector")
    verb.add_argument("--videos", type=Path, nargs="*", default=[])
    verb.add_argument("--stills", type=Path, nargs="*", default=[])
    verb.add_argument("--seed", type=int, default=0, help="chooses where pictures are cut")
    verb.add_argument("--out", type=Path, required=True)
    verb = verbs.add_parser("fit", help="write the statistics that training draws from")
    verb.add_argument("sightings", type=Path, nargs="+")
    verb.add_argument("--out", type=Path, default=ERRORS_FILE)
    verb = verbs.add_parser("compare", help="print made errors beside real ones")
    verb.add_argument("sightings", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    if options.verb == "collect":
        found = [s for folder in options.videos for s in collect(folder, False, options.seed)]
        found += [s for folder in options.stills for s in collect(folder, True, options.seed)]
        write_sightings(options.out, found)
        return 0
    sightings = [s for path in options.sightings for s in read_sightings(path)]
    if options.verb == "compare":
        print_comparison(sightings)
        return 0
    arrays = fit_errors(sightings)
    write_npz(
        options.out, {n: a if a.dtype.kind == "U" else a.astype("f4") for n, a in arrays.items()}
    )
    print(f"{sum(len(s.seen) for s in sightings)} pictures in {options.out}", file=sys.stderr)
    return 0


def fit_errors(sightings: list[Sighting]) -> dict[str, np.ndarray]:
    """The arrays of `ErrorModel`, and `meta`."""
    rows = gather_rows(sightings).with_mirror()
    score_mean, score_spread = score_table(rows)
    usual_score = score_mean[np.arange(POINTS), rows.view]
    follow = fit_follow(rows)
    rows = replace(rows, deep=rows.deep - follow[:, None] * rows.flat_m())
    hint_map = fit_hint_map(rows)
    deep = rows.deep - usual_hint_error(hint_map, rows)
    scales = [
        scale_table(errors, rows, usual)
        for errors, usual in ((rows.flat, USUAL_2D), (deep, USUAL_3D))
    ]
    scaled = [
        errors / read_scale(table, rows)[..., None]
        for errors, table in zip((rows.flat, deep), scales, strict=True)
    ]
    numbers, hardness_mean, hardness_factor = take_hardness_out(*scaled)
    smooth, tremble = split_in_time(numbers, rows)
    return {
        "score_mean": score_mean,
        "score_spread": score_spread,
        "scale_scores": np.array(SCORES),
        "scale": scales[0],
        "hint_scale": scales[1],
        "hardness_mean": hardness_mean,
        "hardness_factor": hardness_factor,
        "smooth_factor": smooth,
        "tremble_factor": tremble,
        "burst": burst_of(numbers, rows),
        "error_time": lasting([rows.flat, deep], rows),
        "score_time": lasting([logit(rows.score) - usual_score], rows),
        "follow": follow,
        "hint_map": hint_map,
        **count_events(sightings),
        "meta": np.array(json.dumps(_provenance(sightings))),
    }


def fit_follow(rows: Rows) -> np.ndarray:
    """(33,) how much of a point's 2D error its hint has as well, for points that are not far off."""
    flat, deep = rows.flat_m()[..., :2], rows.deep[..., :2]
    near = (np.linalg.norm(rows.flat, axis=-1) < _NEAR)[..., None]
    share = (flat * deep * near).sum((0, 2)) / np.maximum((flat**2 * near).sum((0, 2)), 1e-9)
    return np.asarray(share.clip(0, 1.5))


def fit_hint_map(rows: Rows) -> np.ndarray:
    """(99, 100) the usual error of hints as a linear function of the true ones.

    Ridge regression; bad pictures count less, for their errors follow from nothing.
    """
    true = rows.true_hints.reshape(len(rows), -1)
    errors = rows.deep.reshape(len(rows), -1)
    size = np.sqrt((errors**2).mean(1))
    weight = 1 / (1 + (size / np.median(size)) ** 2)
    inputs = np.concatenate([true, np.ones((len(rows), 1))], 1)
    square = (inputs * weight[:, None]).T @ inputs
    pull = RIDGE * (true**2).mean() * np.eye(inputs.shape[1])
    pull[-1, -1] = 0.0
    return np.asarray(np.linalg.solve(square + pull, (inputs * weight[:, None]).T @ errors).T)


def usual_hint_error(hint_map: np.ndarray, rows: Rows) -> np.ndarray:
    """(N, 33, 3) what `hint_map` says of each row."""
    true = rows.true_hints.reshape(len(rows), -1)
    return np.asarray((true @ hint_map[:, :-1].T + hint_map[:, -1]).reshape(rows.deep.shape))


def take_hardness_out(
    flat: np.ndarray, deep: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scaled errors (N, 165) of pictures of equal hardness, and mean (2,) and factor (2, 2) of its
    logarithm.

    Part of what a single picture's size varies by is chance; normal numbers with the same ties tell
    how much.
    """
    sizes, parts = [], []
    for errors in (flat, deep):
        cut = np.clip(errors, -FAR, FAR).reshape(len(errors), -1)
        size = np.sqrt((cut**2).mean(1)).clip(1e-3)
        sizes.append(np.log(size))
        parts.append(cut / size[:, None])
    numbers = np.concatenate(parts, 1)
    chance = np.random.default_rng(0).standard_normal((4000, PARTS)) @ _root(_square(numbers)).T
    split = 2 * POINTS
    by_chance = np.stack(
        [0.5 * np.log((half**2).mean(1)) for half in (chance[:, :split], chance[:, split:])], 1
    )
    logs = np.stack(sizes, 1)
    spread = np.cov(logs.T) - np.cov(by_chance.T)
    return numbers, logs.mean(0) - by_chance.mean(0), _root(spread)


def lasting(errors: list[np.ndarray], rows: Rows) -> np.ndarray:
    """(3,) share of the lasting part of what is smooth in errors (N, …), how long it lasts, and how
    long the rest does, seconds.

    Large errors weigh most, as they do in what follows from them; the largest are cut off. What two
    smooth parts do not explain trembles from picture to picture.
    """
    alike = []
    for array in errors:
        flat = array.reshape(len(rows), -1)
        held = np.clip(flat, *np.quantile(flat, [0.02, 0.98]))
        alike.append(lag_correlation(held, rows, list(LAGS)))
    lags_s, wanted = np.array(LAGS) * rows.step_s, np.mean(alike, 0)
    best = (np.inf, np.array([0.5, 2.0, 0.2]))
    for slow in np.geomspace(0.4, 8, 30):
        for quick in np.geomspace(0.03, 0.3, 20):
            shapes = np.stack([_smooth(lags_s / slow), _smooth(lags_s / quick)], 1)
            shares = np.linalg.lstsq(shapes, wanted, rcond=None)[0].clip(1e-3)
            shares /= max(shares.sum(), 1.0)
            miss = float(((shapes @ shares - wanted) ** 2).sum())
            if miss < best[0]:
                best = miss, np.array([shares[0] / shares.sum(), slow, quick])
    return best[1]


def _smooth(distance: np.ndarray) -> np.ndarray:
    """The correlation that `smooth_factor` of `draws.py` makes."""
    return np.asarray((1 + distance) * np.exp(-distance))


def split_in_time(numbers: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Factors (165, 165) of what is smooth and what trembles in scaled errors (N, 165).

    Second differences over neighbouring pictures hold six times what trembles, and little else.
    """
    first, second = lagged(rows, 1)
    after = dict(zip(first.tolist(), second.tolist(), strict=True))
    triples = np.array([(a, b, after[b]) for a, b in after.items() if b in after])
    bends = numbers[triples[:, 0]] - 2 * numbers[triples[:, 1]] + numbers[triples[:, 2]]
    trembles = _square(np.clip(bends, *np.quantile(bends, [0.01, 0.99]))) / 6
    return _root(_square(numbers) - trembles), _root(trembles)


def burst_of(numbers: np.ndarray, rows: Rows) -> np.ndarray:
    """() deviation of the logarithm of how strongly scaled errors (N, 165) change.

    For normal changes of one strength the median is 0.6745 of the root of the mean square; a strength
    whose logarithm is spread by s makes it exp(s²) times smaller.
    """
    first, second = lagged(rows, 1)
    change = numbers[second] - numbers[first]
    ratio = 0.6745 * np.sqrt((change**2).mean(0)) / np.median(np.abs(change), 0).clip(1e-6)
    return np.asarray(np.sqrt(np.log(np.median(ratio).clip(1.0))))


def count_events(sightings: list[Sighting]) -> dict[str, np.ndarray]:
    """Shares of swaps and of pictures without the person."""
    shares, runs = [], []
    for parts in (LEGS, ARMS):
        marks = [swapped(s, parts) for s in sightings]
        shares.append(np.concatenate(marks)[np.concatenate([s.seen for s in sightings])].mean())
        runs += [run for s, m in zip(sightings, marks, strict=True) for run in _runs_s(m, s)]
    view = np.concatenate([core_in_view(s) for s in sightings])
    seen = np.concatenate([s.seen for s in sightings])
    whole, half = view > 0.99, (view > 0.3) & (view < 0.7)
    lost = [1 - seen[part].mean() if part.any() else 0.0 for part in (whole, half)]
    return {
        "swaps": np.array(shares),
        "swap_tau_s": np.asarray(np.clip(np.mean(runs) if runs else 0.1, 0.03, 1.0)),
        "lost": np.array(lost),
    }


def _runs_s(marks: np.ndarray, sighting: Sighting) -> list[float]:
    """Durations of the runs of true marks; single pictures have none."""
    if len(marks) < 2:
        return []
    step = float(np.diff(sighting.times_s).mean())
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marks.astype(int), [0]])))
    return [float(b - a) * step for a, b in edges.reshape(-1, 2)]


def _square(numbers: np.ndarray) -> np.ndarray:
    return np.asarray(numbers.T @ numbers / len(numbers))


def _root(square: np.ndarray) -> np.ndarray:
    """A factor whose square is the nearest to a symmetric matrix that can be one."""
    values, vectors = np.linalg.eigh(0.5 * (square + square.T))
    return np.asarray(vectors * np.sqrt(values.clip(0)))


def _provenance(sightings: list[Sighting]) -> dict[str, object]:
    digest = hashlib.sha256()
    for one in sightings:
        digest.update(np.ascontiguousarray(one.keypoints_px).tobytes())
    return {
        "made by": "models/data/measure_detector.py",
        "detector": "mediapipe 0.10.21, pose_landmark_full, as engine/detect/mediapipe.py runs it",
        "videos": sum(len(s.seen) > 1 for s in sightings),
        "pictures": sum(len(s.seen) for s in sightings),
        "sha256 of its answers": digest.hexdigest(),
    }


if __name__ == "__main__":
    sys.exit(main())
