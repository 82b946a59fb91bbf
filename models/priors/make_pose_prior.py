"""`python -m models.priors.make_pose_prior MOTION`: the pose prior of the lifter `fit` from
captured motion.

MOTION is the folder that `python -m models.mocap` writes. Sequences of
`models/evaluate/held_out.toml` are left out. Every pose enters together with its mirror image.
Writes `models/priors/pose.npz`.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from extpose_blender.engine.lift.fit.chain import (
    BODY_JOINTS,
    ROOT_SIZE,
    pose_map,
    pose_mirror,
    pose_names,
)
from extpose_blender.protocol.files import write_npz
from extpose_blender.protocol.geometry import rotmat_to_rotvec, rotvec_to_rotmat

FOLDER = Path(__file__).resolve().parent
HELD_OUT = FOLDER.parent / "evaluate" / "held_out.toml"

PARTS = 6
"""Gaussians of the mixture; their mirror images and a wide one that lets unusual poses be come on
top."""
ROUNDS = 40
POSES_PER_SEQUENCE = 120
SPREAD = 0.08
"""Radians added to every spread: retargeting and bodies differ by about this much."""
WIDE_SHARE, WIDE_FACTOR = 0.1, 4.0
FEWEST_ROWS = 10
LEAST_ACCELERATION = 5.0
"""Joints that captures leave out still move: rad/s²."""


def main(arguments: list[str] | None = None) -> int:
    """Make the prior; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m models.priors.make_pose_prior", description=__doc__
    )
    parser.add_argument("motion", type=Path, help="folder of group/name.npz on SMPL-H")
    parser.add_argument("--out", type=Path, default=FOLDER / "pose.npz")
    options = parser.parse_args(arguments)
    poses, accelerations, names = [], [], []
    for key, rotvec, trans, fps, steady in training_sequences(options.motion):
        q = to_angles(rotvec)
        keep = np.linspace(0, len(q) - 1, min(len(q), POSES_PER_SEQUENCE)).astype(int)
        poses.append(q[keep][steady[keep]])
        accelerations.append(usual_acceleration(rotvec, trans, q, fps, steady))
        names.append(key)
    stacked = with_mirrors(np.concatenate(poses))
    means, covariances, shares = fit_mixture(stacked, PARTS)
    acceleration = np.nanmean(np.stack(accelerations), axis=0)
    acceleration[ROOT_SIZE:] = mirror_mean(acceleration[ROOT_SIZE:]).clip(LEAST_ACCELERATION)
    write_prior(options.out, means, covariances, shares, acceleration)
    print(f"{len(stacked)} poses of {len(names)} sequences in {options.out}", file=sys.stderr)
    return 0


def training_sequences(
    folder: Path,
) -> Iterator[tuple[str, np.ndarray, np.ndarray, float, np.ndarray]]:
    """Key, rotation vectors (T, 52, 3), translation (T, 3), fps and steadiness (T,) of what may be
    used.
    """
    held_out = {s["key"] for s in tomllib.loads(HELD_OUT.read_text(encoding="utf-8"))["sequence"]}
    for path in sorted(folder.glob("*/*.npz")):
        key = f"{path.parent.name}/{path.stem}"
        if key in held_out:
            continue
        with np.load(path, allow_pickle=False) as data:
            rotvec = data["poses"].reshape(len(data["poses"]), -1, 3).astype(float)
            yield (
                key,
                rotvec,
                data["trans"].astype(float),
                float(data["mocap_framerate"]),
                data["steady"],
            )


def to_angles(rotvec: np.ndarray) -> np.ndarray:
    """(T, Q) angles `q` nearest to rotation vectors (T, J, 3)."""
    flat = rotvec[:, 1:BODY_JOINTS].reshape(len(rotvec), -1)
    return np.asarray(flat @ np.linalg.pinv(pose_map()).T)


def with_mirrors(q: np.ndarray) -> np.ndarray:
    """Poses (N, Q) and after them their mirror images."""
    source, sign = pose_mirror()
    return np.concatenate([q, q[:, source] * sign])


def mirror_mean(values: np.ndarray) -> np.ndarray:
    """Per-angle values (Q,) made equal on both sides."""
    source, _ = pose_mirror()
    return np.asarray(0.5 * (values + values[source]))


