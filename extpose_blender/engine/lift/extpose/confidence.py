"""How sure a prediction of the network is, joint by joint, from the keypoints it is laid over.

The network says nothing about that itself. A joint counts as sure where the detector's points near
it have good scores and the posed body lies on them: the same measure as `fit` uses, so the numbers
of both mean the same.
"""

from __future__ import annotations

import numpy as np
import torch

from ....protocol.flow import Intrinsics, Track
from ..fit.evidence import gather_evidence
from ..fit.solve import Weights, keypoint_errors
from ..fit.trust import confidence_of, spread_confidence


def prediction_confidence(
    track: Track,
    intrinsics: Intrinsics,
    points_m: torch.Tensor,
    seen: np.ndarray,
    parents: tuple[int, ...],
) -> np.ndarray:
    """Confidence of every joint.

    Args:
        track: The person's keypoints.
        intrinsics: The camera.
        points_m: (T, K, 3) the posed body's landmarks in the camera, metres; those of the track's
            skeleton.
        seen: (T,) bool: the row was predicted.
        parents: (J,) of the posed body: joints without a witness of their own take their parent's.

    Returns:
        (T, J) float32, 0 to 1; 0 in rows that were not predicted.
    """
    evidence = gather_evidence(track, intrinsics, "cpu", points_m.dtype)
    usual = Weights()
    errors = keypoint_errors(points_m, evidence, intrinsics.focal_px, usual.keypoint)
    body = confidence_of(errors, evidence, usual.keypoint_reach, track.points)
    return spread_confidence(body * seen[:, None], parents)
