"""Counted operations are those that torch counts; rates and times are at least possible."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from extpose_blender.engine.lift.extpose.config import BLOCK_LAYOUTS
from extpose_blender.engine.lift.extpose.measure import (
    alternate,
    count_flops,
    measure_matrix_rate,
    seconds_of,
    time_against_image_model,
)
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig
from extpose_blender.engine.lift.extpose.predict import Predictor

TINY = ExtPoseConfig(
    image_size=(64, 48),
    embed_dim=24,
    depth=3,
    num_heads=3,
    decoder_dim=20,
    decoder_depth=2,
    decoder_heads=2,
    decoder_dim_head=7,
    decoder_mlp_dim=28,
)


def counted_by_torch(net: ExtPose, frames: int, streams: int) -> int:
    shape = (1, frames, 3, *net.config.image_size)
    image, skeleton = (torch.zeros(shape) for _ in range(2))
    # Torch counts the matrix products of plain attention, but knows no fused one on a CPU.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        net(image=image, skeleton=skeleton if streams > 1 else None)
    return counter.get_total_flops()


@pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_operations_are_those_torch_counts(layout: str, streams: int, frames: int) -> None:
    net = ExtPose(ExtPoseConfig.from_dict(TINY.to_dict() | {"block_layout": layout})).eval()
    assert count_flops(net, frames, streams) == counted_by_torch(net, frames, streams)


@pytest.mark.parametrize("changes", [{"body": "mano"}, {"context": "image"}, {"patch_size": 8}])
def test_operations_follow_the_sizes(changes: dict[str, object]) -> None:
    net = ExtPose(ExtPoseConfig.from_dict(TINY.to_dict() | changes)).eval()
    assert count_flops(net, 3, 2) == counted_by_torch(net, 3, 2)


def test_operations_of_vit_h_are_those_published() -> None:
    """ViTPose-H names 122.9 GFLOPs (multiply-adds) for backbone and its small head at 256 × 192."""
    with torch.device("meta"):
        net = ExtPose(ExtPoseConfig())
    assert count_flops(net, 1, 1) / 2e9 == pytest.approx(122.9, rel=0.03)


def test_work_runs_until_the_clock_can_tell() -> None:
    calls = 0

    def work() -> None:
        nonlocal calls
        calls += 1

    assert seconds_of(work, "cpu") > 0
    assert calls > 100


def test_two_calls_take_turns() -> None:
    order = []

    def work(name: str) -> None:
        order.append(name)
        torch.randn(700, 700) @ torch.randn(700, 700)

    first, second = alternate(lambda: work("A"), lambda: work("B"), 3, "cpu")
    turns = "".join(a for a, b in zip(order, ["", *order], strict=False) if a != b)
    assert (len(first), len(second), turns) == (3, 3, "ABABAB")


def test_the_matrix_rate_is_that_of_some_product() -> None:
    assert measure_matrix_rate("cpu", torch.float32, 0.2) > 1e7


def test_timing_names_both_sides_and_memory() -> None:
    timing = time_against_image_model(Predictor(ExtPose(TINY).eval(), "cpu"), 2, 2, 1, runs=2)
    assert timing is not None
    assert len(timing.seconds) == len(timing.plain_seconds) == 2
    ratios = [a / b for a, b in zip(timing.seconds, timing.plain_seconds, strict=True)]
    assert timing.ratio == pytest.approx(sum(ratios) / 2)


def test_what_does_not_fit_is_no_error() -> None:
    predictor = Predictor(ExtPose(TINY).eval(), "cpu")

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    predictor.net.backbone.patch_embed.register_forward_pre_hook(full)
    assert time_against_image_model(predictor, 1, 1, 1, runs=1) is None
