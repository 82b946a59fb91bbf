"""Counted memory is that of real tensors; bounds hold; errors of full memory are recognised."""

from __future__ import annotations

import sys

import pytest
import torch

from extpose_blender.engine.lift.extpose.config import BLOCK_LAYOUTS
from extpose_blender.engine.lift.extpose.memory import (
    Allocations,
    bytes_per_token,
    count_memory,
    out_of_memory,
    peak_memory,
    restart_peak,
)
from extpose_blender.engine.lift.extpose.network import ExtPose, ExtPoseConfig
from extpose_blender.engine.lift.extpose.precision import cast_products, computing

CONFIG = ExtPoseConfig(
    image_size=(64, 48), embed_dim=64, depth=4, num_heads=4, decoder_dim=32, decoder_depth=2
)
DTYPES = [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("streams", [1, 2])
def test_counting_equals_a_real_run(dtype: torch.dtype, streams: int) -> None:
    net = ExtPose(CONFIG).eval()
    cast_products(net, dtype)
    weights = sum(tensor.nbytes for tensor in net.state_dict().values())
    pictures = [torch.randn(2, 3, 3, 64, 48).to(dtype) for _ in range(streams)]
    with Allocations() as allocations, computing("cpu", dtype):
        net(image=pictures[0], skeleton=pictures[1] if streams > 1 else None)
    real = weights + allocations.highest + sum(picture.nbytes for picture in pictures)
    assert count_memory(CONFIG, dtype, 3, streams, 2) == real


def test_allocations_follow_what_lives() -> None:
    with Allocations() as allocations:
        a = torch.zeros(1000)
        b = a.view(10, 100) + 1
        del a, b
        c = torch.zeros(500)
        c.add_(1)
    assert allocations.highest == 8000


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", BLOCK_LAYOUTS)
@pytest.mark.parametrize(("frames", "streams"), [(1, 1), (4, 1), (1, 2), (4, 2)])
def test_the_bound_per_token_holds_and_is_no_waste(
    dtype: torch.dtype, layout: str, frames: int, streams: int
) -> None:
    config = ExtPoseConfig.from_dict(CONFIG.to_dict() | {"block_layout": layout})
    one, many = (count_memory(config, dtype, frames, streams, n) for n in (10, 30))
    tokens = 20 * frames * streams * config.tokens
    assert 0.5 < (many - one) / tokens / bytes_per_token(config, dtype) <= 1


def test_vit_h_is_counted_without_being_made() -> None:
    """Weights of half the size; the rest is some hundred megabytes for 16 frames of two streams."""
    bound = 16 * 2 * 192 * bytes_per_token(ExtPoseConfig(), torch.bfloat16)
    counted = count_memory(ExtPoseConfig(), torch.bfloat16, 16, 2, 1)
    assert 1.34e9 < counted < 1.36e9 + bound


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_full_memory_is_told_from_other_errors(error: Exception, full: bool) -> None:
    assert out_of_memory(error) is full


@pytest.mark.skipif(sys.platform != "linux", reason="asks for more than there is, as Linux refuses")
def test_the_allocator_of_this_torch_is_understood() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(2**60, dtype=torch.uint8)
    assert out_of_memory(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no mark to restart")
def test_the_peak_can_begin_anew() -> None:
    big = torch.ones(50_000_000)
    high = peak_memory("cpu")
    del big
    restart_peak("cpu")
    low = peak_memory("cpu")
    assert high is not None
    assert low is not None
    assert high - low > 150_000_000
