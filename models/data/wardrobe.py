"""Skin, hair and clothes: what each place of the resting body wears, and how thick it is.

Which garment covers a place is decided from where the place lies on the mean body at rest, so it
is the same for every shape and pose, and as sharp as the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from extpose_blender.engine.body.load import Body

from .draws import Draws
from .rows import Rows
from .textures import texture_numbers

SKIN, LIPS, EYES, PUPILS, SOCKS, LOWER, UPPER, SHOES, GLOVES, HAIR = range(10)
"""What may cover a place."""
GARMENTS = 10

_SKIN_SRGB = (
    (238, 208, 190), (228, 190, 166), (214, 172, 144), (196, 150, 118), (168, 122, 92),
    (134, 92, 66), (100, 68, 50), (70, 50, 40),
)  # fmt: skip
_HAIR_SRGB = (
    (16, 13, 12), (30, 22, 18), (52, 34, 22), (92, 60, 36), (130, 90, 52), (186, 148, 92),
    (224, 200, 150), (120, 118, 116), (196, 194, 190), (120, 46, 26), (60, 40, 90),
)  # fmt: skip

_CLOTH = texture_numbers(
    "plain plain plain plain plain plain striped plaid dotted flowered cloudy cluttered"
)
_LEGWEAR = texture_numbers("plain plain plain plain plain grainy hairy striped plaid flowered")
_HAIRS = texture_numbers("hairy")
_SMOOTH = texture_numbers("plain")


@dataclass(frozen=True)
class Outfits(Rows):
    """What B people wear. Heights and reaches are metres on the mean body at rest."""

    cuts: Tensor
    """(B, 10): sleeve reach, collar height, depth of a V-neck, waist height, hem height, sock
    height, shoe height, glove reach, hair line, length of the hair down the back."""
    thickness_m: Tensor
    """(B, `GARMENTS`)."""
    waves: Tensor
    """(B, 6, 4): direction and phase of waves in the cloth, radians per metre."""
    dark: Tensor
    """(B, `GARMENTS`, 3) linear colour where the texture is 0."""
    light: Tensor
    """(B, `GARMENTS`, 3) and where it is 1."""
    texture: Tensor
    """(B, `GARMENTS`) number of the texture."""
    scale: Tensor
    """(B, `GARMENTS`) textures per metre."""
    gloss: Tensor
    """(B, `GARMENTS`) strength of highlights."""
    folds: Tensor
    """(B, `GARMENTS`) how uneven the surface looks."""

    def joined(self, others: Outfits) -> Outfits:
        """These, then others."""
        both = ((name, [value, getattr(others, name)]) for name, value in vars(self).items())
        return Outfits(**{name: torch.cat(values) for name, values in both})


class Tailor:
    """Knows the mean body's surface, and dresses it.

    Args:
        body: The open body: its template, its named vertices.
        device: Where it works.
    """

    def __init__(self, body: Body, device: torch.device | str = "cpu") -> None:
        vertices = body.v_template.astype(np.float64)
        self._joints = dict(
            zip(
                body.joint_names,
                body.joints_rest(np.zeros(body.num_betas, np.float32)),
                strict=True,
            )
        )
        places = {name: vertices[index] for name, index in body.landmarks.items()}
        columns = [vertices, *_face(vertices, body, places, self._joints)]
        self.places = torch.tensor(
            np.concatenate([c.reshape(len(vertices), -1) for c in columns], 1), dtype=torch.float32
        ).to(device)
        """(V, 8): place on the mean body; height above the hair line; inside lips, eyes, pupils,
        and head (positive inside, metres; the last 0 or 1)."""

    def draw_outfits(self, draws: Draws, count: int) -> Outfits:
        """Clothes, hair and skin for `count` people."""
        return Outfits(
            self._cuts(draws, count),
            _thickness(draws, count),
            torch.cat([draws.normal(count, 6, 3) * 22, draws.uniform(count, 6, 1, high=6.28)], -1),
            *_colors(draws, count),
            *_looks(draws, count),
        )

    def coverage(self, cuts: Tensor, places: Tensor, softness_m: float) -> Tensor:
        """How much each garment covers places.

        Args:
            cuts: (N, 10) of an outfit for each row of `places`.
            places: (N, ..., 8) rows of `self.places`, or means of them.
            softness_m: Width of the borders, metres.

        Returns:
            (N, ..., `GARMENTS`) shares that sum to 1.
        """
        spread = (slice(None),) + (None,) * (places.dim() - 2)
        sleeve, collar, vee, waist, hem, sock, shoe, glove, line, long = (
            cut[spread] for cut in cuts.unbind(1)
        )
        x, y, z, hair, lips, eyes, pupils, head = places.unbind(-1)
        x = x.abs()

        def inside(distance: Tensor) -> Tensor:
            return (0.5 + distance / softness_m).clamp(0, 1)

        # The collar goes round the neck; cloth on the shoulders reaches higher.
        neck = (
            collar
            + 2 * (x - 0.07).clamp(min=0)
            - 0.35 * (z - self._joint("neck")[2]).clamp(-0.05, 0.1)
        )
        neck = neck - vee * (1 - x / 0.07).clamp(min=0) * (z > self._joint("neck")[2] + 0.02)
        trunk = inside(sleeve - x) * inside(neck - y)
        on_feet = inside(self._joint("left_knee")[1] - y)
        jaw = self._joint("head")[1] + 0.03
        behind = inside(self._joint("neck")[2] - 0.02 - z) * inside(0.095 - x)
        down = behind * inside(y - (collar - long)) * inside(jaw - y) * (long > 0)
        covers = [
            (LIPS, inside(lips)), (EYES, inside(eyes)), (PUPILS, inside(pupils)),
            (SOCKS, inside(sock - y) * on_feet),
            (LOWER, inside(waist - y) * inside(y - hem) * inside(0.45 - x)),
            (UPPER, trunk * inside(y - waist)),
            (SHOES, inside(shoe - y) * on_feet),
            (GLOVES, inside(x - glove)),
            (HAIR, torch.maximum(inside(hair - line) * head, down)),
        ]  # fmt: skip
        left, shares = torch.ones_like(x), {}
        for garment, cover in reversed(covers):
            shares[garment] = left * cover
            left = left * (1 - cover)
        shares[SKIN] = left
        return torch.stack([shares[garment] for garment in range(GARMENTS)], -1)

    def thickness_m(self, outfits: Outfits) -> Tensor:
        """(B, V) how far clothes and hair stand out from the skin, folds included."""
        shares = self.coverage(outfits.cuts, self.places.expand(len(outfits.cuts), -1, -1), 0.03)
        plain = (shares * outfits.thickness_m[:, None]).sum(-1)
        wave = self.places[:, :3] @ outfits.waves[..., :3].mT + outfits.waves[:, None, :, 3]
        return plain * (1 + 0.22 * wave.sin().sum(-1)).clamp(0.15, 1.8)

    def _joint(self, name: str) -> np.ndarray:
        return np.asarray(self._joints[name])

    def _cuts(self, draws: Draws, count: int) -> Tensor:
        shoulder, elbow, wrist = (
            float(self._joint(f"left_{name}")[0]) for name in ("shoulder", "elbow", "wrist")
        )
        hip, knee, ankle = (
            float(self._joint(f"left_{name}")[1]) for name in ("hip", "knee", "ankle")
        )
        kind = draws.uniform(count)
        short = shoulder + (elbow - shoulder) * draws.uniform(count, low=0.3, high=0.95)
        long = elbow + (wrist - elbow) * draws.uniform(count, low=0.2, high=1.0)
        bare = torch.full_like(short, shoulder - 0.005)
        sleeve = torch.where(kind < 0.45, short, torch.where(kind < 0.85, long, bare))
        neck = float(self._joint("neck")[1])
        collar = neck + draws.uniform(count, low=-0.05, high=0.035)
        vee = draws.chance(0.3, count) * draws.uniform(count, low=0.04, high=0.14)
        waist = hip + draws.uniform(count, low=-0.06, high=0.16)
        kind = draws.uniform(count)
        shorts = knee + (hip - knee) * draws.uniform(count, low=0.0, high=0.75)
        cropped = ankle + (knee - ankle) * draws.uniform(count, low=0.1, high=0.9)
        full = ankle + draws.uniform(count, low=-0.02, high=0.06)
        hem = torch.where(kind < 0.3, shorts, torch.where(kind < 0.4, cropped, full))
        sock = torch.where(draws.chance(0.5, count), draws.uniform(count, high=0.2) + ankle, -9.0)
        barefoot = draws.chance(0.12, count)
        tall = draws.chance(0.15, count) * draws.uniform(count, high=0.2)
        shoe = torch.where(barefoot, -9.0, ankle + 0.02 + tall)
        sock = torch.where(barefoot, -9.0, sock)
        glove = torch.where(draws.chance(0.04, count), wrist - 0.02, 9.0)
        line = draws.normal(count) * 0.012
        line = torch.where(draws.chance(0.07, count), 9.0, line)  # Bald.
        length = draws.chance(0.4, count) * draws.uniform(count, low=0.02, high=0.3) * (line < 1)
        cuts = [sleeve, collar, vee, waist, hem, sock, shoe, glove, line, length]
        return torch.stack(cuts, 1)


def _face(
    vertices: np.ndarray, body: Body, at: dict[str, np.ndarray], joints: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """Height above the hair line; how far inside lips, eyes, pupils; whether it is the head."""

    def within(points: list[np.ndarray], radii: tuple[float, float, float]) -> np.ndarray:
        away = [np.sqrt((((vertices - p) / radii) ** 2).sum(1)) for p in points]
        return (1 - np.min(away, axis=0)) * min(radii)

    owner = body.skin_weights.argmax(1)
    head = np.isin(owner, [body.joint_names.index(name) for name in ("head", "neck")])
    head &= vertices[:, 1] > joints["neck"][1]
    top = vertices[:, 1].max()
    ear = 0.5 * (at["lear"] + at["rear"])
    forehead = top - 0.33 * (top - at["leye"][1])
    low = ear[1] - 0.055
    slope = (forehead - low) / (at["leye"][2] - (ear[2] - 0.02))
    line = np.maximum(low + slope * (vertices[:, 2] - (ear[2] - 0.02)), ear[1] - 0.07)
    hair = vertices[:, 1] - line
    hair = np.minimum(hair, -within([at["lear"], at["rear"]], (0.024, 0.034, 0.028)))
    mouth = 0.5 * (at["lmouth"] + at["rmouth"])
    half = 0.5 * float(np.linalg.norm(at["lmouth"] - at["rmouth"]))
    eyes = [at["leye"], at["reye"]]
    lips = within([mouth + np.array([0, 0, 0.012])], (half, 0.010, 0.03))
    far = np.where(head, 0.0, -1.0)
    return [
        np.where(head, hair, -1.0),
        lips + far,
        within(eyes, (0.014, 0.0055, 0.02)) + far,
        within(eyes, (0.006, 0.0055, 0.02)) + far,
        head.astype(float),
    ]


def _thickness(draws: Draws, count: int) -> Tensor:
    thick = torch.zeros(count, GARMENTS, device=draws.device)
    tight = torch.where(draws.chance(0.3, count), 0.25, 1.0)
    thick[:, UPPER] = tight * draws.log_uniform(count, low=0.006, high=0.04)
    thick[:, LOWER] = tight * draws.log_uniform(count, low=0.005, high=0.03)
    thick[:, SOCKS] = 0.003
    thick[:, SHOES] = draws.uniform(count, low=0.006, high=0.02)
    thick[:, GLOVES] = 0.003
    thick[:, HAIR] = draws.log_uniform(count, low=0.006, high=0.05)
    return thick


def _colors(draws: Draws, count: int) -> tuple[Tensor, Tensor]:
    """Two linear colours (B, `GARMENTS`, 3) of each garment."""
    value = draws.log_uniform(count, GARMENTS, 1, low=0.015, high=0.85)
    hue = draws.uniform(count, GARMENTS, 3)
    hue = hue / hue.mean(-1, keepdim=True)
    vivid = draws.uniform(count, GARMENTS, 1) ** 2
    light = (value * (1 + vivid * (hue - 1))).clamp(0.008, 0.9)
    other = draws.log_uniform(count, GARMENTS, 1, low=0.1, high=1.0)
    skin = _along(draws, _SKIN_SRGB, count)
    hair = _along(draws, _HAIR_SRGB, count)
    light[:, SKIN], light[:, HAIR] = skin, hair
    red = torch.tensor([0.85, 0.55, 0.52], device=skin.device)
    light[:, LIPS], light[:, EYES], light[:, PUPILS] = skin * red, 0.75, 0.02
    # Whole suits and dresses: below the waist as above.
    suit = draws.chance(0.2, count)[:, None]
    light[:, LOWER] = torch.where(suit, light[:, UPPER], light[:, LOWER])
    dark = light * other
    dark[:, [SKIN, LIPS, EYES, PUPILS]] = 0.8 * light[:, [SKIN, LIPS, EYES, PUPILS]]
    dark[:, HAIR] = 0.35 * light[:, HAIR]
    return dark, light


def _looks(draws: Draws, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Texture, scale, gloss and folds (B, `GARMENTS`)."""

    def pick(numbers: list[int]) -> Tensor:
        table = torch.tensor(numbers, device=draws.device)
        return table[draws.whole(len(numbers), count)]

    texture = pick(_SMOOTH)[:, None].repeat(1, GARMENTS)
    texture[:, UPPER], texture[:, LOWER] = pick(_CLOTH), pick(_LEGWEAR)
    texture[:, HAIR], texture[:, SHOES] = pick(_HAIRS), pick(_CLOTH)
    scale = draws.log_uniform(count, GARMENTS, low=1.2, high=6.0)
    gloss = 0.06 * draws.uniform(count, GARMENTS)
    gloss[:, SKIN] = draws.uniform(count, low=0.05, high=0.2)
    gloss[:, HAIR] = draws.uniform(count, low=0.05, high=0.3)
    gloss[:, PUPILS] = 0.6
    folds = draws.uniform(count, GARMENTS, low=0.2, high=1.1)
    folds[:, [SKIN, LIPS, EYES, PUPILS]] = 0.08
    return texture, scale, gloss, folds


def _along(draws: Draws, srgb: tuple[tuple[int, int, int], ...], count: int) -> Tensor:
    """Linear colours (B, 3) from somewhere between neighbours of a list."""
    table = (torch.tensor(srgb, dtype=torch.float32, device=draws.device) / 255) ** 2.2
    first = draws.whole(len(srgb) - 1, count)
    mixed = torch.lerp(table[first], table[first + 1], draws.uniform(count, 1))
    return (mixed * draws.log_uniform(count, 1, low=0.8, high=1.2)).clamp(0.004, 0.95)
