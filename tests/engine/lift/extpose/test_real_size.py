"""The network at its real size against numbers that the public models gave."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from extpose_blender.engine.lift.extpose.backbone import Backbone
from extpose_blender.engine.lift.extpose.camera import translation_in_crop
from extpose_blender.engine.lift.extpose.crop import NETWORK_COLUMNS
from extpose_blender.engine.lift.extpose.head import PoseHead
from extpose_blender.engine.lift.extpose.network import ExtPoseConfig

from .networks import input_by_recipe, weight_by_recipe

Load = Callable[[str], np.lib.npyio.NpzFile]
FILE = "vit_h_real_dims_by_recipe.npz"


def filled(module: nn.Module, prefix: str, salt: int) -> nn.Module:
    """Give a module of the meta device its weights, one tensor at a time."""
    state = {
        name: torch.from_numpy(weight_by_recipe(f"{prefix}.{name}", tuple(value.shape), salt))
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(state, strict=True, assign=True)
    return module.eval()


@pytest.fixture(scope="module")
def run(shared_fixture: Load) -> Iterator[tuple[Tensor, np.ndarray]]:
    """The feature map (1, 1280, 16, 12), and mean, deviation and length after each block."""
    arrays = shared_fixture(FILE)
    with torch.device("meta"):
        backbone = Backbone(ExtPoseConfig())
    salt = int(arrays["cfg/salt"])
    filled(backbone, "backbone", salt)
    count = sum(value.numel() for value in backbone.parameters())
    assert count == int(arrays["cfg/param_count_backbone"])
    stats: list[list[float]] = []

    def note(_block: nn.Module, _given: object, tokens: Tensor) -> None:
        exact = tokens.double()
        stats.append([float(exact.mean()), float(exact.std()), float(exact.norm())])

    for block in backbone.blocks:
        block.register_forward_hook(note)
    image = input_by_recipe("img256", (1, 3, 256, 256), salt)
    with torch.inference_mode():
        features = backbone(image[..., NETWORK_COLUMNS])
    yield features, np.array(stats)


@pytest.mark.slow
def test_features_of_the_real_backbone(
    shared_fixture: Load, run: tuple[Tensor, np.ndarray]
) -> None:
    arrays = shared_fixture(FILE)
    features = run[0].numpy()
    probes = features.ravel()[arrays["probe/flat_index"]]
    near = {"rtol": 0, "atol": 2e-5}
    np.testing.assert_allclose(probes, arrays["probe/feat_f32"], **near)
    np.testing.assert_allclose(probes, arrays["probe/feat_f64"], **near)
    np.testing.assert_allclose(features, arrays["out/feat_f16"], rtol=0, atol=5e-3)
    np.testing.assert_allclose(features.mean((0, 2, 3)), arrays["out/feat_channel_mean"], **near)
    np.testing.assert_allclose(features.mean(1), arrays["out/feat_token_mean"], **near)
    exact = features.astype(np.float64)
    stats = [exact.mean(), exact.std(), np.sqrt((exact**2).sum()), np.abs(exact).max()]
    np.testing.assert_allclose(
        stats, arrays["out/feat_stats_mean_std_l2_absmax"], rtol=1e-4, atol=2e-5
    )


@pytest.mark.slow
def test_every_block_of_the_real_backbone(
    shared_fixture: Load, run: tuple[Tensor, np.ndarray]
) -> None:
    wanted = shared_fixture(FILE)["out/block_stats_mean_std_l2"]
    np.testing.assert_allclose(run[1], wanted, rtol=1e-5, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "body"), [("body", "smpl"), ("hand", "mano")])
def test_answers_of_the_real_heads(
    shared_fixture: Load, run: tuple[Tensor, np.ndarray], kind: str, body: str
) -> None:
    arrays = shared_fixture(FILE)
    with torch.device("meta"):
        head = PoseHead(ExtPoseConfig(body=body))
    filled(head, f"{body}_head", int(arrays["cfg/salt"]))
    count = sum(value.numel() for value in head.state_dict().values())
    assert count == int(arrays[f"{kind}/param_and_buffer_count"])
    with torch.inference_mode():
        tokens = run[0].flatten(2).mT
        rotmat, betas, camera = head(tokens)
        token = head.transformer(tokens)
    near = {"rtol": 0, "atol": 2e-5}
    np.testing.assert_allclose(token[:, None].numpy(), arrays[f"{kind}/token"], **near)
    np.testing.assert_allclose(betas.numpy(), arrays[f"{kind}/betas"], **near)
    np.testing.assert_allclose(camera.numpy(), arrays[f"{kind}/cam"], **near)
    shift = translation_in_crop(camera).numpy()
    np.testing.assert_allclose(shift, arrays[f"{kind}/cam_t"], rtol=2e-5, atol=2e-5)
    turned = {"rtol": 0, "atol": 5e-5}
    np.testing.assert_allclose(rotmat[:, :1].numpy(), arrays[f"{kind}/global_orient"], **turned)
    np.testing.assert_allclose(rotmat[:, 1:].numpy(), arrays[f"{kind}/{kind}_pose"], **turned)
