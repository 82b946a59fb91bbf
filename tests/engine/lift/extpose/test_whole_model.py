"""From pictures to losses and gradients: every number of the public models' training step.

Network, body, camera, losses and discriminator are the product's own classes, put together as
4D-Humans:hmr2/models/hmr2.py and hamer:hamer/models/hamer.py do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from extpose_blender.engine.body.layer import rotvec_to_rotmat
from extpose_blender.engine.body.load import load_body
from extpose_blender.engine.body.model_joints import (
    BODY_44_PELVIS,
    HAND_21_WRIST,
    pose_model_joints,
)
from extpose_blender.engine.lift.extpose.camera import (
    FOCAL_IN_CROP_PX,
    project_in_crop,
    translation_in_crop,
)
from extpose_blender.engine.lift.extpose.crop import NETWORK_COLUMNS
from extpose_blender.engine.lift.extpose.discriminator import Discriminator
from extpose_blender.engine.lift.extpose.losses import (
    Estimate,
    LossWeights,
    SupervisedLosses,
    Target,
    discriminator_loss,
    generator_loss,
    supervised_losses,
)
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig, ExtPoseOutput
from tests.engine.body.fixture_body import write_shared_body

from .networks import below

Archive = np.lib.npyio.NpzFile


@dataclass(frozen=True)
class Kind:
    """What differs between bodies and hands."""

    body: str
    archive: str
    discriminator: str
    params: str
    pose: str
    root: int


SMPL = Kind(
    "smpl", "hmr2_forward_synthetic.npz", "discriminator_body.npz", "smpl_params", "body_pose",
    BODY_44_PELVIS,
)  # fmt: skip
MANO = Kind(
    "mano", "hamer_forward_synthetic.npz", "discriminator_hand.npz", "mano_params", "hand_pose",
    HAND_21_WRIST,
)  # fmt: skip


class TrainingStep:
    """One training step of a base model on the arrays of its fixture."""

    def __init__(self, kind: Kind, archive: Archive, judge: Archive, folder: Path) -> None:
        self.kind = kind
        self.archive = archive
        self.net = ExtPose(_config(kind, archive)).eval()
        self.net.load_state_dict(below(archive, "sd/"), strict=True)
        self.judge = Discriminator(self.net.config.num_joints - 1)
        self.judge.load_state_dict(below(judge, "sd/"), strict=True)
        body = load_body(write_shared_body(archive, folder))
        self.out: ExtPoseOutput = self.net(image=self.read("in/img")[:, None, ..., NETWORK_COLUMNS])
        self.rotmat, self.camera = self.out.rotmat[:, 0], self.out.camera[:, 0]
        regressor = self.read("model/joint_regressor_extra") if kind.body == "smpl" else None
        self.posed = pose_model_joints(body, self.out.betas, self.rotmat, regressor)
        self.translation = translation_in_crop(self.camera)
        self.keypoints_2d = project_in_crop(self.posed.joints, self.translation)
        self.losses: SupervisedLosses = supervised_losses(
            Estimate(self.keypoints_2d, self.posed.joints, self.rotmat, self.out.betas),
            self._target(),
            kind.root,
        )
        self.scores: Tensor = self.judge(self.rotmat[:, 1:], self.out.betas)
        self.adversarial = generator_loss(self.scores)

    def read(self, name: str) -> Tensor:
        """An array of the fixture."""
        return torch.tensor(self.archive[name])

    def _target(self) -> Target:
        def has(part: str) -> Tensor:
            return self.read(f"batch/has_{self.kind.params}/{part}")

        given = [self.read(f"batch/{self.kind.params}/{part}")
                 for part in ("global_orient", self.kind.pose)]  # fmt: skip
        rotvec = torch.cat(given, 1).unflatten(1, (-1, 3))
        return Target(
            keypoints_2d=self.read("batch/keypoints_2d"),
            keypoints_3d=self.read("batch/keypoints_3d"),
            rotmat=rotvec_to_rotmat(rotvec),
            betas=self.read(f"batch/{self.kind.params}/betas"),
            has_global_orient=has("global_orient"),
            has_pose=has(self.kind.pose),
            has_betas=has("betas"),
        )


def _config(kind: Kind, archive: Archive) -> ExtPoseConfig:
    def size(name: str) -> int:
        return int(archive[f"cfg/{name}"])

    return ExtPoseConfig(
        body=kind.body,
        embed_dim=size("vit/embed_dim"),
        depth=size("vit/depth"),
        num_heads=size("vit/num_heads"),
        decoder_dim=size("dec/dim"),
        decoder_depth=size("dec/depth"),
        decoder_heads=size("dec/heads"),
        decoder_dim_head=size("dec/dim_head"),
        decoder_mlp_dim=size("dec/mlp_dim"),
    )


@pytest.fixture(scope="module", params=[SMPL, MANO], ids=["hmr2", "hamer"])
def step(
    request: pytest.FixtureRequest,
    shared_fixture: Callable[[str], Archive],
    tmp_path_factory: pytest.TempPathFactory,
) -> TrainingStep:
    pytest.importorskip("smplx")
    kind: Kind = request.param
    archive, judge = shared_fixture(kind.archive), shared_fixture(kind.discriminator)
    return TrainingStep(kind, archive, judge, tmp_path_factory.mktemp(kind.body))


def test_parameters_and_camera(step: TrainingStep) -> None:
    params = f"out/pred_{step.kind.params}"
    np.testing.assert_allclose(step.camera.detach(), step.read("out/pred_cam"), atol=1e-5)
    np.testing.assert_allclose(step.out.betas.detach(), step.read(f"{params}/betas"), atol=1e-5)
    wanted = torch.cat(
        [step.read(f"{params}/global_orient"), step.read(f"{params}/{step.kind.pose}")], 1
    )
    np.testing.assert_allclose(step.rotmat.detach(), wanted, atol=1e-5)
    np.testing.assert_array_equal(
        step.read("out/focal_length"), torch.full((2, 2), FOCAL_IN_CROP_PX)
    )


def test_body_and_its_picture(step: TrainingStep) -> None:
    np.testing.assert_allclose(
        step.translation.detach(), step.read("out/pred_cam_t"), rtol=1e-4, atol=1e-5
    )
    for got, name in (
        (step.posed.points, "out/pred_vertices"),
        (step.posed.joints, "out/pred_keypoints_3d"),
        (step.keypoints_2d, "out/pred_keypoints_2d"),
    ):
        np.testing.assert_allclose(got.detach(), step.read(name), atol=1e-4, err_msg=name)


def test_losses(step: TrainingStep) -> None:
    named = {
        "losses/loss_keypoints_3d": step.losses.keypoints_3d,
        "losses/loss_keypoints_2d": step.losses.keypoints_2d,
        "losses/loss_global_orient": step.losses.global_orient,
        f"losses/loss_{step.kind.pose}": step.losses.pose,
        "losses/loss_betas": step.losses.betas,
        "losses/loss": step.losses.total(),
        "total_loss_without_adv": step.losses.total(),
        "loss_adv_gen": step.adversarial,
        "total_loss": step.losses.total(adversarial=step.adversarial),
    }
    listed = {name for name in step.archive.files if name.startswith("out/losses/")}
    assert listed <= {f"out/{name}" for name in named}
    for name, got in named.items():
        np.testing.assert_allclose(got.detach(), step.read(f"out/{name}"), rtol=1e-4, err_msg=name)


def test_discriminator(step: TrainingStep) -> None:
    np.testing.assert_allclose(step.scores.detach(), step.read("out/disc"), atol=1e-4)
    captured = rotvec_to_rotmat(step.read(f"mocap/{step.kind.pose}").unflatten(1, (-1, 3)))
    of_real = step.judge(captured, step.read("mocap/betas"))
    assert len(of_real) == 2 * len(step.scores)
    of_estimates = step.judge(step.rotmat[:, 1:].detach(), step.out.betas.detach())
    got = discriminator_loss(of_estimates, of_real)
    np.testing.assert_allclose(got.detach(), step.read("out/loss_disc"), rtol=1e-4)


def test_gradients(step: TrainingStep) -> None:
    names = [str(name) for name in step.archive["gradnorm/names"]]
    wanted = dict(zip(names, step.archive["gradnorm/values"], strict=True))
    parameters = dict(step.net.named_parameters())
    assert set(parameters) == set(wanted)
    total = step.losses.total(adversarial=step.adversarial)
    gradients = torch.autograd.grad(
        total, list(parameters.values()), retain_graph=True, allow_unused=True
    )
    for name, gradient in zip(parameters, gradients, strict=True):
        norm = 0.0 if gradient is None else float(gradient.double().norm())
        assert norm == pytest.approx(wanted[name], rel=1e-3, abs=1e-6), name


def test_weights_are_the_released_ones(shared_path: Callable[[str], Path]) -> None:
    constants = json.loads(shared_path("fixtures/constants.json").read_text())
    weights = LossWeights()
    for kind in ("body", "hand"):
        listed = constants[f"loss_weights_{kind}"]
        assert listed == {
            "KEYPOINTS_3D": weights.keypoints_3d,
            "KEYPOINTS_2D": weights.keypoints_2d,
            "GLOBAL_ORIENT": weights.global_orient,
            f"{kind.upper()}_POSE": weights.pose,
            "BETAS": weights.betas,
            "ADVERSARIAL": weights.adversarial,
        }
