"""Our own differentiable skinning: joints, a few surface points, or the whole surface, in batches.

Linear blend skinning as smplx does it (smplx:smplx/lbs.py), without pose correctives. What an optimiser calls
many times stays small: joints never touch a vertex, and surface points touch their own vertices only. The
chain is turned level by level of the tree, eleven steps for SMPL-H, not joint by joint.

Frames: SMPL's (Y up, facing +Z, left at +X) or whatever `transl` and the root rotation turn it to; metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Posed:
    """A posed body; B is the batch."""

    joints: Tensor
    """(B, J, 3) joint positions, metres."""
    points: Tensor
    """(B, K, 3) surface points or all vertices, metres."""


def rotvec_to_rotmat(rotvec: Tensor) -> Tensor:
    """Rotation vectors (..., 3) to matrices (..., 3, 3); smooth and differentiable through zero."""
    squared = (rotvec * rotvec).sum(-1)
    small = squared < 1e-6
    angle = torch.sqrt(torch.where(small, torch.ones_like(squared), squared))
    sine = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / (angle * angle))
    x, y, z = rotvec.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return eye + sine[..., None, None] * skew + cosine[..., None, None] * (skew @ skew)


class SkinLayer(torch.nn.Module):
    """A body's arrays as buffers, and what can be computed from them.

    Args:
        v_template: (V, 3) mean surface at rest, metres.
        shapedirs: (V, 3, N) change with each shape number.
        regressor: (J, V) joints as weighted means of vertices.
        weights: (V, J) skinning weights.
        parents: (J,) parent of each joint, -1 for the root; parents come before their children.
    """

    v_template: Tensor
    shapedirs: Tensor
    weights: Tensor
    j_template: Tensor
    j_shapedirs: Tensor

    def __init__(
        self,
        v_template: np.ndarray,
        shapedirs: np.ndarray,
        regressor: np.ndarray,
        weights: np.ndarray,
        parents: Sequence[int],
    ) -> None:
        super().__init__()
        arrays = {
            "v_template": v_template,
            "shapedirs": shapedirs,
            "weights": weights,
            "j_template": regressor.astype(np.float64) @ v_template,
            "j_shapedirs": np.einsum("jv,vcn->jcn", regressor.astype(np.float64), shapedirs),
        }
        for name, array in arrays.items():
            self.register_buffer(name, torch.tensor(array, dtype=torch.float32))
        self._levels = _levels(parents)
        order = [joint for joints, _ in self._levels for joint in joints]
        self._back = [order.index(joint) for joint in range(len(parents))]

    def rest_joints(self, betas: Tensor) -> Tensor:
        """Joints at rest (B, J, 3) for shapes (B, N)."""
        return self.j_template + torch.einsum("bn,jcn->bjc", betas, self.j_shapedirs)

    def rest_vertices(self, betas: Tensor, vertex_ids: Tensor | None = None) -> Tensor:
        """Vertices at rest (B, V, 3), or those asked for, for shapes (B, N)."""
        template, directions = self.v_template, self.shapedirs
        if vertex_ids is not None:
            template, directions = template[vertex_ids], directions[vertex_ids]
        return template + torch.einsum("bn,vcn->bvc", betas, directions)

    def forward(
        self,
        betas: Tensor,
        rotmat: Tensor,
        transl: Tensor | None = None,
        vertex_ids: Tensor | None = None,
    ) -> Posed:
        """Pose joints and surface.

        Args:
            betas: (B, N) or (1, N).
            rotmat: (B, J, 3, 3) rotation of each joint in its parent's frame.
            transl: (B, 3) shift of everything, metres; smplx's `transl`.
            vertex_ids: (K,) vertices wanted; all when left out.
        """
        rest = self.rest_joints(betas)
        turns, joints = self._turn_chain(rotmat, rest)
        weights = self.weights if vertex_ids is None else self.weights[vertex_ids]
        # Each joint carries x to turn · x + shift.
        shifts = joints - (turns @ rest[..., None])[..., 0]
        carry = torch.cat([turns, shifts[..., None]], -1)  # (B, J, 3, 4)
        blended = torch.einsum("vj,bjk->bvk", weights, carry.flatten(-2)).unflatten(-1, (3, 4))
        at_rest = self.rest_vertices(betas, vertex_ids)
        points = (blended[..., :3] @ at_rest[..., None])[..., 0] + blended[..., 3]
        if transl is not None:
            joints, points = joints + transl[:, None], points + transl[:, None]
        return Posed(joints, points)

    def joints(self, betas: Tensor, rotmat: Tensor, transl: Tensor | None = None) -> Tensor:
        """Joint positions alone (B, J, 3); arguments as of `forward`."""
        joints = self._turn_chain(rotmat, self.rest_joints(betas))[1]
        return joints if transl is None else joints + transl[:, None]

    def _turn_chain(self, rotmat: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """Global rotations (B, J, 3, 3) and positions (B, J, 3)."""
        rest = rest.expand(len(rotmat), -1, -1)
        root = self._levels[0][0]
        turns, places = [rotmat[:, root]], [rest[:, root]]
        for (joints, rows), (above, _) in zip(self._levels[1:], self._levels[:-1], strict=True):
            parent_turns = turns[-1][:, rows]
            bones = rest[:, joints] - rest[:, [above[row] for row in rows]]
            places.append(places[-1][:, rows] + (parent_turns @ bones[..., None])[..., 0])
            turns.append(parent_turns @ rotmat[:, joints])
        return torch.cat(turns, 1)[:, self._back], torch.cat(places, 1)[:, self._back]


def _levels(parents: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Joints of each level of the tree, and the row of each one's parent in the level above."""
    levels: list[tuple[list[int], list[int]]] = [([0], [0])]
    while True:
        above = levels[-1][0]
        joints = [joint for joint, parent in enumerate(parents) if parent in above]
        if not joints:
            return levels
        levels.append((joints, [above.index(parents[joint]) for joint in joints]))
