"""Surface vertices that answer to what detectors see: face, toes, heels and finger tips."""

from __future__ import annotations

import numpy as np
from anatomy import JOINTS


def find_landmarks(
    vertices_m: np.ndarray, joints_m: np.ndarray, weights: np.ndarray, mirror: np.ndarray,
    eyeballs: np.ndarray,
) -> dict[str, int]:  # fmt: skip
    """Find the landmarks in the mean T-pose.

    Args:
        vertices_m: (V, 3), metres.
        joints_m: (52, 3).
        weights: (V, 52) skinning weights.
        mirror: (V,) the mirror image of each vertex.
        eyeballs: (V,) bool.

    Returns:
        Vertex of each name: smplx's 21 names (smplx:smplx/vertex_ids.py); corners of the mouth
        `lmouth`, `rmouth`; corners of the eyes `leye_inner`, `leye_outer` and right ones.
    """
    right: dict[str, str] = {}
    found = {"nose": _nose(vertices_m, joints_m)}
    found |= _left_eye_and_mouth(vertices_m, eyeballs, found["nose"])
    found["lear"] = _left_ear(vertices_m, joints_m, eyeballs)
    found |= _left_foot(vertices_m, weights)
    for finger in ("thumb", "index", "middle", "ring", "pinky"):
        last = JOINTS[f"left_{finger}3"]
        along = joints_m[last] - joints_m[JOINTS[f"left_{finger}2"]]
        reach = np.where(weights[:, last] > 0.5, (vertices_m - joints_m[last]) @ along, -np.inf)
        found[f"l{finger}"] = int(np.argmax(reach))
    for name in found:
        if name[0] in "lL":
            right[name] = {"l": "r", "L": "R"}[name[0]] + name[1:]
    return found | {right[name]: int(mirror[found[name]]) for name in right}


def _nose(vertices_m: np.ndarray, joints_m: np.ndarray) -> int:
    face = (np.abs(vertices_m[:, 0]) < 0.01) & (vertices_m[:, 1] > joints_m[JOINTS["head"], 1])
    return int(np.argmax(np.where(face, vertices_m[:, 2], -np.inf)))


def _left_eye_and_mouth(vertices_m: np.ndarray, eyeballs: np.ndarray, nose: int) -> dict[str, int]:
    left_ball = eyeballs & (vertices_m[:, 0] > 0)
    pupil = int(np.argmax(np.where(left_ball, vertices_m[:, 2], -np.inf)))
    centre = vertices_m[left_ball].mean(0)
    radius = np.ptp(vertices_m[left_ball, 0]) / 2
    # Eye corners: skin nearest to where the ball's equator turns inward and outward.
    skin = np.where(eyeballs, np.inf, 0.0)

    def nearest(point: np.ndarray) -> int:
        return int(np.argmin(np.linalg.norm(vertices_m - point, axis=1) + skin))

    inner = nearest(centre + radius * np.array([-0.95, -0.05, 0.75]))
    outer = nearest(centre + radius * np.array([0.95, 0.05, 0.55]))
    mouth = nearest(vertices_m[nose] + np.array([0.75 * centre[0], -0.036, -0.030]))
    return {"leye": pupil, "leye_inner": inner, "leye_outer": outer, "lmouth": mouth}


def _left_ear(vertices_m: np.ndarray, joints_m: np.ndarray, eyeballs: np.ndarray) -> int:
    """In front of the ear hole, where detectors put the ear: level with the nose's root."""
    level = vertices_m[eyeballs, 1].mean() - 0.022
    ears = vertices_m[:, 0] > 0.95 * vertices_m[_head(vertices_m, joints_m), 0].max()
    ear = vertices_m[ears & _head(vertices_m, joints_m)]
    front = np.array([ear[:, 0].min() - 0.004, level, ear[:, 2].max()])
    return int(np.argmin(np.linalg.norm(vertices_m - front, axis=1)))


def _head(vertices_m: np.ndarray, joints_m: np.ndarray) -> np.ndarray:
    up = vertices_m[:, 1] > joints_m[JOINTS["head"], 1]
    return np.asarray(up & (np.abs(vertices_m[:, 0]) < 0.15))


def _left_foot(vertices_m: np.ndarray, weights: np.ndarray) -> dict[str, int]:
    toes = weights[:, JOINTS["left_foot"]] > 0.5
    foot = toes | (weights[:, JOINTS["left_ankle"]] > 0.5)
    forward = np.where(toes, vertices_m[:, 2], -np.inf)
    big = int(np.argmax(forward))
    # The small toe is the foremost point of the outermost tenth of the toes.
    side = vertices_m[toes, 0]
    outermost = toes & (vertices_m[:, 0] > side.max() - 0.1 * np.ptp(side))
    small = int(np.argmax(np.where(outermost, vertices_m[:, 2], -np.inf)))
    back = np.where(foot, vertices_m[:, 2] + 0.5 * vertices_m[:, 1], np.inf)
    return {"LBigToe": big, "LSmallToe": small, "LHeel": int(np.argmin(back))}
