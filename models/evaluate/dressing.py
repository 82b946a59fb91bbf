"""Skin, hair and clothes of the rendered bodies: a colour per vertex, a little cloth on top."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from extpose_blender.protocol.skeletons import SMPLH_52

from .posed_body import BodyModel

SKIN_SRGB = ((236, 188, 156), (224, 172, 136), (198, 134, 96), (141, 85, 52), (92, 58, 40))
HAIR_SRGB = ((30, 24, 20), (70, 45, 28), (120, 80, 44), (180, 140, 84), (96, 96, 98))
CLOTH_SRGB = (
    (176, 44, 44), (38, 74, 138), (52, 110, 72), (208, 196, 168), (60, 62, 68), (196, 132, 40),
    (112, 66, 122), (70, 130, 150), (150, 152, 156), (206, 110, 96),
)  # fmt: skip
TROUSERS_SRGB = ((44, 52, 78), (58, 56, 54), (124, 104, 78), (88, 94, 98), (70, 78, 54))
SHOES_SRGB = ((38, 34, 32), (206, 204, 200), (110, 72, 46), (70, 76, 92))

Radii = tuple[float, float, float]

_TORSO = {"pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar"}
_THIGHS, _SHINS = {"left_hip", "right_hip"}, {"left_knee", "right_knee"}
_UPPER_ARMS, _FOREARMS = {"left_shoulder", "right_shoulder"}, {"left_elbow", "right_elbow"}
_FEET = {"left_ankle", "right_ankle", "left_foot", "right_foot"}


@dataclass(frozen=True)
class DressedBody:
    """A rest body with its colours."""

    vertices_m: np.ndarray
    """(V, 3) rest vertices, clothes on top of the skin."""
    colours: np.ndarray
    """(V, 3) float32 linear RGB, 0 to 1."""


def dress(
    model: BodyModel, vertices: np.ndarray, joints: np.ndarray, rng: np.random.Generator
) -> DressedBody:
    """Give a body of a certain shape its hair and clothes.

    Args:
        model: The body model, for weights and landmarks.
        vertices: (V, 3) rest vertices, metres.
        joints: (J, 3) rest joints, metres.
        rng: Picks colours and the length of sleeves and trousers.
    """
    part = np.array(SMPLH_52.joint_names)[model.weights.argmax(axis=1)]
    zones = _zones(part, vertices, joints, rng)
    face = _face_zones(part, vertices, model)
    colours = np.empty((len(vertices), 3))
    colours[:] = _pick(SKIN_SRGB, rng)
    lips, dark = colours[0] * (0.86, 0.62, 0.60), np.array([28.0, 24.0, 22.0])
    palettes = {"shirt": CLOTH_SRGB, "trousers": TROUSERS_SRGB, "shoes": SHOES_SRGB}
    for name, palette in palettes.items():
        colours[zones[name]] = _pick(palette, rng)
    hair = _pick(HAIR_SRGB, rng)
    colours[face["hair"] | face["brows"]] = hair
    colours[face["lips"]] = lips
    colours[face["eyes"]] = (232, 230, 226)
    colours[face["pupils"]] = dark
    normals = _normals(vertices, model.faces)
    thickness = 0.012 * zones["shirt"] + 0.010 * zones["trousers"] + 0.008 * zones["shoes"]
    thickness = thickness + 0.014 * face["hair"]
    return DressedBody(
        vertices + normals * thickness[:, None], _to_linear(colours).astype(np.float32)
    )


def _zones(
    part: np.ndarray, vertices: np.ndarray, joints: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    def of(names: set[str]) -> np.ndarray:
        return np.isin(part, list(names))

    at = dict(zip(SMPLH_52.joint_names, joints, strict=True))
    sleeve_end = at["left_shoulder"][0] + rng.choice([0.55, 1.0, 1.9]) * (
        at["left_elbow"][0] - at["left_shoulder"][0]
    )
    leg = at["left_hip"][1] - at["left_ankle"][1]
    trouser_end = at["left_hip"][1] - rng.choice([0.55, 1.02, 1.02]) * leg
    waist = at["pelvis"][1] + 0.35 * (at["spine1"][1] - at["pelvis"][1])
    collar = at["neck"][1] + 0.01
    arms = of(_UPPER_ARMS | _FOREARMS) & (np.abs(vertices[:, 0]) < sleeve_end)
    torso = of(_TORSO | {"neck"}) & (vertices[:, 1] < collar)
    legs = of(_THIGHS | _SHINS | _FEET)
    shoes = of(_FEET) & (vertices[:, 1] < at["left_ankle"][1] + 0.02)
    trousers = ((legs & (vertices[:, 1] > trouser_end)) | torso & (vertices[:, 1] < waist)) & ~shoes
    return {"shirt": (torso | arms) & ~trousers, "trousers": trousers, "shoes": shoes}


def _face_zones(part: np.ndarray, vertices: np.ndarray, model: BodyModel) -> dict[str, np.ndarray]:
    """Hair, brows, lips and eyes, placed from the body's named vertices."""

    def near(point: np.ndarray, radii: Radii) -> np.ndarray:
        return (((vertices - point) / radii) ** 2).sum(axis=1) < 1

    place = {name: vertices[index] for name, index in model.landmarks.items()}
    head = part == "head"
    top = vertices[head, 1].max()
    ear = 0.5 * (place["lear"] + place["rear"])
    forehead = top - 0.30 * (top - place["leye"][1])
    # The hair line runs from the forehead down behind the ears.
    slope = (forehead - (ear[1] - 0.05)) / (place["leye"][2] - (ear[2] - 0.015))
    line = ear[1] - 0.05 + slope * (vertices[:, 2] - (ear[2] - 0.015))
    nape = ear[1] - 0.06
    zones = {"hair": head & (vertices[:, 1] > np.maximum(line, nape))}
    zones["hair"] &= ~(
        near(place["lear"], (0.03, 0.035, 0.03)) | near(place["rear"], (0.03, 0.035, 0.03))
    )
    mouth = 0.5 * (place["lmouth"] + place["rmouth"])
    half = 0.5 * np.linalg.norm(place["lmouth"] - place["rmouth"])
    zones["lips"] = head & near(mouth + np.array([0, 0, 0.012]), (half, 0.010, 0.03))
    brows = [
        near(place[eye] + np.array([0, 0.021, 0.005]), (0.021, 0.0045, 0.03))
        for eye in ("leye", "reye")
    ]
    zones["brows"] = head & (brows[0] | brows[1])
    zones["eyes"] = head & _either(near, place, (0.014, 0.0055, 0.02))
    zones["pupils"] = head & _either(near, place, (0.0060, 0.0055, 0.02))
    return zones


def _either(
    near: Callable[[np.ndarray, Radii], np.ndarray], place: dict[str, np.ndarray], radii: Radii
) -> np.ndarray:
    return np.asarray(near(place["leye"], radii) | near(place["reye"], radii))


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    flat = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], flat)
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


def _pick(palette: tuple[tuple[int, int, int], ...], rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.array(palette[rng.integers(len(palette))]) + rng.normal(0, 6, 3), 8, 245)


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    unit = srgb / 255.0
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
