"""The backbone is the public ViT, at any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from extpose_blender.engine.lift.extpose.backbone import Backbone, Block
from extpose_blender.engine.lift.extpose.network import ExtPoseConfig
from extpose_blender.protocol.errors import BadShape

from .networks import below, masked_attention, masks, pictures, small_config, stir

Load = Callable[[str], np.lib.npyio.NpzFile]


@contextmanager
def recorded(parts: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Collect what the parts give; copies, since tokens are overwritten."""
    seen: dict[str, Tensor] = {}
    hooks = [
        part.register_forward_hook(
            lambda _part, _given, got, name=name: seen.update({name: got.clone()})
        )
        for name, part in parts.items()
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def backbone_of(arrays: np.lib.npyio.NpzFile) -> Backbone:
    config = ExtPoseConfig(
        image_size=(256, 192),
        embed_dim=int(arrays["cfg/embed_dim"]),
        depth=int(arrays["cfg/depth"]),
        num_heads=int(arrays["cfg/num_heads"]),
    )
    backbone = Backbone(config).eval()
    backbone.load_state_dict(below(arrays, "sd/"), strict=True)
    return backbone


@pytest.mark.parametrize("grad", [False, True], ids=["in-place", "with-gradients"])
@pytest.mark.parametrize("name", ["vit_tiny.npz", "vit_tiny_crop256.npz"])
def test_every_stage_of_the_public_vit(shared_fixture: Load, name: str, grad: bool) -> None:
    arrays = shared_fixture(name)
    backbone = backbone_of(arrays)
    given = torch.from_numpy(
        arrays["in/img"] if "in/img" in arrays else arrays["in/img256"][:, :, :, 32:-32]
    )
    parts: dict[str, nn.Module] = {"patch_tokens": backbone.patch_embed}
    parts |= {f"block{index}": block for index, block in enumerate(backbone.blocks)}
    parts |= {
        "block0_norm1": backbone.blocks[0].norm1,
        "block0_attn": backbone.blocks[0].attn,
    }
    with torch.set_grad_enabled(grad), recorded(parts) as seen:
        seen["feat"] = backbone(given)
        seen["tokens_in"] = backbone.embed(given)
    wanted = {name.removeprefix("out/") for name in arrays if name.startswith("out/")}
    assert wanted <= set(seen)
    for part in wanted:
        array = arrays[f"out/{part}"]
        np.testing.assert_allclose(
            seen[part].detach().numpy().reshape(array.shape), array, atol=1e-5, rtol=0
        )


def plain_vit(backbone: Backbone, image: Tensor) -> Tensor:
    """The same in the plainest words: patches one by one, a full softmax, no collapsed axes."""
    patch = backbone.config.patch_size
    rows, columns = backbone.config.grid_hw
    padded = functional.pad(image, (2, 2, 2, 2))
    weight, bias = backbone.patch_embed.proj.weight, backbone.patch_embed.proj.bias
    cut = [
        padded[:, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
        for row in range(rows)
        for column in range(columns)
    ]
    tokens = torch.stack([torch.einsum("nchw,dchw->nd", part, weight) + bias for part in cut], 1)
    tokens = tokens + backbone.pos_embed[:, 1:] + backbone.pos_embed[:, :1]
    tokens = tokens[:, None, None]
    mask = masks(1, 1, rows * columns)["full"]
    for block in backbone.blocks:
        assert isinstance(block, Block)
        tokens = tokens + masked_attention(block, block.norm1(tokens), mask)
        tokens = tokens + block.mlp(block.norm2(tokens))
    features = backbone.last_norm(tokens[:, 0, 0])
    return features.mT.reshape(len(image), -1, rows, columns)


@pytest.mark.parametrize(
    ("size", "patch"), [((128, 96), 16), ((320, 256), 16), ((48, 112), 16), ((56, 40), 8)]
)
def test_other_sizes_equal_a_plain_vit(size: tuple[int, int], patch: int) -> None:
    torch.manual_seed(0)
    backbone = Backbone(small_config(image_size=size, patch_size=patch)).double().eval()
    stir(backbone)
    image = pictures(3, size=size)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image), plain_vit(backbone, image))


def test_pictures_of_another_size_are_refused() -> None:
    backbone = Backbone(small_config())
    with pytest.raises(BadShape, match=r"64, 48.*48, 64"):
        backbone(torch.zeros(1, 3, 48, 64))
    with pytest.raises(BadShape):
        backbone.run_blocks(torch.zeros(1, 3, 2, 12, 32))
    with pytest.raises(BadShape):
        backbone.run_blocks(torch.zeros(1, 2, 2, 12, 16))
    with pytest.raises(BadShape, match="valid"):
        backbone.run_blocks(torch.zeros(1, 2, 2, 12, 32), torch.ones(1, 3, dtype=torch.bool))


def test_what_is_given_is_left_as_it_was() -> None:
    backbone = Backbone(small_config()).eval()
    tokens, image = torch.randn(2, 2, 3, 12, 32), torch.randn(2, 3, 64, 48)
    before = tokens.clone(), image.clone()
    with torch.inference_mode():
        backbone.run_blocks(tokens)
        backbone(image)
    assert torch.equal(tokens, before[0]) and torch.equal(image, before[1])


def test_drop_path_rises_over_the_blocks_and_spares_evaluation() -> None:
    config = small_config(depth=5, drop_path=0.4)
    backbone = Backbone(config)
    assert [block.drop_rate for block in backbone.blocks] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    tokens = torch.randn(2, 2, 3, 12, 32)
    backbone.eval()
    assert torch.equal(backbone.run_blocks(tokens), backbone.run_blocks(tokens))


def test_drop_path_is_drawn_per_sample_and_shared_by_frames_and_streams() -> None:
    torch.manual_seed(0)
    block = Block(small_config(drop_path=0.5), index=1).train()
    stir(block)
    picture = torch.randn(1, 1, 1, 12, 32)
    with torch.no_grad():
        moved = block(picture.expand(400, 2, 3, 12, 32).contiguous())
    spread = (moved - moved[:, :1, :1]).abs().amax((1, 2, 3, 4))
    assert spread.max() < 1e-4
    untouched = (moved == picture).flatten(1).all(1).float().mean()
    assert 0.06 < untouched < 0.2  # three residuals: one sample in eight


def test_a_residual_that_is_kept_makes_up_for_those_that_are_not() -> None:
    torch.manual_seed(0)
    block = Block(small_config(drop_path=0.75), index=1).train()
    stir(block)
    picture = torch.randn(1, 1, 1, 12, 32)
    mask = masks(1, 1, 12)["full"]
    with torch.no_grad():
        moved = block(picture.repeat(800, 1, 1, 1, 1))
        attended = picture + 4 * masked_attention(block, block.norm1(picture), mask)
        outcomes = torch.cat(
            [start + times * block.mlp(block.norm2(start)) for start in (picture, attended)
             for times in (0, 4)]
        )  # fmt: skip
    distance = (moved.flatten(1)[:, None] - outcomes.flatten(1)).abs().amax(-1)
    nearest = distance.min(dim=1)
    assert nearest.values.max() < 1e-2
    shares = nearest.indices.bincount(minlength=4) / 800
    torch.testing.assert_close(shares, torch.tensor([9, 3, 3, 1]) / 16, atol=0.05, rtol=0)
