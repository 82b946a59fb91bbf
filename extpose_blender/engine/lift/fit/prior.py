"""What is known about poses before anything is seen: a mixture of Gaussians over `q`, and usual
accelerations.

The numbers are shipped in `models/priors/pose.npz`; `models/priors/make_pose_prior.py` makes them
from motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ....protocol.errors import BadModelFile
from ....protocol.resources import find_resource
from .chain import ROOT_SIZE, pose_names

PRIOR = "priors/pose.npz"
"""The shipped prior, below `models/`."""


@dataclass(frozen=True)
class PosePrior:
    """A mixture of C Gaussians over poses, and how fast the unknowns usually change their speed."""

    means: torch.Tensor
    """(C, Q) radians."""
    precisions: torch.Tensor
    """(C, Q, Q) inverse covariances."""
    log_weights: torch.Tensor
    """(C,) log of each part's share, normalisation of its Gaussian included."""
    acceleration: torch.Tensor
    """(6 + Q,) root mean square acceleration: rad/s² of the root's turn and the angles, m/s² of its
    place."""

    def quadratic(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A bowl that touches the negative log density from above at `q`.

        Args:
            q: (T, Q) poses.

        Returns:
            Gradient (T, Q) and curvature (T, Q, Q) there. Source: expectation maximisation.
        """
        pull, log = self._parts(q)
        share = torch.softmax(log, -1)  # (T, C)
        gradient = (share[..., None] * pull).sum(1)
        curvature = (share @ self.precisions.flatten(1)).unflatten(-1, self.precisions.shape[1:])
        return gradient, curvature

    def energy(self, q: torch.Tensor) -> torch.Tensor:
        """(T,) negative log density of poses (T, Q)."""
        return -torch.logsumexp(self._parts(q)[1], -1)

    def _parts(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pull (T, C, Q) towards each Gaussian's mean, and log densities (T, C)."""
        away = q[:, None] - self.means  # (T, C, Q)
        pull = torch.einsum("cij,tcj->tci", self.precisions, away)
        return pull, self.log_weights - 0.5 * (away * pull).sum(-1)


def load_pose_prior(device: str, dtype: torch.dtype = torch.float32) -> PosePrior:
    """The shipped prior.

    Raises:
        MissingModel: The file is not there.
        BadModelFile: It was made for other unknowns.
    """
    path = find_resource(PRIOR)
    with np.load(path, allow_pickle=False) as data:
        arrays = dict(data)
    if tuple(arrays["names"]) != pose_names():
        raise BadModelFile(
            f"`{path}` was made for other joint angles than this version solves for",
            "Install ExtPose again, or run `models/priors/make_pose_prior.py`",
        )
    like: dict[str, Any] = {"dtype": dtype, "device": device}
    prior = PosePrior(
        *(
            torch.tensor(arrays[name], **like)
            for name in ("means", "precisions", "log_weights", "acceleration")
        )
    )
    if prior.acceleration.shape != (ROOT_SIZE + prior.means.shape[1],):
        raise BadModelFile(
            f"`{path}` holds accelerations of shape {tuple(prior.acceleration.shape)}"
        )
    return prior
