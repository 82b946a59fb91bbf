"""Body poses in pictures as 4D-Humans counts them: 14 of 44 joints, against the pelvis.

Source: shubham-goel/4D-Humans:hmr2/utils/pose_utils.py (`Evaluator`, `eval_pose`); the joints are
those of `engine/body/model_joints.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from extpose_blender.engine.body.model_joints import BODY_44_NAMES, BODY_44_PELVIS
from extpose_blender.engine.metrics import mpjpe, pa_mpjpe
from extpose_blender.protocol.arrays import check_shape

COMPARED = (*range(25, 38), 43)
"""Twelve joints of the limbs in LSP's convention, its neck, and the head of Human3.6M."""


@dataclass(frozen=True)
class BodyErrors:
    """Errors of each of N pictures, millimetres."""

    mpjpe_mm: np.ndarray
    """(N,) mean distance of the joints when the pelves lie on each other."""
    pa_mpjpe_mm: np.ndarray
    """(N,) the same after a similarity alignment without reflection."""


def joint_errors(joints_m: np.ndarray, true_joints_m: np.ndarray) -> BodyErrors:
    """Errors as they are, without laying roots on each other first; (N, J, 3) metres both.

    Computed in double precision, whatever comes in.
    """
    joints, truth = joints_m.astype(float), true_joints_m.astype(float)
    return BodyErrors(1000 * mpjpe(joints, truth), 1000 * pa_mpjpe(joints, truth))


def body_errors(joints_m: np.ndarray, true_joints_m: np.ndarray) -> BodyErrors:
    """Errors of predicted bodies in pictures.

    The confidence of a true joint plays no part: a set must know all the joints that are compared.

    Args:
        joints_m: (N, 44, 3) predicted, metres, anywhere.
        true_joints_m: (N, 44, 3).

    Raises:
        BadShape: The arrays have other shapes.
    """
    axes: dict[str, int] = {}
    joints, truth = joints_m.astype(float), true_joints_m.astype(float)
    for name, array in (("joints_m", joints), ("true_joints_m", truth)):
        check_shape(name, array, ("N", len(BODY_44_NAMES), 3), axes)
    compared = list(COMPARED)
    centred = [array - array[:, [BODY_44_PELVIS]] for array in (joints, truth)]
    return joint_errors(*(array[:, compared] for array in centred))
