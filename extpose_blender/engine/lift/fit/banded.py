"""Normal equations of a whole clip: a block of unknowns per frame, tied to the next two frames.

The ties couple each unknown with itself only, so the matrix is banded with a narrow band, and a
banded Cholesky factorisation solves a clip of T frames in time proportional to T.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import cho_solve_banded, cholesky_banded


def solve_banded(
    blocks: torch.Tensor, next_ties: torch.Tensor, second_ties: torch.Tensor, right: torch.Tensor
) -> torch.Tensor:
    """Solve the symmetric positive definite system of a clip.

    Args:
        blocks: (T, D, D) per-frame blocks, ties' own diagonal included.
        next_ties: (T - 1, D) coupling of each unknown with itself one frame later.
        second_ties: (T - 2, D) coupling two frames later; empty for T < 3.
        right: (T, D) right-hand side.

    Returns:
        (T, D) solution.
    """
    count, size = right.shape
    band = np.zeros((2 * size + 1, count, size), np.float64)
    matrix = blocks.detach().cpu().numpy()
    for below in range(size):
        band[below, :, : size - below] = np.diagonal(matrix, -below, axis1=1, axis2=2)
    band[size, : count - 1] = next_ties.detach().cpu().numpy()
    if count > 2:
        band[2 * size, : count - 2] = second_ties.detach().cpu().numpy()
    flat = band.reshape(2 * size + 1, count * size)
    factor = cholesky_banded(flat, lower=True, check_finite=False, overwrite_ab=True)
    wanted = right.detach().cpu().double().numpy().reshape(-1)
    solution = cho_solve_banded((factor, True), wanted, check_finite=False)
    return torch.as_tensor(solution.reshape(count, size), dtype=right.dtype, device=right.device)
