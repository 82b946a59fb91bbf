"""The flow: a clip goes in, motion files come out.

    decode → detect → track → lift → refine → write

`capture` is the whole of it. What costs time stays in the job folder under a hash of what it was made
from, so a run that was killed goes on, and a run with another smoothing strength does not detect again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..protocol.errors import BadBodyFile, InputError
from ..protocol.files import read_json, sha256_of, write_json
from ..protocol.flow import ClipInfo, Frame, LiftedTrack, Track
from ..protocol.job import Job
from ..protocol.messages import Done, People, Person
from ..protocol.motion import Motion
from ..protocol.options import CaptureOptions
from ..protocol.version import extpose_version
from .body.geometry import body_geometry
from .body.load import Body, load_body
from .detect_clip import DetectedClip, detect_clip
from .exporters.overlay import write_overlay
from .job_folder import JobFolder, clip_identity, hash_key, open_job_folder
from .lift.device import choose_device
from .lift_stage import LiftStage, make_lifter
from .refine.world import WorldOptions, to_world
from .registry import load_class
from .report import Listener, Stopwatch, mean_of, person_report
from .track.build import build_tracks
from .track.prominence import select_people
from .video.clip import probe_clip, read_frames
from .video.sampling import Sampling
from .write_results import PersonResult, check_exports, write_results


def capture(job: Job, listener: Listener) -> Done:
    """Capture the people in one clip.

    Args:
        job: The clip, the folder and the choices.
        listener: Gets progress, people and warnings; asked whether to stop.

    Returns:
        The last message: the files made.

    Raises:
        ExtPoseError: See `protocol/errors.py`: every error has a code, an exit code and a next step.
    """
    options, watch = job.options, Stopwatch()
    device = choose_device(options.device)
    check_exports(options.export_formats, job.blender)
    info = probe_clip(job.video)
    sampling = Sampling(options.start, options.end, options.fps, options.speed)
    with watch.measure("load"):
        body = load_whole_body(options.body)
        lifter = make_lifter(options, body, device)
        identity = clip_identity(job.video)
    folder = open_job_folder(job.out_dir, job.video, identity)
    with removed_when_unusable(folder):
        folder.sweep()
        if not job.resume:
            folder.forget()
        detect_key = detection_key(identity, options)
        detector = load_class("detector", options.detector)
        kept = folder.stage_path("detect", detect_key)
        lifting = LiftStage(
            lifter, options, body, device, info, sampling, folder, detect_key, listener
        )
        with lifting.ahead(detector.skeleton, watch) as watcher:
            clip = detect_clip(
                info,
                sampling,
                partial(detector, hands=options.hands),
                kept,
                listener,
                watch,
                watcher,
            )
        with watch.measure("track"):
            fps = options.fps or info.fps
            tracks = build_tracks(
                clip.detections, detector.skeleton, fps, info.width, info.height, len(clip)
            )
            chosen = select_people(tracks, options.person)
        listener.send(people_message(tracks, chosen))
        with watch.measure("lift"):
            kept_lifts, lifted = lifting.lift_people(chosen, clip.detections)
        with watch.measure("refine"):
            models = models_used(options, body, lifting.models)
            motions = refine_people(lifted, chosen, clip, body, job, info, identity, models)
        people = [
            PersonResult(track.person_id, motion, body_geometry(body, motion.betas))
            for track, motion in zip(chosen, motions, strict=True)
        ]
        with watch.measure("export"):
            outputs = write_results(
                folder.root, info, people, options.export_formats, job.blender, listener
            )
        if options.overlay:
            with watch.measure("overlay"):
                outputs.append(draw_overlay(folder, info, sampling, people, listener))
        report = write_report(folder, job, info, identity, clip, people, outputs, watch, listener)
    folder.keep({kept.name, *kept_lifts})
    return Done(tuple(str(path) for path in outputs), str(report))


def load_whole_body(name: str) -> Body:
    """The body to pose.

    Raises:
        BadBodyFile: It is damaged, or a hand.
        MissingModel, MissingPackage: It was not added, or needs smplx.
    """
    body = load_body(name)
    if body.model_type == "mano":
        raise BadBodyFile(
            f"`{name}` is a MANO hand, but a whole body is wanted",
            "Choose SMPL, SMPL-H or SMPL-X, or `open`",
        )
    return body


def detection_key(identity: dict[str, Any], options: CaptureOptions) -> str:
    """What the detections of a clip depend on, hashed."""
    names = ("start", "end", "fps", "speed", "detector", "hands")
    chosen = {name: getattr(options, name) for name in names}
    return hash_key(clip=identity, options=chosen, version=extpose_version())


def refine_people(
    lifted: Sequence[LiftedTrack],
    tracks: Sequence[Track],
    clip: DetectedClip,
    body: Body,
    job: Job,
    info: ClipInfo,
    identity: dict[str, Any],
    models: dict[str, Any],
) -> list[Motion]:
    """Bring lifted tracks into one world."""
    options = job.options
    turned = clip.camera.finish(lifted[0].intrinsics)
    meta = {
        "extpose": extpose_version(),
        "source": str(info.path),
        "source_digest": identity["digest"],
        "options": options.to_dict(),
        "models": models,
    }
    world = WorldOptions(
        height_m=options.height, smooth=options.smooth, foot_lock=options.foot_lock
    )
    return to_world(lifted, tracks, body, clip.frame_index, clip.time_s, turned, world, meta)


def models_used(options: CaptureOptions, body: Body, lifter: dict[str, Any]) -> dict[str, Any]:
    """Names of the detector, lifter and body of a capture, with the hashes of the files they read."""
    detector = load_class("detector", options.detector).model_files()
    return {
        "body": {"name": body.body_id, "sha256": body.sha256},
        "detector": {
            "name": options.detector,
            "sha256": {path.name: sha256_of(path) for path in detector},
        },
        "lifter": lifter,
    }


def people_message(tracks: Sequence[Track], chosen: Sequence[Track]) -> People:
    """Who was found, and where each is seen best."""
    ids = {track.person_id for track in chosen}
    return People(tuple(_person(track, track.person_id in ids) for track in tracks))


def _person(track: Track, chosen: bool) -> Person:
    scores = track.keypoints_2d[..., 2].mean(axis=1)
    best = int(np.argmax(np.where(track.seen, scores, -1.0)))
    xy = track.keypoints_2d[best, :, :2]
    (x0, y0), (x1, y1) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
    rows = track.active
    return Person(track.person_id, rows.start, rows.stop - 1, (x0, y0, x1, y1), best, chosen=chosen)


def draw_overlay(
    folder: JobFolder,
    info: ClipInfo,
    sampling: Sampling,
    people: Sequence[PersonResult],
    listener: Listener,
) -> Path:
    """Write `overlay.mp4`: skeleton and mesh over the source."""
    path = folder.root / "overlay.mp4"
    total = len(people[0].motion)
    frames = read_frames(info, sampling)

    def counted() -> Iterator[Frame]:
        for frame in frames:
            listener.progress("overlay", frame.row + 1, total)
            yield frame

    with contextlib.closing(frames):
        write_overlay(path, counted(), [p.motion for p in people], [p.body for p in people])
    return path


def write_report(
    folder: JobFolder,
    job: Job,
    info: ClipInfo,
    identity: dict[str, Any],
    clip: DetectedClip,
    people: Sequence[PersonResult],
    outputs: Sequence[Path],
    watch: Stopwatch,
    listener: Listener,
) -> Path:
    """Write `report.json`, and remove what an earlier run of the same clip made and this one did not."""
    path = folder.root / "report.json"
    names = [output.name for output in outputs]
    motion = people[0].motion
    empty = [d.row for d in clip.detections if not len(d)]
    persons = [person_report(person.motion, person.person_id) for person in people]
    report = {
        "extpose": extpose_version(),
        "input": {**identity, "width": info.width, "height": info.height, "fps": info.fps},
        "options": job.options.to_dict(),
        "models": motion.meta["models"],
        "rows": len(clip),
        "mocap_framerate": motion.mocap_framerate,
        "camera_K": motion.camera_K.tolist(),
        "frames_with_no_person": empty,
        "stages": watch.table(len(clip)),
        "people": persons,
        "mean_reprojection_error_px": mean_of(persons, "mean_reprojection_error_px"),
        "warnings": [vars(warning) for warning in listener.warnings],
        "outputs": names,
    }
    for stale in _earlier_outputs(path) - set(names):
        with contextlib.suppress(OSError):
            (folder.root / stale).unlink()
    write_json(path, report)
    return path


def _earlier_outputs(report: Path) -> set[str]:
    """Names of the files that the folder's last report lists; only plain names in that folder count."""
    if not report.exists():
        return set()
    try:
        names = read_json(report).get("outputs", [])
        return {name for name in names if isinstance(name, str) and Path(name).name == name}
    except (InputError, AttributeError, TypeError):
        return set()


@contextlib.contextmanager
def removed_when_unusable(folder: JobFolder) -> Iterator[None]:
    """Leave no folder behind for a clip that gave no result, now or earlier."""
    try:
        yield
    except InputError:
        if {path.name for path in folder.root.iterdir()} <= {folder.work.name}:
            shutil.rmtree(folder.root, ignore_errors=True)
        raise