def usual_acceleration(
    rotvec: np.ndarray, trans: np.ndarray, q: np.ndarray, fps: float, steady: np.ndarray
) -> np.ndarray:
    """(6 + Q,) an acceleration that a quarter of the rows exceeds: rad/s² and m/s²; NaN for too few
    rows.

    A mean of squares would be a few capture faults' alone.
    """
    turns = rotvec_to_rotmat(rotvec[:, 0])
    spin = rotmat_to_rotvec(turns[1:] @ np.swapaxes(turns[:-1], -1, -2))
    speed = np.concatenate([spin, np.diff(trans, axis=0), np.diff(q, axis=0)], -1)
    size = np.abs(np.diff(speed, axis=0)) * fps**2
    good = steady[2:] & steady[1:-1]
    if good.sum() < FEWEST_ROWS:
        return np.full(speed.shape[1], np.nan)
    usual = np.quantile(size[good], 0.75, axis=0)
    # The camera may look from anywhere: the root's axes share one number each for turn and place.
    usual[:3], usual[3:6] = usual[:3].mean(), usual[3:6].mean()
    return np.asarray(usual)


def fit_mixture(q: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (C, Q), covariances (C, Q, Q) and shares (C,) by expectation maximisation; always the
    same.
    """
    generator = np.random.default_rng(0)
    size = q.shape[1]
    floor = SPREAD**2 * np.eye(size)
    whole = np.cov(q.T) + floor
    means = spread_starts(q, parts, generator)
    covariances = np.repeat(whole[None], parts, 0)
    shares = np.full(parts, 1.0 / parts)
    for _ in range(ROUNDS):
        member = responsibilities(q, means, covariances, shares)
        mass = member.sum(0) + 1e-9
        shares = mass / mass.sum()
        means = member.T @ q / mass[:, None]
        for part in range(parts):
            away = q - means[part]
            own = (away * member[:, part, None]).T @ away / mass[part]
            # Few poses in a part say little about 46 angles' ties: lean on the whole then.
            trust = mass[part] / (mass[part] + 4 * size)
            covariances[part] = trust * own + (1 - trust) * whole + floor
    source, sign = pose_mirror()
    other = covariances[:, source][:, :, source] * np.outer(sign, sign)
    means = np.concatenate([means, means[:, source] * sign, q.mean(0, keepdims=True)])
    covariances = np.concatenate([covariances, other, (WIDE_FACTOR * whole)[None]])
    return means, covariances, np.append(np.tile(shares, 2) * (1 - WIDE_SHARE) / 2, WIDE_SHARE)


def spread_starts(q: np.ndarray, parts: int, generator: np.random.Generator) -> np.ndarray:
    """(C, Q) poses far from each other (k-means++)."""
    starts = [q.mean(0)]
    for _ in range(parts - 1):
        nearest = np.min([((q - start) ** 2).sum(-1) for start in starts], axis=0)
        starts.append(q[generator.choice(len(q), p=nearest / nearest.sum())])
    return np.stack(starts)


def responsibilities(
    q: np.ndarray, means: np.ndarray, covariances: np.ndarray, shares: np.ndarray
) -> np.ndarray:
    """(N, C) probability that a pose belongs to each part."""
    log = np.stack(
        [
            log_density(q, m, c) + np.log(s)
            for m, c, s in zip(means, covariances, shares, strict=True)
        ],
        -1,
    )
    log -= log.max(-1, keepdims=True)
    member = np.exp(log)
    return np.asarray(member / member.sum(-1, keepdims=True))


def log_density(q: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """(N,) log density of one Gaussian, up to a constant that all share."""
    factor = np.linalg.cholesky(covariance)
    away = np.linalg.solve(factor, (q - mean).T)
    return np.asarray(-0.5 * (away**2).sum(0) - np.log(np.diag(factor)).sum())


def write_prior(
    path: Path,
    means: np.ndarray,
    covariances: np.ndarray,
    shares: np.ndarray,
    acceleration: np.ndarray,
) -> None:
    """Write the arrays that `engine/lift/fit/prior.py` reads."""
    normal = [-np.log(np.diag(np.linalg.cholesky(c))).sum() for c in covariances]
    write_npz(
        path,
        {
            "names": np.array(pose_names()),
            "means": means.astype(np.float32),
            "precisions": np.linalg.inv(covariances).astype(np.float32),
            "log_weights": (np.log(shares) + normal).astype(np.float32),
            "acceleration": acceleration.astype(np.float32),
        },
    )


if __name__ == "__main__":
    sys.exit(main())
