"""What holds of the whole network, whatever its weights: the checks of the method itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from extpose_blender.engine.lift.extpose.config import BLOCK_LAYOUTS
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseOutput
from extpose_blender.protocol.errors import BadShape

from .networks import masked_blocks, pictures, small_config, small_network

layouts = pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
NEAR = {"rtol": 1e-9, "atol": 1e-9}


def parts(output: ExtPoseOutput) -> tuple[Tensor, Tensor, Tensor]:
    return output.rotmat, output.betas, output.camera


def predict(net: ExtPose, **streams: Tensor | None) -> ExtPoseOutput:
    with torch.inference_mode():
        return net(**streams)


@layouts
@pytest.mark.parametrize("body", ["smpl", "mano"])
@pytest.mark.parametrize("stream", ["image", "skeleton"])
def test_one_picture_of_one_stream_is_the_base_model(stream: str, body: str, layout: str) -> None:
    net = small_network(body=body, block_layout=layout, temporal_position=True)
    image = pictures(3, 1)
    output = predict(net, **{stream: image})
    with torch.no_grad():
        features = net.backbone(image[:, 0])
        rotmat, betas, camera = net.head(features.flatten(2).mT)
    wanted = ExtPoseOutput(rotmat[:, None], betas, camera[:, None])
    for ours, base in zip(parts(output), parts(wanted), strict=True):
        torch.testing.assert_close(ours, base, **NEAR)
    assert output.rotmat.shape == (3, 1, 24 if body == "smpl" else 16, 3, 3)


@layouts
def test_a_still_video_of_one_stream_says_what_its_picture_says(layout: str) -> None:
    net = small_network(block_layout=layout)
    image = pictures(2, 1)
    still = predict(net, image=image.expand(-1, 5, -1, -1, -1))
    single = predict(net, image=image)
    torch.testing.assert_close(still.rotmat, single.rotmat.expand(-1, 5, -1, -1, -1), **NEAR)
    torch.testing.assert_close(still.betas, single.betas, **NEAR)


@layouts
@pytest.mark.parametrize("placed", [False, True], ids=["unplaced", "placed"])
def test_only_frames_with_a_place_have_an_order(layout: str, placed: bool) -> None:
    net = small_network(block_layout=layout, temporal_position=placed)
    image, skeleton = pictures(1, 5, seed=1), pictures(1, 5, seed=2)
    order = torch.tensor([3, 0, 4, 1, 2])
    forth = predict(net, image=image, skeleton=skeleton)
    mixed = predict(net, image=image[:, order], skeleton=skeleton[:, order])
    same = torch.allclose(mixed.rotmat, forth.rotmat[:, order], atol=1e-6)
    assert same is not placed


@layouts
@pytest.mark.parametrize("context", ["both", "image"])
def test_the_whole_equals_its_masked_twin(layout: str, context: str) -> None:
    net = small_network(block_layout=layout, temporal_position=True, context=context)
    image, skeleton = pictures(2, 3, seed=1), pictures(2, 3, seed=2)
    output = predict(net, image=image, skeleton=skeleton)
    with torch.no_grad():
        streams = [
            net.backbone.embed(one.flatten(0, 1)).view(2, 3, 12, 32) for one in (image, skeleton)
        ]
        tokens = net.backbone.last_norm(masked_blocks(net.backbone, torch.stack(streams, 1)))
        read = torch.cat((tokens[:, 0], tokens[:, 1]), 2) if context == "both" else tokens[:, 0]
        rotmat, betas, camera = net.head(read.flatten(0, 1))
    torch.testing.assert_close(output.rotmat.flatten(0, 1), rotmat, **NEAR)
    torch.testing.assert_close(output.betas, betas.view(2, 3, 10).mean(1), **NEAR)
    torch.testing.assert_close(output.camera.flatten(0, 1), camera, **NEAR)


def test_a_masked_stream_is_not_an_absent_one() -> None:
    net = small_network()
    image = pictures(1, 2)
    black = torch.tensor([-2.117904, -2.035714, -1.804444], dtype=torch.float64)
    empty = black[:, None, None].expand_as(image)
    masked = predict(net, image=image, skeleton=empty)
    absent = predict(net, image=image)
    assert (masked.rotmat - absent.rotmat).abs().max() > 1e-3


def test_layouts_differ_only_where_both_axes_are_there() -> None:
    image, skeleton = pictures(1, 3, seed=1), pictures(1, 3, seed=2)
    nets = [small_network(block_layout=layout) for layout in BLOCK_LAYOUTS]
    one_axis = [{"image": image}, {"image": image[:, :1], "skeleton": skeleton[:, :1]}]
    for streams in one_axis:
        said = [predict(net, **streams).rotmat for net in nets]
        assert all(torch.equal(said[0], other) for other in said[1:])
    both = [predict(net, image=image, skeleton=skeleton).rotmat for net in nets]
    for index, one in enumerate(both):
        assert all((one - other).abs().max() > 1e-4 for other in both[index + 1 :])


def test_both_streams_tell() -> None:
    net = small_network()
    image, skeleton = pictures(1, 2, seed=1), pictures(1, 2, seed=2)
    for given in (image, skeleton):
        given.requires_grad_()
    net(image=image, skeleton=skeleton).camera.sum().backward()
    assert image.grad is not None and image.grad.abs().max() > 0
    assert skeleton.grad is not None and skeleton.grad.abs().max() > 0


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    net = small_network(temporal_position=True)
    image, skeleton = pictures(3, 4, seed=1), pictures(3, 4, seed=2)
    together = predict(net, image=image, skeleton=skeleton)
    for clip in range(3):
        alone = predict(net, image=image[clip : clip + 1], skeleton=skeleton[clip : clip + 1])
        for ours, wanted in zip(parts(together), parts(alone), strict=True):
            torch.testing.assert_close(ours[clip : clip + 1], wanted, **NEAR)


def valid_of(*rows: str) -> Tensor:
    return torch.tensor([[mark == "x" for mark in row] for row in rows])


@layouts
@pytest.mark.parametrize("streams", ["image", "both"])
def test_frames_that_were_not_seen_are_as_if_dropped(layout: str, streams: str) -> None:
    net = small_network(block_layout=layout)
    valid = valid_of("xxxxx", ".xx.x", "..x..", "x...x", "xx.x.")
    given = {"image": pictures(5, 5, seed=1)}
    if streams == "both":
        given["skeleton"] = pictures(5, 5, seed=2)
    output = predict(net, **given, valid=valid)
    for clip, seen in enumerate(valid):
        kept = {name: one[clip : clip + 1, seen] for name, one in given.items()}
        dropped = predict(net, **kept)
        torch.testing.assert_close(output.rotmat[clip, seen], dropped.rotmat[0], **NEAR)
        torch.testing.assert_close(output.camera[clip, seen], dropped.camera[0], **NEAR)
        torch.testing.assert_close(output.betas[clip], dropped.betas[0], **NEAR)


def test_frames_that_were_seen_keep_their_places() -> None:
    net = small_network(temporal_position=True)
    image = pictures(1, 5)
    late = predict(net, image=image, valid=valid_of("..xxx"))
    gapped = predict(net, image=image, valid=valid_of("x.xx."))
    first = predict(net, image=image[:, 2:])
    assert (late.rotmat[:, 2:] - first.rotmat).abs().max() > 1e-4
    shifted = predict(net, image=image[:, [0, 1, 2, 3]], valid=valid_of("x.xx"))
    torch.testing.assert_close(gapped.rotmat[:, :4], shifted.rotmat, **NEAR)


def test_what_was_not_seen_may_be_anything() -> None:
    net = small_network()
    valid = valid_of("x.x", "...")
    image = pictures(2, 3)
    image[~valid] = float("nan")
    output = predict(net, image=image, valid=valid)
    assert all(part.isfinite().all() for part in parts(output))
    assert torch.equal(output.rotmat[0, 1], torch.eye(3).double().expand(24, 3, 3))
    assert torch.equal(output.betas[1], net.head.init_betas[0])
    assert torch.equal(output.camera[1], net.head.init_cam.expand(3, 3))


def test_gradients_reach_every_weight_but_that_of_the_empty_query() -> None:
    net = small_network(double=False).train()
    image, skeleton = pictures(2, 2, seed=1).float(), pictures(2, 2, seed=2).float()
    output = net(image=image, skeleton=skeleton, valid=valid_of("xx", "x."))
    generator = torch.Generator().manual_seed(0)
    loss = sum(
        (part * torch.randn(part.shape, generator=generator)).sum() for part in parts(output)
    )
    assert isinstance(loss, Tensor)
    loss.backward()
    for name, value in net.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), name
        assert bool(value.grad.any()) is not name.endswith("to_token_embedding.weight"), name


def test_other_types_of_numbers() -> None:
    exact = small_network()
    image, skeleton = pictures(1, 3, seed=1), pictures(1, 3, seed=2)
    wanted = predict(exact, image=image, skeleton=skeleton)
    assert wanted.rotmat.dtype == torch.float64
    single = small_network(double=False)
    ours = predict(single, image=image, skeleton=skeleton)
    assert ours.rotmat.dtype == torch.float32
    torch.testing.assert_close(ours.rotmat.double(), wanted.rotmat, atol=1e-3, rtol=0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = predict(single, image=image, skeleton=skeleton)
    assert mixed.rotmat.dtype == torch.float32
    half = predict(single.bfloat16(), image=image, skeleton=skeleton)
    for rough in (mixed, half):
        assert (rough.rotmat - ours.rotmat).abs().mean() < 0.05


@pytest.mark.parametrize("body", ["smpl", "mano"])
def test_a_network_without_memory_takes_the_weights_given(body: str) -> None:
    net = small_network(body=body, temporal_position=True)
    with torch.device("meta"):
        empty = ExtPose(small_config(body=body, temporal_position=True))
    assert {value.device.type for value in empty.state_dict().values()} == {"meta"}
    empty.load_state_dict(net.state_dict(), strict=True, assign=True)
    image = pictures(1, 3)
    ours = predict(empty.eval(), image=image, valid=valid_of("xx."))
    assert torch.equal(ours.rotmat, predict(net, image=image, valid=valid_of("xx.")).rotmat)


def test_shapes_can_be_tried_without_numbers() -> None:
    with torch.device("meta"):
        net = ExtPose(small_config())
        image = torch.zeros(2, 3, 3, 64, 48)
    output = net(image=image, skeleton=image)
    assert output.rotmat.shape == (2, 3, 24, 3, 3) and output.betas.shape == (2, 10)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: {}, "neither"),
        (lambda: {"image": torch.zeros(1, 2, 3, 64, 40)}, "64, 40"),
        (lambda: {"image": torch.zeros(2, 3, 64, 48)}, "B, T, 3"),
        (lambda: {"image": torch.zeros(1, 0, 3, 64, 48)}, "got"),
        (
            lambda: {"image": pictures(1, 2), "skeleton": pictures(1, 3)},
            "two streams of one shape",
        ),
        (lambda: {"image": pictures(1, 2), "valid": torch.ones(1, 2)}, "bool"),
        (lambda: {"image": pictures(1, 2), "valid": valid_of("xxx")}, r"\(1, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(given: Callable[[], dict[str, Tensor]], message: str) -> None:
    with pytest.raises(BadShape, match=message):
        small_network()(**given())
