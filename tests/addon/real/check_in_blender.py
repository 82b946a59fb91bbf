"""Runs inside a real Blender: builds clips, measures them, prints one line of JSON.

    blender --background --factory-startup --python check_in_blender.py -- FOLDER [FORMAT ...]

FOLDER holds `person_0.npz`, `body_0.npz`, and `person_0.FORMAT` that this Blender wrote before.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT))

import numpy as np  # noqa: E402

import extpose_blender  # noqa: E402
from extpose_blender.addon.clip_files import read_people  # noqa: E402
from tests.addon.scene_checks import (  # noqa: E402
    imported_joints,
    new_clip,
    worst_joint_m,
    worst_projection_px,
)


def main(folder: Path, formats: list[str]) -> dict[str, float]:
    extpose_blender.register()
    extpose_blender.unregister()
    people = read_people("clip", [(folder / "person_0.npz", folder / "body_0.npz")], alone=True)
    motion = people[0].motion
    clip = new_clip(people)
    found = {
        "joints_m": worst_joint_m(clip, [motion]),
        "projection_px": worst_projection_px(clip, motion),
    }
    for kind in formats:
        joints = imported_joints(kind, folder / f"person_0.{kind}", motion)
        found[kind] = float(np.linalg.norm(joints[0] - motion.joints, axis=-1).max())
    return found


if __name__ == "__main__":
    arguments = sys.argv[sys.argv.index("--") + 1 :]
    print("FOUND " + json.dumps(main(Path(arguments[0]), arguments[1:])))
