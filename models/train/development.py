"""Scores of `poseformer` on the rendered development set, as it trains.

`python -m models.train.development SET CAPTURES FILE` puts what a real detector saw of each clip of
the set, and the truth, into one small file, so that scoring needs neither pictures nor a detector.
CAPTURES is a folder of `python -m models.evaluate score`; clips without a capture get one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from extpose_blender.engine.body.layer import SkinLayer
from extpose_blender.engine.lift.poseformer.features import Boxes, rays_to
from extpose_blender.engine.lift.poseformer.network import PoseFormer
from extpose_blender.engine.lift.poseformer.predict import predict_rows
from extpose_blender.protocol.errors import BadMotionFile, NoPerson
from extpose_blender.protocol.files import read_npz, write_npz
from extpose_blender.protocol.flow import Intrinsics, Track
from extpose_blender.protocol.skeletons import MEDIAPIPE_33, SMPL_24
from models.evaluate.estimates import Estimate, capture_clip
from models.evaluate.score import overall, score
from models.evaluate.truth import TruthClip, rendered_clips

from .open_body import BODY_JOINTS, open_body_layer

_ARRAYS = ("keypoints_2d", "hints_3d_m", "seen")


@dataclass(frozen=True)
class Sighting:
    """One clip as a detector saw it, with its truth."""

    track: Track
    """The person."""
    intrinsics: Intrinsics
    """The camera as a capture assumes it."""
    truth: TruthClip
    """Where the joints are."""


def main(arguments: list[str] | None = None) -> int:
    """Make the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m models.train.development", description=__doc__)
    parser.add_argument("set", type=Path, help="a rendered set")
    parser.add_argument("captures", type=Path, help="captures of it")
    parser.add_argument("file", type=Path, help="the .npz to write")
    options = parser.parse_args(arguments)
    write_sightings(options.file, list(see_set(options.set, options.captures)))
    return 0


def see_set(folder: Path, captures: Path) -> Iterator[Sighting]:
    """What the detector of a capture saw of each clip of a rendered set; needs the capture side."""
    from extpose_blender.engine.kept import read_chunks
    from extpose_blender.engine.refine.intrinsics import choose_intrinsics
    from extpose_blender.engine.track.build import build_tracks
    from extpose_blender.engine.video.clip import probe_clip

    for clip in rendered_clips(folder):
        if capture_clip(clip, captures / clip.name, []) is None:
            raise NoPerson(f"`{clip.name}` shows nobody")
        (kept,) = (captures / clip.name).glob("*/.extpose/detect-*")
        chunks, _ = read_chunks(kept)
        detections = [each for chunk in chunks for each in chunk.detections]
        info = probe_clip(clip.video)
        tracks = build_tracks(
            detections, MEDIAPIPE_33.name, info.fps, info.width, info.height, len(detections)
        )
        yield Sighting(tracks[0], choose_intrinsics(info), clip)


def write_sightings(path: Path, sightings: list[Sighting]) -> None:
    """Write what was seen."""
    arrays: dict[str, np.ndarray] = {}
    about = []
    for number, each in enumerate(sightings):
        arrays |= {f"{number}/{name}": getattr(each.track, name) for name in _ARRAYS}
        arrays[f"{number}/joints_m"] = each.truth.joints_m.astype(np.float32)
        about.append(
            {
                "name": each.truth.name, "fps": each.track.fps, "root": each.truth.root,
                "joint_names": each.truth.joint_names, "intrinsics": vars(each.intrinsics),
            }
        )  # fmt: skip
    write_npz(path, {**arrays, "about": np.array(json.dumps(about))})


def read_sightings(path: Path) -> list[Sighting]:
    """Read what `write_sightings` wrote. Raises BadMotionFile."""
    arrays = read_npz(path, BadMotionFile)
    sightings = []
    for number, about in enumerate(json.loads(str(arrays["about"]))):
        keypoints, hints, seen = (arrays[f"{number}/{name}"] for name in _ARRAYS)
        rows = len(seen)
        track = Track(
            0, MEDIAPIPE_33.name, about["fps"], keypoints, hints,
            np.zeros((rows, 2, 21, 3), np.float32), seen, np.where(seen, 0, -1), 1.0,
        )  # fmt: skip
        truth = TruthClip(
            about["name"], Path(), about["fps"], tuple(about["joint_names"]),
            arrays[f"{number}/joints_m"].astype(float), tuple(about["root"]),
        )  # fmt: skip
        sightings.append(Sighting(track, Intrinsics(**about["intrinsics"]), truth))
    return sightings


def score_network(network: nn.Module, path: Path) -> dict[str, float]:
    """Errors of a network, without what a capture does to its result: no smoothing, no placing.

    Args:
        network: A `PoseFormer`.
        path: File of `write_sightings`.

    Returns:
        PA-MPJPE and MPJPE in millimetres, acceleration error in m/s², over all clips.
    """
    assert isinstance(network, PoseFormer)
    network.eval()
    scores = [
        score(each.truth, Estimate(*estimate(network, each))) for each in read_sightings(path)
    ]
    mean = overall(scores)
    return {
        "PA-MPJPE mm": mean.pa_mpjpe_mm,
        "MPJPE mm": mean.mpjpe_mm,
        "acceleration m/s²": mean.acceleration_m_s2,
    }


@torch.no_grad()
def estimate(network: PoseFormer, sighting: Sighting) -> tuple[np.ndarray, np.ndarray]:
    """Joints (T, J, 3) of a clip in camera axes round the body's origin, and which rows hold them."""
    camera = sighting.intrinsics
    rows = predict_rows(network, sighting.track, camera)
    rotmat = torch.tensor(rows.rotmat)
    boxes = Boxes(
        torch.tensor(rows.center_xy_px)[None],
        torch.tensor(rows.side_px)[None],
        torch.tensor(rows.seen)[None],
    )
    size = torch.tensor([[camera.width, camera.height]], dtype=torch.float32)
    rays = rays_to(boxes, torch.tensor([camera.focal_px], dtype=torch.float32), size)
    rotmat[:, 0] = rays[0] @ rotmat[:, 0]
    joints = _layer().joints(torch.tensor(rows.betas)[None], rotmat[:, :BODY_JOINTS])
    wanted = list(SMPL_24.indices(*sighting.truth.joint_names))
    return joints[:, wanted].double().numpy(), rows.seen


@cache
def _layer() -> SkinLayer:
    return open_body_layer()


if __name__ == "__main__":
    sys.exit(main())
