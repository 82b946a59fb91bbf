"""A person's track through 3DPW as WHAM counts it: joints regressed from both meshes, and the meshes.

The origin of most numbers that papers print for 3DPW, the vertex error among them. Predictions pose
the neutral body, truths the body of the person's sex; both have one topology, and the same regressor
makes their joints.

Source: yohanshin/WHAM:lib/eval/evaluate_3dpw.py, lib/eval/eval_utils.py, configs/constants.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from extpose_blender.engine.metrics import acceleration_error, mpjpe, pa_mpjpe
from extpose_blender.protocol.arrays import check_shape

FOURTEEN_OF_17 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
"""Rows of Human3.6M's 17-joint regressor that are compared, in the order of the field's 14 joints."""
HIPS_OF_14 = (2, 3)
"""Of the 14 joints: their middle is the pelvis."""
FRAMES_PER_SECOND = 30.0
"""The rate at which accelerations are counted, whatever the frames that are left out."""


@dataclass(frozen=True)
class VideoErrors:
    """Errors of the T frames of one track."""

    mpjpe_mm: np.ndarray
    """(T,) joints, the pelves on each other, millimetres."""
    pa_mpjpe_mm: np.ndarray
    """(T,) joints after a similarity alignment, millimetres."""
    pve_mm: np.ndarray
    """(T,) vertices, the pelves on each other, millimetres."""
    acceleration_m_s2: np.ndarray
    """(T - 2,) of the joints; see `counted_acceleration`."""

    @property
    def counted_acceleration(self) -> np.ndarray:
        """(T - 4,) what enters the mean: the public script leaves out the first and the last entry."""
        return self.acceleration_m_s2[1:-1]


def joints_of_mesh(vertices_m: np.ndarray, regressor_17: np.ndarray) -> np.ndarray:
    """The 14 joints (T, 14, 3) of meshes (T, V, 3) by Human3.6M's regressor (17, V)."""
    axes: dict[str, int] = {}
    check_shape("vertices_m", vertices_m, ("T", "V", 3), axes)
    check_shape("regressor_17", regressor_17, (17, "V"), axes)
    weights = regressor_17[list(FOURTEEN_OF_17)].astype(vertices_m.dtype)
    return np.asarray(np.einsum("jv,tvc->tjc", weights, vertices_m, optimize=True))


def video_errors(
    joints_m: np.ndarray,
    true_joints_m: np.ndarray,
    vertices_m: np.ndarray,
    true_vertices_m: np.ndarray,
) -> VideoErrors:
    """Errors of one person's track.

    Args:
        joints_m: (T, 14, 3) predicted, metres, anywhere.
        true_joints_m: (T, 14, 3).
        vertices_m: (T, V, 3) predicted, in the frame of `joints_m`.
        true_vertices_m: (T, V, 3), in the frame of `true_joints_m`.

    Raises:
        BadShape: The arrays have other shapes.
    """
    axes: dict[str, int] = {}
    for name, array in (("joints_m", joints_m), ("true_joints_m", true_joints_m)):
        check_shape(name, array, ("T", 14, 3), axes)
    for name, array in (("vertices_m", vertices_m), ("true_vertices_m", true_vertices_m)):
        check_shape(name, array, ("T", "V", 3), axes)
    hips = list(HIPS_OF_14)
    pelvis, true_pelvis = (
        joints[:, hips].mean(axis=1, keepdims=True) for joints in (joints_m, true_joints_m)
    )
    joints, truth = joints_m - pelvis, true_joints_m - true_pelvis
    second = acceleration_error(joints, truth) if len(joints) > 2 else np.zeros(0)
    return VideoErrors(
        mpjpe_mm=1000 * mpjpe(joints, truth),
        pa_mpjpe_mm=1000 * pa_mpjpe(joints, truth),
        pve_mm=1000 * mpjpe(vertices_m - pelvis, true_vertices_m - true_pelvis),
        acceleration_m_s2=FRAMES_PER_SECOND**2 * second,
    )
