"""In which precision the network computes.

Half precision here is what HMR2.0 and HaMeR were trained in: matrix products and attention in 16 bits,
everything that adds up over many layers (the residual stream, norms, positions) and the head's readout
in 32. So the weights of the products are kept in 16 bits, half the memory, and the rest is left to
torch's autocast.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from ....protocol.errors import UsageError
from ....protocol.options import PRECISIONS
from .network import ExtPose

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What the words mean, `auto` apart."""

CPU_BF16_UNITS = ("amx_bf16", "avx512_bf16")
"""Processor features that multiply bf16 matrices; without one, bf16 is many times slower than fp32."""


def choose_dtype(wanted: str, device: str) -> torch.dtype:
    """The number type of matrix products.

    `auto` asks what the device can do, never how fast it happens to be, so that the same machine gives
    the same result every time: bf16 on CUDA, fp16 where CUDA has no bf16, fp32 where it has neither;
    on a CPU bf16 with AMX or AVX512-BF16, else fp32.

    Args:
        wanted: One of the option's words.
        device: Torch's word for the device.

    Raises:
        UsageError: `wanted` is none of these.
    """
    if wanted in DTYPES:
        return DTYPES[wanted]
    if wanted != "auto":
        raise UsageError(f"A precision is one of {', '.join(PRECISIONS)}, not `{wanted}`")
    if torch.device(device).type == "cuda":
        return _dtype_of_cuda(torch.cuda.get_device_capability(device))
    units = torch.cpu.get_capabilities()
    return torch.bfloat16 if any(units.get(unit) for unit in CPU_BF16_UNITS) else torch.float32


def word_of(dtype: torch.dtype) -> str:
    """The command line's word for a number type: `fp32`, `bf16` or `fp16`."""
    return next(word for word, value in DTYPES.items() if value == dtype)


def cast_products(net: ExtPose, dtype: torch.dtype) -> None:
    """Keep the weights of matrix products in `dtype`, in place, one tensor at a time.

    Norms, positions, the decoder's query and its readout (pose, shape, camera, mean parameters) stay in
    fp32: 16 bits would round a 6D rotation by up to a quarter of a degree.
    """
    for part in (net.backbone, net.head.transformer):
        for layer in part.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                for name, weight in list(layer.named_parameters(recurse=False)):
                    setattr(layer, name, nn.Parameter(weight.to(dtype), requires_grad=False))


@contextlib.contextmanager
def computing(device: str | torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Inside, the network predicts (no gradients are kept) with products in `dtype`."""
    kind = torch.device(device).type
    with torch.inference_mode(), torch.autocast(kind, dtype, enabled=dtype != torch.float32):
        yield


def _dtype_of_cuda(capability: tuple[int, int]) -> torch.dtype:
    """By compute capability: bf16 units since 8.0 (Ampere), fp16 units since 7.0 (Volta)."""
    if capability >= (8, 0):
        return torch.bfloat16
    return torch.float16 if capability >= (7, 0) else torch.float32
