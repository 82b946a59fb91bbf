"""What the detector really says of people whose landmarks are known: the raw material of
`measure_detector.py`.

Rendered videos are shown to the shipped detector as they are, and once more with a part of the
person cut off by the edge of the picture. Needs the packages of the capture side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch

from extpose_blender.engine.body.landmarks import skeleton_size
from extpose_blender.engine.body.load import Body, load_body
from extpose_blender.protocol.flow import Frame
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from models.evaluate.rendered_set import RenderedClip, read_set

from .figure import TURNED, Figure
from .occlusion import SelfOcclusion

CUTS = ("whole", "below", "side")
"""How pictures are cut: not at all, somewhere between shoulders and ankles, along the trunk."""
_NEAR = 0.25
"""A detection is of the person when its points are this near, shares of the height, in the median."""


@dataclass(frozen=True)
class Sighting:
    """One person in one video of T pictures, as it is and as the detector has it."""

    times_s: np.ndarray
    """(T,) seconds."""
    keypoints_px: np.ndarray
    """(T, 33, 3) x, y, score; zeros where not seen."""
    hints_m: np.ndarray
    """(T, 33, 4)."""
    seen: np.ndarray
    """(T,) bool."""
    true_px: np.ndarray
    """(T, 33, 2)."""
    landmarks_m: np.ndarray
    """(T, 33, 3) in the camera."""
    hidden: np.ndarray
    """(T, 33) how far each is hidden by the person, 0 to 1."""
    size_m: np.ndarray
    """() `skeleton_size` of the person."""
    focal_px: np.ndarray
    """() focal length."""
    size_wh: np.ndarray
    """(2,) width and height of what the detector saw, pixels."""

    def rows(self, rows: np.ndarray) -> Sighting:
        """Some of the pictures."""
        whole = ("size_m", "focal_px", "size_wh")
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Sighting(**{n: a if n in whole else a[rows] for n, a in parts.items()})


def collect(folder: Path, stills: bool = False, seed: int = 0) -> Iterator[Sighting]:
    """Show every video of a rendered set to the detector, whole and cut.

    Args:
        folder: As `python -m models.evaluate render` lays it out.
        stills: The pictures of a video do not follow each other: each is a video of its own.
        seed: Chooses the cuts.
    """
    body = load_body("open")
    rng = np.random.default_rng(seed)
    for clip in read_set(folder):
        pictures = _read_pictures(clip.video)
        known = _known(clip, body)
        for rows in np.array_split(np.arange(len(pictures)), len(pictures) if stills else 1):
            for cut in ("whole", CUTS[1 + rng.integers(2)]):
                part = known.rows(rows)
                yield _look(pictures[rows], part, _window(cut, part, pictures.shape, rng))


def write_sightings(path: Path, sightings: list[Sighting]) -> None:
    """Keep sightings in an .npz."""
    from extpose_blender.protocol.files import write_npz

    names = [f.name for f in fields(Sighting)]
    arrays = {f"{i}/{n}": getattr(s, n) for i, s in enumerate(sightings) for n in names}
    write_npz(path, {**arrays, "count": np.asarray(len(sightings))})


def read_sightings(path: Path) -> list[Sighting]:
    """What `write_sightings` kept."""
    from extpose_blender.protocol.files import read_npz

    arrays = read_npz(path)
    names = [f.name for f in fields(Sighting)]
    return [Sighting(**{n: arrays[f"{i}/{n}"] for n in names}) for i in range(int(arrays["count"]))]


def _read_pictures(video: Path) -> np.ndarray:
    """(T, H, W, 3) uint8."""
    import av

    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames)


def _known(clip: RenderedClip, body: Body) -> Sighting:
    """What is true of a clip, with nothing seen yet."""
    truth = clip.truth
    turns = rotvec_to_rotmat(truth["poses"].reshape(len(truth["poses"]), -1, 3)[:, :TURNED])
    turns[:, 0] = truth["camera_T_world"][:3, :3] @ turns[:, 0]
    figure = Figure(body)
    rest = figure.rest_joints(torch.from_numpy(truth["betas"])[None]).expand(len(turns), -1, -1)
    pelvis = torch.from_numpy(truth["joints_camera_m"][:, 0])
    placed = figure.place(torch.from_numpy(turns).float(), rest, pelvis)
    hidden = SelfOcclusion()(placed.landmarks_m, placed.joints_m).numpy()
    points = placed.landmarks_m.numpy()
    focal = float(truth["camera_K"][0, 0])
    flat = points[..., :2] / points[..., 2:] * focal + truth["camera_K"][:2, 2]
    count = len(points)
    return Sighting(
        np.arange(count) / float(truth["fps"]), np.zeros((count, 33, 3)), np.zeros((count, 33, 4)),
        np.zeros(count, bool), flat, points, hidden,
        np.asarray(skeleton_size(body.joints_rest(truth["betas"]))), np.asarray(focal),
        truth["image_size"].astype(float),
    )  # fmt: skip


def _window(
    cut: str, known: Sighting, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is shown."""
    height, width = shape[1:3]
    middle = np.median(known.true_px, axis=0)
    low, high = middle.min(0), middle.max(0)
    share = rng.uniform(0.3, 0.95)
    if cut == "below":
        return 0, 0, width, int(np.clip(low[1] + share * (high[1] - low[1]), 32, height))
    edge = low[0] + rng.uniform(0.2, 0.8) * (high[0] - low[0])
    if cut == "side" and rng.random() < 0.5:
        return 0, 0, int(np.clip(edge, 32, width)), height
    return (int(np.clip(edge, 0, width - 32)) if cut == "side" else 0), 0, width, height


def _look(pictures: np.ndarray, known: Sighting, window: tuple[int, int, int, int]) -> Sighting:
    """Show a window of the pictures to a fresh detector."""
    from extpose_blender.engine.detect.mediapipe import MediaPipeDetector

    left, top, right, bottom = window
    true_px = known.true_px - (left, top)
    detector = MediaPipeDetector(threads=1)
    shown = np.ascontiguousarray(pictures[:, top:bottom, left:right])
    frames = (
        Frame(i, i, float(time), picture)
        for i, (time, picture) in enumerate(zip(known.times_s, shown, strict=True))
    )
    keypoints, hints = np.zeros((len(shown), 33, 3)), np.zeros((len(shown), 33, 4))
    seen = np.zeros(len(shown), bool)
    for row, found in enumerate(detector(frames)):
        errors = np.linalg.norm(found.keypoints_2d[..., :2] - true_px[row], axis=-1)
        far = np.median(errors, axis=-1) / heights_px(known)[row]
        if len(far) and far.min() < _NEAR:
            keypoints[row] = found.keypoints_2d[far.argmin()]
            hints[row] = found.hints_3d_m[far.argmin()]
            seen[row] = True
    return Sighting(
        known.times_s, keypoints, hints, seen, true_px, known.landmarks_m, known.hidden,
        known.size_m, known.focal_px, np.array([right - left, bottom - top], float),
    )  # fmt: skip


def heights_px(sighting: Sighting) -> np.ndarray:
    """(T,) standing height in pixels, as `draw_sightings` takes it."""
    depth = sighting.landmarks_m[:, 23:25, 2].mean(1).clip(0.2)
    return np.asarray(sighting.focal_px * sighting.size_m / 0.75 / depth)
