"""A .bvh is the motion, to every reader: our plain one, and Blender's."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.engine.exporters.bvh import euler_zxy, write_bvh
from extpose_blender.protocol.body_file import BodyGeometry
from extpose_blender.protocol.errors import BadShape
from extpose_blender.protocol.geometry import Z_UP_R_Y_UP, rotmat_to_rotvec, rotvec_to_rotmat

from ..motions import make_motion

IN_BLENDER = """
import sys, bpy, numpy as np
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_anim.bvh(filepath=sys.argv[1])
armature, want = bpy.context.object, np.load(sys.argv[2])
worst = 0.0
for row, joints in enumerate(want["joints"]):
    bpy.context.scene.frame_set(1 + row)
    for name, place in zip(want["names"], joints, strict=True):
        head = armature.matrix_world @ armature.pose.bones[str(name)].head
        worst = max(worst, float(np.linalg.norm(np.array(head) - place)))
print("WORST", worst)
"""


def rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    return rotvec_to_rotmat(angle[..., None] * np.eye(3)[axis])


def read_plainly(path: Path) -> tuple[dict[str, np.ndarray], float]:
    """Joint positions (T, 3) by name in the file's own axes, and the frame time."""
    head, _, tail = path.read_text().partition("MOTION\n")
    _, frame_time, *rows = tail.strip().splitlines()
    data = np.array([row.split() for row in rows], float)
    stack: list[tuple[np.ndarray, np.ndarray]] = []
    places: dict[str, np.ndarray] = {}
    name, column = "", 0
    for words in (line.split() for line in head.splitlines()):
        if words[0] in ("ROOT", "JOINT", "End"):
            name = words[1] if words[0] != "End" else ""
        elif words[0] == "OFFSET":
            turn, place = stack[-1] if stack else (np.eye(3), np.zeros(3))
            place = place + turn @ np.array(words[1:], float)
            stack.append((turn + 0 * rotation(0, data[:, 0]), place + 0 * data[:, :3]))
        elif words[0] == "CHANNELS":
            turn, place = stack.pop()
            for channel in words[2:]:
                values, axis = data[:, column], "XYZ".index(channel[0])
                if channel.endswith("position"):
                    place = place + values[:, None] * np.eye(3)[axis]
                else:
                    turn = turn @ rotation(axis, np.radians(values))
                column += 1
            stack.append((turn, place))
            places[name] = place
        elif words[0] == "}":
            stack.pop()
    assert column == data.shape[1]
    return places, float(frame_time.split()[-1])


@pytest.mark.parametrize("rows", [1, 40])
def test_joints_come_back(tmp_path: Path, body: BodyGeometry, rows: int) -> None:
    motion = make_motion(body, rows)
    write_bvh(tmp_path / "walk.bvh", motion, body)
    places, frame_time = read_plainly(tmp_path / "walk.bvh")
    assert frame_time == pytest.approx(1 / motion.mocap_framerate, abs=1e-8)
    assert list(places) and set(places) == set(body.joint_names)
    for i, name in enumerate(body.joint_names):
        world = places[name] @ Z_UP_R_Y_UP.T
        np.testing.assert_allclose(world, motion.joints[:, i], atol=2e-5)


@pytest.mark.bpy
def test_blender_gives_the_joints_back(tmp_path: Path, body: BodyGeometry) -> None:
    if find_spec("bpy") is None:
        pytest.skip("needs the bpy wheel")
    motion = make_motion(body, 40)
    write_bvh(tmp_path / "walk.bvh", motion, body)
    np.savez(tmp_path / "want.npz", joints=motion.joints, names=np.array(motion.joint_names))
    done = subprocess.run(
        [sys.executable, "-c", IN_BLENDER, str(tmp_path / "walk.bvh"), str(tmp_path / "want.npz")],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert float(done.stdout.split("WORST")[1]) < 1e-3


def test_angles_are_continuous_and_right() -> None:
    """A joint that turns round and round, through the lock of the middle axis."""
    t = np.linspace(0, 3, 200)
    turns = rotation(2, 0.3 * t) @ rotation(0, 2 * np.pi * t / 3) @ rotation(1, 5 * t)
    angles = euler_zxy(turns)
    back = rotation(2, angles[:, 0]) @ rotation(0, angles[:, 1]) @ rotation(1, angles[:, 2])
    error = np.linalg.norm(rotmat_to_rotvec(np.swapaxes(back, -1, -2) @ turns), axis=-1)
    assert error.max() < 1e-6
    assert np.abs(np.diff(angles, axis=0)).max() < 0.2


def test_exactly_locked_angles_are_right() -> None:
    t = np.linspace(0, 2, 50)
    turns = rotation(2, t) @ rotation(0, np.full(50, np.pi / 2)) @ rotation(1, 0.5 * t)
    angles = euler_zxy(turns)
    back = rotation(2, angles[:, 0]) @ rotation(0, angles[:, 1]) @ rotation(1, angles[:, 2])
    np.testing.assert_allclose(back, turns, atol=1e-6)
    assert np.abs(np.diff(angles, axis=0)).max() < 0.1


def test_another_body_is_refused(tmp_path: Path, body: BodyGeometry) -> None:
    motion = make_motion(body, 2)
    few = BodyGeometry(
        "few", "smpl", body.rest_vertices_m, body.faces, np.minimum(body.skin_joint, 1),
        body.skin_weight, body.rest_joints_m[:24], body.joint_names[:24], body.parents[:24],
    )  # fmt: skip
    with pytest.raises(BadShape, match="52 joints, not 24"):
        write_bvh(tmp_path / "walk.bvh", motion, few)
    assert not list(tmp_path.iterdir())
