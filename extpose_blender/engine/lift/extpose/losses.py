"""What HMR2.0 and HaMeR are trained to make small, and with which weights.

Every supervised loss is a sum, over joints and over the batch: their gradients grow with the
batch. The base models' weights belong to these sums at 32 to 48 pictures a step.

Frames: 3D joints in the crop's camera, metres; 2D joints in crop units (pixel / 256 - 0.5).
Leading axes (..., ) may be any: pictures, or clips and frames.
Source: shubham-goel/4D-Humans:hmr2/models/losses.py and hmr2.py (`compute_loss`,
`training_step_discriminator`); geopavlakos/hamer:hamer/models/hamer.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LossWeights:
    """Factors of the losses in the released configurations, the same for bodies and hands."""

    keypoints_3d: float = 0.05
    """3D joints relative to pelvis or wrist."""
    keypoints_2d: float = 0.01
    """Joints in the crop."""
    global_orient: float = 0.001
    """Rotation of the root."""
    pose: float = 0.001
    """Rotations of all other joints."""
    betas: float = 0.0005
    """Shape."""
    adversarial: float = 0.0005
    """The discriminator's judgement; also the factor of the discriminator's own loss."""


@dataclass(frozen=True)
class Estimate:
    """What a network says, in the terms of the losses."""

    keypoints_2d: Tensor
    """(..., K, 2) crop units."""
    keypoints_3d: Tensor
    """(..., K, 3) metres."""
    rotmat: Tensor
    """(..., J, 3, 3) rotations, the root's first."""
    betas: Tensor
    """(..., 10) shape."""


@dataclass(frozen=True)
class Target:
    """What is known of the pictures; what is not known counts nothing."""

    keypoints_2d: Tensor
    """(..., K, 3) crop units, confidence."""
    keypoints_3d: Tensor
    """(..., K, 4) metres, confidence."""
    rotmat: Tensor
    """(..., J, 3, 3) rotations, the root's first."""
    betas: Tensor
    """(..., 10) shape."""
    has_global_orient: Tensor
    """(...) 1 where the root's rotation is known."""
    has_pose: Tensor
    """(...) 1 where the other rotations are known."""
    has_betas: Tensor
    """(...) 1 where the shape is known, or is to be pulled to zero."""


@dataclass(frozen=True)
class SupervisedLosses:
    """The losses, each a sum and not yet weighted."""

    keypoints_3d: Tensor
    """As `keypoint_3d_loss`."""
    keypoints_2d: Tensor
    """As `keypoint_2d_loss`."""
    global_orient: Tensor
    """As `parameter_loss` of the root's rotation matrix."""
    pose: Tensor
    """As `parameter_loss` of the other rotation matrices."""
    betas: Tensor
    """As `parameter_loss` of the shape."""

    def total(
        self, weights: LossWeights | None = None, adversarial: Tensor | None = None
    ) -> Tensor:
        """The weighted sum.

        Args:
            weights: The released ones when left out.
            adversarial: Of `generator_loss`, where a discriminator takes part.
        """
        weights = weights or LossWeights()
        total = (
            weights.keypoints_3d * self.keypoints_3d
            + weights.keypoints_2d * self.keypoints_2d
            + weights.global_orient * self.global_orient
            + weights.pose * self.pose
            + weights.betas * self.betas
        )
        return total if adversarial is None else total + weights.adversarial * adversarial


def supervised_losses(estimate: Estimate, target: Target, root: int) -> SupervisedLosses:
    """All losses that compare with what is known.

    Args:
        estimate: What the network says.
        target: What is known.
        root: The keypoint that 3D joints are taken relative to: `BODY_44_PELVIS` or `HAND_21_WRIST`
            of `body/model_joints.py`.
    """
    got, wanted = estimate.rotmat, target.rotmat
    return SupervisedLosses(
        keypoints_3d=keypoint_3d_loss(estimate.keypoints_3d, target.keypoints_3d, root),
        keypoints_2d=keypoint_2d_loss(estimate.keypoints_2d, target.keypoints_2d),
        global_orient=parameter_loss(
            got[..., 0, :, :].flatten(-2),
            wanted[..., 0, :, :].flatten(-2),
            target.has_global_orient,
        ),
        pose=parameter_loss(
            got[..., 1:, :, :].flatten(-3), wanted[..., 1:, :, :].flatten(-3), target.has_pose
        ),
        betas=parameter_loss(estimate.betas, target.betas, target.has_betas),
    )


def keypoint_2d_loss(estimate: Tensor, target: Tensor) -> Tensor:
    """Sum of absolute differences times confidence.

    Args:
        estimate: (..., K, 2) crop units.
        target: (..., K, 3) crop units, confidence.
    """
    return (target[..., 2:] * (estimate - target[..., :2]).abs()).sum()


def keypoint_3d_loss(estimate: Tensor, target: Tensor, root: int) -> Tensor:
    """Sum of absolute differences times confidence, both relative to their own root.

    Args:
        estimate: (..., K, 3) metres.
        target: (..., K, 4) metres, confidence.
        root: Index of the keypoint that is subtracted; its own confidence does not matter.
    """
    places = target[..., :3]
    got = estimate - estimate[..., root : root + 1, :]
    wanted = places - places[..., root : root + 1, :]
    return (target[..., 3:] * (got - wanted).abs()).sum()


def parameter_loss(estimate: Tensor, target: Tensor, has: Tensor) -> Tensor:
    """Sum of squared differences where the target is known.

    Args:
        estimate: (..., N).
        target: (..., N).
        has: (...) weight of each row: 1 known, 0 not.
    """
    return (has[..., None] * (estimate - target).square()).sum()


def generator_loss(scores: Tensor) -> Tensor:
    """How far a discriminator is from taking estimates for real.

    Args:
        scores: (B, N) the discriminator's scores of estimates; 1 is real.

    Returns:
        Sum over the scores, mean over the batch.
    """
    return (scores - 1).square().sum() / len(scores)


def discriminator_loss(scores_of_estimates: Tensor, scores_of_real: Tensor) -> Tensor:
    """How badly a discriminator tells estimates from captured motion.

    Args:
        scores_of_estimates: (B, N); detach the estimates before.
        scores_of_real: (C, N); the base models bring twice as many as estimates.

    Returns:
        Sum over all scores, divided by B alone, as in the base models.
    """
    total = scores_of_estimates.square().sum() + (scores_of_real - 1).square().sum()
    return total / len(scores_of_estimates)
