"""Judges whether a pose looks like one of motion capture; training alone uses it.

Source: 4D-Humans:hmr2/models/discriminator.py, hamer:hamer/models/discriminator.py, after HMR
(Kanazawa et al. 2018), on rotation matrices.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ....protocol.errors import BadShape
from .head import BETAS

JOINT_FEATURES = 32
"""Numbers that describe a joint before it is judged."""

POSE_FEATURES = 1024
"""Numbers that describe the whole pose."""


class Discriminator(nn.Module):
    """Scores of each joint, of the shape and of the whole pose; 1 means real.

    Weights start Xavier-uniform and biases at zero, as in the reference. Attribute names are those
    of the checkpoints' keys below `discriminator.`.

    Args:
        joints: Rotations without the root's: 23 of SMPL, 15 of MANO.
    """

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.joints = joints
        self.D_conv1 = nn.Conv2d(9, JOINT_FEATURES, kernel_size=1)
        self.D_conv2 = nn.Conv2d(JOINT_FEATURES, JOINT_FEATURES, kernel_size=1)
        self.pose_out = nn.ModuleList(nn.Linear(JOINT_FEATURES, 1) for _ in range(joints))
        self.betas_fc1 = nn.Linear(BETAS, 10)
        self.betas_fc2 = nn.Linear(10, 5)
        self.betas_out = nn.Linear(5, 1)
        self.D_alljoints_fc1 = nn.Linear(JOINT_FEATURES * joints, POSE_FEATURES)
        self.D_alljoints_fc2 = nn.Linear(POSE_FEATURES, POSE_FEATURES)
        self.D_alljoints_out = nn.Linear(POSE_FEATURES, 1)
        self.apply(_start)

    def forward(self, rotmat: Tensor, betas: Tensor) -> Tensor:
        """Judge poses.

        Args:
            rotmat: Rotations without the root's, (B, J, 3, 3).
            betas: (B, 10).

        Returns:
            (B, J + 2): one score per joint, then the shape's, then the whole pose's.

        Raises:
            BadShape: The arrays have another shape.
        """
        self._check(rotmat, betas)
        joints = rotmat.flatten(2).transpose(1, 2)[..., None]  # (B, 9, J, 1)
        joints = functional.relu(self.D_conv1(joints))
        joints = functional.relu(self.D_conv2(joints))  # (B, 32, J, 1)
        scores = [judge(joints[:, :, index, 0]) for index, judge in enumerate(self.pose_out)]
        return torch.cat((*scores, self._judge_shape(betas), self._judge_pose(joints)), dim=1)

    def _judge_shape(self, betas: Tensor) -> Tensor:
        hidden = functional.relu(self.betas_fc1(betas))
        return self.betas_out(functional.relu(self.betas_fc2(hidden)))

    def _judge_pose(self, joints: Tensor) -> Tensor:
        hidden = functional.relu(self.D_alljoints_fc1(joints.flatten(1)))
        return self.D_alljoints_out(functional.relu(self.D_alljoints_fc2(hidden)))

    def _check(self, rotmat: Tensor, betas: Tensor) -> None:
        B = rotmat.shape[0]
        if rotmat.shape != (B, self.joints, 3, 3) or betas.shape != (B, BETAS):
            raise BadShape(
                f"Wanted rotations (B, {self.joints}, 3, 3) and betas (B, {BETAS}), "
                f"got {tuple(rotmat.shape)} and {tuple(betas.shape)}"
            )


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
