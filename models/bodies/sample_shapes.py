"""Draw adult shapes from anny's sliders: stature as people have it, the rest spread around it.

The body mass index that comes out lies around 25 (15 to 40). Every draw is left-right symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

SEED = 20250711
STATURE_M = {"male": (1.755, 0.072), "female": (1.625, 0.067)}
"""Mean and standard deviation of adult stature; between the worldwide and the western means of
NCD-RisC (eLife 2016) with the spread of ANSUR II."""

LOCAL_SLIDERS: dict[str, tuple[float, float]] = {
    "lowerlegs-height-incr": (-0.45, 0.20),
    "upperlegs-height-incr": (0.12, 0.18),
    "measure-upperarm-length-incr": (0.0, 0.20),
    "measure-lowerarm-length-incr": (0.05, 0.20),
    "measure-napetowaist-dist-incr": (0.0, 0.18),
    "measure-waisttohip-dist-incr": (0.0, 0.15),
    "measure-shoulder-dist-incr": (0.0, 0.40),
    "measure-neck-height-incr": (0.0, 0.30),
    "measure-neck-circ-incr": (0.0, 0.35),
    "measure-bust-circ-incr": (0.0, 0.25),
    "measure-waist-circ-incr": (0.0, 0.35),
    "measure-hips-circ-incr": (0.0, 0.35),
    "measure-thigh-circ-incr": (0.0, 0.30),
    "measure-calf-circ-incr": (0.0, 0.30),
    "measure-upperarm-circ-incr": (0.0, 0.30),
    "hip-scale-horiz-incr": (0.0, 0.25),
    "torso-scale-horiz-incr": (0.0, 0.20),
    "torso-scale-depth-incr": (0.0, 0.20),
    "stomach-pregnant-incr": (0.08, 0.12),
    "head-scale-vert-incr": (0.0, 0.30),
    "head-scale-horiz-incr": (0.0, 0.30),
    "l-foot-scale-incr": (0.0, 0.12),
    "l-hand-scale-incr": (0.0, 0.15),
    "l-hand-fingers-length-incr": (0.0, 0.15),
}
"""Mean and standard deviation of each local slider, in its own units (-1 to 1).

Limb and trunk lengths vary apart from stature, because people of one height differ by several
centimetres in them. The means of the two leg heights bring MakeHuman's long shanks and short thighs
to people's proportions (knee centre at 0.275 of stature instead of 0.29).
"""


@dataclass(frozen=True)
class Shapes:
    """MakeHuman bodies in their own rest pose (arms hanging at 45 degrees)."""

    vertices_m: np.ndarray
    """(N, V, 3) float32, metres, Y up, facing +Z."""
    bone_heads_m: np.ndarray
    """(N, B, 3) float32: heads of anny's bones."""


def load_anny() -> torch.nn.Module:
    """The full body of anny with every slider in place, its own rig of 104 bones, triangles."""
    import anny

    sliders = list(LOCAL_SLIDERS)
    sliders += ["r" + name[1:] for name in sliders if name.startswith("l-")]
    return anny.Anny(
        rig="anny",
        topology="anny",
        local_changes=sliders,
        phenotypes="all",
        phenotype_blendshapes="original",
    ).to(torch.float32)


def draw_shapes(model: torch.nn.Module, count: int, batch: int = 50) -> Shapes:
    """Draw `count` adults, repeatably.

    Args:
        model: From `load_anny`.
        count: How many.
        batch: Evaluated at a time.
    """
    rng = np.random.default_rng(SEED)
    vertices, heads = [], []
    for start in range(0, count, batch):
        n = min(batch, count - start)
        sliders, stature = _draw_sliders(rng, n)
        local = _draw_local(rng, n, model.local_change_labels)
        sliders["height"] = _slider_for_stature(model, sliders, local, stature)
        v, h = _rest(model, sliders, local)
        vertices.append(v)
        heads.append(h)
    return Shapes(np.concatenate(vertices), np.concatenate(heads))


def _draw_sliders(rng: np.random.Generator, n: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    male = rng.random(n) < 0.5
    gender = np.where(male, rng.beta(1.5, 8, n), 1 - rng.beta(1.5, 8, n))
    mean = np.where(male, STATURE_M["male"][0], STATURE_M["female"][0])
    deviation = np.where(male, STATURE_M["male"][1], STATURE_M["female"][1])
    stature = mean + deviation * np.clip(rng.standard_normal(n), -2.7, 2.7)
    race = rng.dirichlet([1.0, 1.0, 1.0], n)
    sliders = {
        "gender": gender,
        "age": 2 / 3 + rng.beta(1.2, 2.5, n) / 3,  # 2/3 is a young adult, 1 is old
        "muscle": rng.beta(4.0, 4.0, n),
        "weight": rng.beta(3.4, 3.0, n),
        "proportions": rng.beta(3.0, 3.0, n),
        "cupsize": rng.beta(3.0, 3.0, n),
        "firmness": rng.beta(3.0, 3.0, n),
        "african": race[:, 0],
        "asian": race[:, 1],
        "caucasian": race[:, 2],
    }
    return sliders, stature


def _draw_local(rng: np.random.Generator, n: int, labels: list[str]) -> dict[str, np.ndarray]:
    drawn = {
        name: np.clip(mean + deviation * rng.standard_normal(n), -1.0, 1.0)
        for name, (mean, deviation) in LOCAL_SLIDERS.items()
    }
    mirrored = {"r" + name[1:]: value for name, value in drawn.items() if name.startswith("l-")}
    drawn |= mirrored
    return {label: drawn[label] for label in labels}


def _slider_for_stature(
    model: torch.nn.Module,
    sliders: dict[str, np.ndarray],
    local: dict[str, np.ndarray],
    stature_m: np.ndarray,
) -> np.ndarray:
    """The height slider that gives each stature; a vertex moves linearly with it."""
    statures = []
    for value in (0.25, 0.55):
        tried = sliders | {"height": np.full(len(stature_m), value)}
        up = _rest(model, tried, local)[0][..., 1]
        statures.append(up.max(1) - up.min(1))
    slope = (statures[1] - statures[0]) / 0.3
    return np.asarray(np.clip(0.25 + (stature_m - statures[0]) / slope, 0.0, 1.0))


def _rest(
    model: torch.nn.Module, sliders: dict[str, np.ndarray], local: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    as_tensor = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in sliders.items()}
    local_tensor = {k: torch.as_tensor(v, dtype=torch.float32) for k, v in local.items()}
    with torch.no_grad():
        coefficients = model.get_phenotype_blendshape_coefficients(
            **as_tensor, local_changes=local_tensor
        )
        vertices = model.get_rest_vertices(coefficients)
        heads = model.template_bone_heads[None] + torch.einsum(
            "ba,akd->bkd", coefficients, model.bone_heads_blendshapes
        )
    return y_up(vertices.numpy()), y_up(heads.numpy())


def y_up(points: np.ndarray) -> np.ndarray:
    """The frame of anny (Z up, facing -Y, left at +X) to SMPL's (Y up, facing +Z, left at +X)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)
