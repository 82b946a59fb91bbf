"""`extpose demo`: the main job on the sample clip, or on a clip of the user's, and where to look.

The sample's truth is known exactly, so its error is printed too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..protocol.motion import Motion, read_motion
from ..protocol.options import CaptureOptions
from ..protocol.resources import find_resource
from ..protocol.skeletons import LIMB_JOINTS
from .metrics import acceleration_error, mpjpe, pa_mpjpe

SAMPLE, TRUTH = "sample/clip.mp4", "sample/truth.npz"


def run_demo(
    video: Path | None,
    options: CaptureOptions,
    given: tuple[bool, bool],
    capture_clip: Callable[[Path, CaptureOptions], dict[str, Any]],
) -> dict[str, Any]:
    """Capture a clip and say what came out.

    Args:
        video: The clip; the sample clip when `None`.
        options: The choices made on the command line.
        given: Whether `--export` and `--overlay` were among them; else the demo makes .blend, .fbx and
            the overlay.
        capture_clip: Captures and prints; returns the result for `--json`.

    Returns:
        The result, with `error_mm` where the truth is known.
    """
    export_given, overlay_given = given
    if not export_given:
        options = replace(options, export="npz,fbx,blend")
    if not overlay_given:
        options = replace(options, overlay=True)
    result = capture_clip(video or find_resource(SAMPLE), options)
    if not result["ok"]:
        return result
    folder = Path(result["report"]).parent
    if video is None:
        errors = sample_errors(read_motion(folder / "person_0.npz"))
        result["error_mm"] = errors
        _say(
            f"Error against the sample's exact truth, twelve limb joints: "
            f"{errors['mpjpe_mm']:.1f} mm (hips aligned), {errors['pa_mpjpe_mm']:.1f} mm (similarity "
            f"aligned), acceleration {errors['acceleration_mm_per_frame2']:.2f} mm/frame²"
        )
    for name, words in (("overlay.mp4", "Look at"), ("person_0.blend", "Open in Blender:")):
        if (folder / name).exists():
            _say(f"{words} {folder / name}")
    return result


def sample_errors(motion: Motion) -> dict[str, float]:
    """How far a capture of the sample lies from the truth, in the camera's frame.

    Returns:
        `mpjpe_mm` (mid-hip aligned), `pa_mpjpe_mm`, `acceleration_mm_per_frame2`, over the twelve limb
        joints and the rows that both have.
    """
    with np.load(find_resource(TRUTH), allow_pickle=False) as truth:
        names = [str(name) for name in truth["joint_names"]]
        true_m = truth["joints_camera_m"][:, [names.index(name) for name in LIMB_JOINTS]]
    joints = motion.joints[:, [motion.joint_names.index(name) for name in LIMB_JOINTS]]
    camera = motion.camera_T_world
    ours_m = np.einsum("tij,tnj->tni", camera[:, :3, :3], joints) + camera[:, None, :3, 3]
    rows = motion.frame_index
    ours_m, true_m = ours_m[rows < len(true_m)], true_m[rows[rows < len(true_m)]]
    hips = [LIMB_JOINTS.index("left_hip"), LIMB_JOINTS.index("right_hip")]
    return {
        "mpjpe_mm": 1000 * float(mpjpe(ours_m, true_m, root=hips).mean()),
        "pa_mpjpe_mm": 1000 * float(pa_mpjpe(ours_m, true_m).mean()),
        "acceleration_mm_per_frame2": 1000 * float(acceleration_error(ours_m, true_m).mean()),
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
