"""Make the rendered set: clips whose truth is exact, from a list of captured sequences.

Layout of the folder, one sub-folder per sequence and camera (`group-name.cam0/`): `clip.mp4` and
`truth.npz` (joints in the world and in the camera, K, camera_T_world, poses, betas; see scene.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from extpose_blender.protocol.files import write_npz
from extpose_blender.protocol.resources import find_resource
from models.mocap.sequence import read_sequences

from .posed_body import read_body_model
from .scene import Take, TakePlan, camera_truth, make_take, write_scene

BODY = "bodies/open/model.npz"
LISTS = {"held_out": 7, "development": 1007}
"""The lists beside this file and the seed of each."""


@dataclass(frozen=True)
class RenderedClip:
    """One clip of the set."""

    name: str
    """`group-name.camN`."""
    video: Path
    """The clip."""
    truth: dict[str, np.ndarray]
    """Arrays of `truth.npz`."""


def read_list(name: str) -> list[TakePlan]:
    """The takes of a list, `held_out` or `development`."""
    path = Path(__file__).with_name(f"{name}.toml")
    entries = tomllib.loads(path.read_text(encoding="utf-8"))["sequence"]
    known = set(TakePlan.__dataclass_fields__)
    return [
        TakePlan(seed=LISTS[name], **{k: v for k, v in entry.items() if k in known})
        for entry in entries
    ]


def read_set(folder: Path) -> Iterator[RenderedClip]:
    """The clips of a rendered set, by name."""
    for truth_file in sorted(folder.glob("*/truth.npz")):
        with np.load(truth_file, allow_pickle=False) as data:
            truth = {name: data[name] for name in data.files}
        yield RenderedClip(truth_file.parent.name, truth_file.with_name("clip.mp4"), truth)


def make_set(plans: list[TakePlan], motion: Path, out: Path) -> None:
    """Render takes that are not there yet.

    Args:
        plans: What to render.
        motion: Folder of the motion archive.
        out: Folder of the set.
    """
    model = read_body_model(find_resource(BODY))
    for plan in plans:
        names = [f"{plan.key.replace('/', '-')}.cam{i}" for i in range(plan.cameras)]
        if all((out / name / "truth.npz").exists() for name in names):
            continue
        (sequence,) = read_sequences(motion, {plan.key})
        make_clips(make_take(sequence, model, plan), [out / name for name in names])
        print(f"{plan.key}: {plan.cameras} clips", file=sys.stderr, flush=True)


def make_clips(take: Take, folders: list[Path], crf: int = 12) -> None:
    """Render a take and write `clip.mp4` and `truth.npz`, one folder per camera."""
    with tempfile.TemporaryDirectory(prefix="extpose-render-") as scratch:
        scene = Path(scratch) / "scene.npz"
        write_scene(scene, take)
        script = Path(__file__).with_name("render_in_blender.py")
        run = subprocess.run(
            [sys.executable, str(script), str(scene), scratch],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": ""},
        )
        if run.returncode != 0:
            raise RuntimeError(f"Blender could not render {take.plan.key}:\n{run.stderr[-2000:]}")
        for number, folder in enumerate(folders):
            folder.mkdir(parents=True, exist_ok=True)
            encode(
                sorted((Path(scratch) / f"cam{number}").glob("*.png")),
                folder / "clip.mp4",
                take.fps,
                crf,
            )
            write_npz(folder / "truth.npz", camera_truth(take, take.cameras[number]))


def encode(pictures: list[Path], video: Path, fps: float, crf: int) -> None:
    """Write pictures as H.264; `crf` 12 is near lossless."""
    import av

    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "slow", "g": "250"}
        for number, path in enumerate(pictures):
            with av.open(str(path)) as picture:
                frame = next(picture.decode(video=0))
            if not stream.codec_context.is_open:
                stream.width, stream.height = frame.width, frame.height
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, 1 / rate  # a PNG's own are those of 25 fps
            frame.pict_type = 0  # a decoded PNG is a key frame and would make one here
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def shortened(plans: list[TakePlan], frames: int | None) -> list[TakePlan]:
    """The same takes with at most so many frames each."""
    return plans if frames is None else [replace(plan, frames=frames) for plan in plans]
