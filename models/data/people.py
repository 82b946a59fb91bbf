"""Dressed people: posed surfaces with cloth and hair on them, and their colours at each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extpose_blender.engine.body.layer import rotvec_to_rotmat
from extpose_blender.engine.body.load import Body

from .lighting import Lights, shade
from .rasterise import Seen
from .rows import Rows
from .textures import TextureBank, texture_numbers
from .wardrobe import GARMENTS, SKIN, Outfits, Tailor

_BODY_JOINTS = 22
"""Joints of SMPL that SMPL-H has as well; fingers follow them there."""
_BORDER_M = 0.004
"""Width of the border between two garments."""
_FOLD_TEXTURE = texture_numbers("bumpy")[0]
_FOLDS_PER_M = 3.1


@dataclass(frozen=True)
class Surfaces(Rows):
    """Surfaces of N people."""

    points_m: Tensor
    """(N, V, 3) vertices."""
    normals: Tensor
    """(N, V, 3) unit normals."""


class Wearers:
    """The open body with clothes on, in batches.

    Args:
        body: The open body.
        device: Where it works.
    """

    def __init__(self, body: Body, device: torch.device | str = "cpu") -> None:
        self._layer = body.layer.to(device)
        self.faces = torch.tensor(body.faces, dtype=torch.long, device=device)
        """(F, 3) triangles."""
        self._around = _faces_around(body.faces, len(body.v_template)).to(device)
        self.tailor = Tailor(body, device)
        """Who dresses them."""

    @torch.no_grad()
    def pose(
        self,
        betas: Tensor,
        rotmat: Tensor,
        hand_rotvec: Tensor,
        transl_m: Tensor,
        thickness_m: Tensor,
    ) -> Surfaces:
        """Pose dressed people.

        Args:
            betas: (N, 10).
            rotmat: (N, 24, 3, 3) joints of SMPL; the two hand joints are left out.
            hand_rotvec: (N, 30, 3) fingers of SMPL-H.
            transl_m: (N, 3) smplx's `transl`.
            thickness_m: (N, V) how far clothes stand out.
        """
        turns = torch.cat([rotmat[:, :_BODY_JOINTS], rotvec_to_rotmat(hand_rotvec)], 1)
        bare = self._layer(betas, turns, transl_m).points
        dressed = bare + self._normals(bare) * thickness_m[..., None]
        return Surfaces(dressed, self._normals(dressed))

    def _normals(self, points: Tensor) -> Tensor:
        """Unit normals (N, V, 3); sums over neighbours in fixed order."""
        a, b, c = (points[:, self.faces[:, corner]] for corner in range(3))
        flat = torch.linalg.cross(b - a, c - a)
        flat = torch.cat([flat, torch.zeros_like(flat[:, :1])], 1)
        normals = torch.zeros_like(points)
        for faces in self._around.unbind(1):
            normals += flat[:, faces]
        return torch.nn.functional.normalize(normals, dim=-1, eps=1e-12)


def color_people(
    seen: Seen,
    mesh_normals: Tensor,
    lit: Tensor,
    tailor: Tailor,
    outfits: Outfits,
    lights: Lights,
    toward_camera: Tensor,
    footprint_m: Tensor,
    bank: TextureBank,
) -> Tensor:
    """Colours of the pixels that show people.

    Args:
        seen: The P pixels.
        mesh_normals: (N, V, 3) of the meshes, place frame.
        lit: (N, V) share of the key light that reaches each vertex.
        tailor: Knows the places of the body.
        outfits: One for each mesh.
        lights: One for each mesh.
        toward_camera: (N, 3) unit vector from each mesh to its camera, place frame.
        footprint_m: (P,) what a pixel covers of the surface.
        bank: Textures.

    Returns:
        (P, 3) linear.
    """
    shaped = seen.interpolate(torch.cat([mesh_normals, lit[..., None]], -1))
    places = seen.interpolate(tailor.places)
    light = lights.select(seen.mesh)
    garment = tailor.coverage(outfits.cuts[seen.mesh], places, _BORDER_M).argmax(-1)
    chosen = seen.mesh * GARMENTS + garment
    dark, bright, texture, scale, gloss, folds = (
        table.flatten(0, 1)[chosen]
        for table in (
            outfits.dark, outfits.light, outfits.texture, outfits.scale, outfits.gloss, outfits.folds
        )
    )  # fmt: skip
    x, y, z = places[:, :3].unbind(-1)
    u, v = x + 0.6 * z, 0.15 * z - y
    texel = bank.look_up(texture, u * scale, v * scale, footprint_m * scale)
    phase = outfits.waves[:, 0, 3][seen.mesh]
    normals = _folded(shaped[:, :3], u + phase, v, folds, footprint_m, bank)
    wrap = torch.where(garment == SKIN, 0.25, 0.1)
    arriving = shade(light, normals, shaped[:, 3], wrap)
    halfway = torch.nn.functional.normalize(light.toward + toward_camera[seen.mesh], dim=-1)
    glint = (normals * halfway).sum(-1).clamp(min=0) ** 24 * gloss * shaped[:, 3]
    return (dark + (bright - dark) * texel) * arriving + glint[:, None] * light.key


def _folded(
    normals: Tensor,
    u: Tensor,
    v: Tensor,
    folds: Tensor,
    footprint_m: Tensor,
    bank: TextureBank,
) -> Tensor:
    """Normals (P, 3) of cloth that is not flat."""
    texture = torch.full_like(u, _FOLD_TEXTURE, dtype=torch.long)
    footprint = footprint_m * _FOLDS_PER_M
    texel = bank.look_up(texture, _FOLDS_PER_M * u, _FOLDS_PER_M * v, footprint)
    uneven = (texel - 0.5) * (1.4 * folds[:, None])
    return torch.nn.functional.normalize(normals + uneven, dim=-1)


def _faces_around(faces: np.ndarray, vertices: int) -> Tensor:
    """(V, k) faces at each vertex, filled up with the number after the last face."""
    corner = faces.ravel()
    order = np.argsort(corner, kind="stable")
    counts = np.bincount(corner, minlength=vertices)
    first = np.cumsum(counts) - counts
    around = np.full((vertices, counts.max()), len(faces))
    row = corner[order]
    around[row, np.arange(len(row)) - first[row]] = order // 3
    return torch.tensor(around)
