"""Memory: what a forward pass needs, what a device has left, and what was taken."""

from __future__ import annotations

import contextlib
import sys
import weakref
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .backbone import MLP_RATIO
from .network import ExtPose, ExtPoseConfig
from .precision import cast_products, computing

FULL = (
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
)
"""What torch and CUDA's libraries say when memory has run out, beside raising OutOfMemoryError."""

PROCESS = Path("/proc/self")
"""Where Linux tells about this process."""


def bytes_per_token(config: ExtPoseConfig, dtype: torch.dtype) -> int:
    """Upper bound of what a forward pass holds per token at its highest point, weights left out.

    Always there: the token's pixels (uploaded, normalised, and both streams put together), residual
    stream and norm in fp32. With them, in `dtype`, the norm's copy, and either the MLP's hidden layer
    before and after its activation or the decoder's keys and values.
    """
    pixels = 3 * config.patch_size**2 * (1 + 2 * dtype.itemsize)
    exact = 2 * config.embed_dim * torch.float32.itemsize
    hidden = 2 * MLP_RATIO * config.embed_dim
    decoder = 2 * config.decoder_heads * config.decoder_dim_head
    return pixels + exact + (config.embed_dim + max(hidden, decoder)) * dtype.itemsize


def count_memory(
    config: ExtPoseConfig, dtype: torch.dtype, frames: int, streams: int, windows: int
) -> int:
    """Bytes at the highest point of a forward pass on a CPU, weights and input included.

    Nothing is computed: the pass runs on tensors without contents, and what it would allocate is counted.
    Buffers inside kernels, some kilobytes per thread, are not seen.
    """
    without_contents: Any = FakeTensorMode()
    with torch.device("meta"):
        net = ExtPose(config).eval()
    shapes = {key: tensor.shape for key, tensor in net.state_dict().items()}
    with without_contents:
        tensors = {key: torch.zeros(shape) for key, shape in shapes.items()}
    net.load_state_dict(tensors, assign=True)
    with without_contents:
        cast_products(net, dtype)
        weights = sum(tensor.nbytes for tensor in (*net.parameters(), *net.buffers()))
        shape = (windows, frames, 3, *config.image_size)
        pictures = [torch.zeros(shape, dtype=dtype) for _ in range(streams)]
        with Allocations() as allocations, computing("cpu", dtype):
            net(image=pictures[0], skeleton=pictures[1] if streams > 1 else None)
    return weights + sum(picture.nbytes for picture in pictures) + allocations.highest


class Allocations(TorchDispatchMode):
    """Inside, counts the bytes of living tensors that were made inside."""

    def __init__(self) -> None:
        begin: Any = super().__init__
        begin()
        self.highest = 0
        """Bytes at the highest point so far."""
        self._bytes = 0
        self._living: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        results = function(*args, **(kwargs or {}))
        given = {id(storage) for storage in _storages_of((args, kwargs))}
        for storage in _storages_of(results):
            if id(storage) not in given | self._living:  # Otherwise it is a view.
                self._add(storage)
        return results

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        self._living.add(key)
        self._bytes += size
        self.highest = max(self.highest, self._bytes)
        weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._living.remove(key)
        self._bytes -= size


def _storages_of(values: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def free_memory(device: str | torch.device) -> int:
    """Bytes that tensors on a CUDA device can still take, torch's own reserve included."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: of CUDA, of a library on it, or of the CPU's allocator."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in FULL)


def peak_memory(device: str | torch.device) -> int | None:
    """Bytes at the highest point since `restart_peak`: of a CUDA device, else of the whole process.

    `None` where the system does not tell.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    if not (PROCESS / "status").exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes.
    lines = (PROCESS / "status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)


def restart_peak(device: str | torch.device) -> None:
    """Let `peak_memory` begin anew. Where the system has no way to, it goes on from before."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with contextlib.suppress(OSError):
            (PROCESS / "clear_refs").write_text("5")
