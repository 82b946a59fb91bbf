"""How sure the result is, joint by joint."""

from __future__ import annotations

import numpy as np
import torch

from ....protocol.skeletons import SMPL_24, Skeleton
from .chain import BODY_JOINTS, Posed
from .evidence import Evidence
from .solve import Problem, reprojection_errors, robust

_WITNESSES: dict[str, tuple[str, ...]] = {
    "pelvis": ("left_hip", "right_hip"),
    "left_hip": ("left_hip", "left_knee"),
    "left_knee": ("left_knee", "left_ankle"),
    "left_ankle": ("left_ankle",),
    "left_foot": ("left_ankle", "left_foot_index"),
    "spine1": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "neck": ("left_shoulder", "right_shoulder", "nose"),
    "head": ("nose", "left_ear", "right_ear"),
    "left_collar": ("left_shoulder",),
    "left_shoulder": ("left_shoulder", "left_elbow"),
    "left_elbow": ("left_elbow", "left_wrist"),
    "left_wrist": ("left_wrist", "left_index"),
}
"""The detector's points that tell where a joint's turn comes from; right ones mirrored."""


def joint_confidence(problem: Problem, posed: Posed, points: Skeleton) -> np.ndarray:
    """(T, 22) confidence of the body's joints, 0 to 1: keypoints' weights where the fit agrees with
    them.
    """
    errors = reprojection_errors(problem, posed)
    return confidence_of(errors, problem.evidence, problem.weights.keypoint_reach, points)


def confidence_of(
    errors: torch.Tensor, evidence: Evidence, reach: float, points: Skeleton
) -> np.ndarray:
    """(T, 22) confidence of the body's joints.

    Args:
        errors: (T, K, 2) distances of the body from the keypoints, in usual errors.
        evidence: The keypoints' weights.
        reach: Usual errors at which half of the trust is gone.
        points: The detector's skeleton.
    """
    agreed = robust(errors.square().sum(-1), reach)
    trust = (evidence.weight.sqrt() * agreed).cpu().numpy()
    table = np.zeros((len(points), BODY_JOINTS))
    for joint in range(BODY_JOINTS):
        table[[points.index[name] for name in witnesses(joint) if name in points.index], joint] = (
            1.0
        )
    result = trust @ (table / table.sum(0))
    seen = evidence.seen.cpu().numpy()
    return np.asarray(np.clip(result, 0.0, 1.0) * seen[:, None])


def witnesses(joint: int) -> tuple[str, ...]:
    """Names of the points that bear witness for a joint, 0 to 21."""
    name = SMPL_24.joint_names[joint]
    name = "spine1" if name.startswith("spine") else name
    if name in _WITNESSES:
        return _WITNESSES[name]
    return tuple(
        point.replace("left", "right") for point in _WITNESSES[name.replace("right", "left")]
    )


def spread_confidence(body: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """(T, J) for a model with more joints: each further one takes its parent's."""
    result = np.zeros((len(body), len(parents)), np.float32)
    result[:, :BODY_JOINTS] = body
    for joint in range(BODY_JOINTS, len(parents)):
        result[:, joint] = result[:, parents[joint]]
    return result


def mean_error(problem: Problem, posed: Posed) -> float:
    """Mean distance of trusted keypoints from the fit, shares of the person's height."""
    error = reprojection_errors(problem, posed).norm(dim=-1) * problem.weights.keypoint
    trusted = problem.evidence.weight > 0.25
    return float(error[trusted].mean()) if bool(trusted.any()) else float(torch.nan)
