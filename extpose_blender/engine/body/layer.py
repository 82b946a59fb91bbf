"""Our own differentiable skinning: joints, a few surface points, or the whole surface, in batches.

Linear blend skinning as smplx does it (smplx:smplx/lbs.py), without pose correctives. What an
optimiser calls many times stays small: joints never touch a vertex, and surface points touch their
own vertices only. The chain is turned level by level of the tree, eleven steps for SMPL-H, not
joint by joint.

Frames: SMPL's (Y up, facing +Z, left at +X) or whatever `transl` and the root rotation turn it to;
metres.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
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
    _back: Tensor

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
        levels = _levels(parents)
        self._level_count = len(levels) - 1
        for i, (above, joints) in enumerate(itertools.pairwise(levels)):
            its_parents = [parents[joint] for joint in joints]
            self.register_buffer(f"_joints{i}", torch.tensor(joints))
            self.register_buffer(f"_above{i}", torch.tensor(its_parents))
            self.register_buffer(f"_rows{i}", torch.tensor([above.index(p) for p in its_parents]))
        order = [joint for joints in levels for joint in joints]
        back = [order.index(joint) for joint in range(len(parents))]
        self.register_buffer("_back", torch.tensor(back))

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
        rest = _batch_last(self.rest_joints(betas))  # (3, J, B or 1)
        turns, joints = self._turn_chain(_batch_last(rotmat), rest)
        weights = self.weights if vertex_ids is None else self.weights[vertex_ids]
        # Each joint carries x to turn · x + shift.
        carry = torch.cat([turns, (joints - _turned(turns, rest))[:, None]], 1)  # (3, 4, J, B)
        blended = torch.einsum("vj,bjk->bvk", weights, carry.permute(3, 2, 0, 1).flatten(-2))
        blended = blended.unflatten(-1, (3, 4))
        at_rest = self.rest_vertices(betas, vertex_ids)
        points = (blended[..., :3] @ at_rest[..., None])[..., 0] + blended[..., 3]
        places = joints.permute(2, 1, 0)
        if transl is not None:
            places, points = places + transl[:, None], points + transl[:, None]
        return Posed(places, points)

    def joints(self, betas: Tensor, rotmat: Tensor, transl: Tensor | None = None) -> Tensor:
        """Joint positions alone (B, J, 3); arguments as of `forward`."""
        rest = _batch_last(self.rest_joints(betas))
        joints = self._turn_chain(_batch_last(rotmat), rest)[1].permute(2, 1, 0)
        return joints if transl is None else joints + transl[:, None]

    def _turn_chain(self, rotmat: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """Global rotations (3, 3, J, B) and positions (3, J, B), from (3, 3, J, B) and (3, J, B).

        The batch lies last, so that products of small matrices run along memory.
        """
        rest = rest.expand(-1, -1, rotmat.shape[-1])
        turns, places = [rotmat[:, :, :1]], [rest[:, :1]]
        for joints, above, rows in self._steps():
            parent_turns = turns[-1].index_select(2, rows)
            bones = rest.index_select(1, joints) - rest.index_select(1, above)
            places.append(places[-1].index_select(1, rows) + _turned(parent_turns, bones))
            local = rotmat.index_select(2, joints)
            turns.append((parent_turns[:, :, None] * local[None]).sum(1))
        return (
            torch.cat(turns, 2).index_select(2, self._back),
            torch.cat(places, 1).index_select(1, self._back),
        )

    def _steps(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each level: its joints, their parents, the parents' rows in the level above."""
        for i in range(self._level_count):
            joints, above = self.get_buffer(f"_joints{i}"), self.get_buffer(f"_above{i}")
            yield joints, above, self.get_buffer(f"_rows{i}")


def _batch_last(array: Tensor) -> Tensor:
    """(B, J, ...) to (..., J, B), in memory."""
    return array.movedim((0, 1), (-1, -2)).contiguous()


def _turned(turns: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (3, J, B) turned by matrices (3, 3, J, B)."""
    return (turns * vectors[None]).sum(1)


def _levels(parents: Sequence[int]) -> list[list[int]]:
    """The joints of each level of the tree, the root's first."""
    levels = [[0]]
    while below := [joint for joint, parent in enumerate(parents) if parent in levels[-1]]:
        levels.append(below)
    return levels
