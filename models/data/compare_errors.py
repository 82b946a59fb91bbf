"""Made errors beside measured ones: draws for the very people that the detector was shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from extpose_blender.engine.body.landmarks import skeleton_size
from extpose_blender.engine.body.load import load_body
from extpose_blender.protocol.skeletons import MEDIAPIPE_33

from .detector_errors import ARMS, LEGS, VIEWS, ErrorModel, draw_sightings
from .draws import Draws
from .error_statistics import Rows, gather_rows, lag_correlation, lagged, swapped
from .sightings import Sighting

_PARTS = {
    "face": ("nose", "left_ear", "right_ear"),
    "shoulders": ("left_shoulder", "right_shoulder"),
    "elbows": ("left_elbow", "right_elbow"),
    "wrists": ("left_wrist", "right_wrist"),
    "hips": ("left_hip", "right_hip"),
    "knees": ("left_knee", "right_knee"),
    "ankles": ("left_ankle", "right_ankle"),
    "toes": ("left_foot_index", "right_foot_index"),
}


def remade(sightings: list[Sighting], model: ErrorModel, seed: int = 0) -> list[Sighting]:
    """The same people, with errors that are made up."""
    mean_size = skeleton_size(load_body("open").joints_rest(np.zeros(10, np.float32)))
    result = []
    for i, one in enumerate(sightings):

        def batch(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.asarray(array)).float()[None]

        made = draw_sightings(
            Draws(seed, i), model, batch(one.times_s), batch(one.true_px),
            batch(one.landmarks_m), batch(one.hidden), batch(one.size_m), mean_size,
            batch(one.focal_px), batch(one.size_wh),
        )  # fmt: skip
        result.append(
            replace(
                one,
                keypoints_px=made.keypoints_px[0].double().numpy(),
                hints_m=made.hints_m[0].double().numpy(),
                seen=made.seen[0].numpy(),
            )
        )
    return result


def describe(sightings: list[Sighting]) -> dict[str, float]:
    """Numbers that real and made errors should share."""
    rows = gather_rows(sightings)
    table = {"not seen %": 100 * (1 - float(np.concatenate([s.seen for s in sightings]).mean()))}
    for name, parts in (("legs swapped %", LEGS), ("arms swapped %", ARMS)):
        table[name] = 100 * float(np.concatenate([swapped(s, parts) for s in sightings]).mean())
    flat, deep = (np.linalg.norm(e, axis=-1) for e in (rows.flat, rows.deep))
    for view, label in enumerate(VIEWS):
        for part, names in _PARTS.items():
            points = MEDIAPIPE_33.indices(*names)
            member = rows.view[:, points] == view
            if member.sum() < 50:
                continue
            table |= {
                f"{label} {part}: score": float(np.median(rows.score[:, points][member])),
                f"{label} {part}: point, median % of height": _median(100 * flat, points, member),
                f"{label} {part}: point, 90 of 100": _median(100 * flat, points, member, 0.9),
                f"{label} {part}: hint, median mm": _median(1000 * deep, points, member),
                f"{label} {part}: hint, 90 of 100": _median(1000 * deep, points, member, 0.9),
            }
    body = slice(11, 33)
    table["depth over picture, errors of hints"] = float(
        np.median(np.abs(rows.deep[:, body, 2])) / np.median(np.abs(rows.deep[:, body, :2]))
    )
    table |= _in_time(rows)
    return table


def _median(sizes: np.ndarray, points: list[int], member: np.ndarray, share: float = 0.5) -> float:
    return float(np.quantile(sizes[:, points][member], share))


def _in_time(rows: Rows) -> dict[str, float]:
    """How errors last and tremble, where there are videos."""
    first, second = lagged(rows, 1)
    if len(first) < 100:
        return {}
    table = {}
    sizes = {"points": rows.flat.reshape(len(rows), -1), "hints": rows.deep.reshape(len(rows), -1)}
    for name, errors in sizes.items():
        held = np.clip(errors, *np.quantile(errors, [0.02, 0.98]))
        for lag in (1, 5, 15):
            alike = lag_correlation(held, rows, [lag])[0]
            table[f"{name}: alike after {1000 * lag * rows.step_s:.0f} ms"] = float(alike)
        step = np.abs(errors[second] - errors[first])
        unit = (100, "% of height") if name == "points" else (1000, "mm")
        table[f"{name}: change per picture, median {unit[1]}"] = float(unit[0] * np.median(step))
    return table


def print_comparison(sightings: list[Sighting]) -> None:
    """Print measured and made numbers side by side."""
    real, made = describe(sightings), describe(remade(sightings, ErrorModel.load()))
    print(f"{'':48} {'real':>9} {'made':>9}")
    for name, value in real.items():
        print(f"{name:48} {value:9.3f} {made.get(name, float('nan')):9.3f}")
