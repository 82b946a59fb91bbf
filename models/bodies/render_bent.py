"""Render the open body bent at every joint, to be looked at after every change.

    python models/bodies/render_bent.py [--body FILE] [--out PNG]

Needs the extra `blender`; draws with Workbench. Poses are rotation vectors in degrees.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from extpose_blender.engine.body.files import read_body_file
from extpose_blender.engine.body.load import Body

Pose = dict[str, tuple[float, float, float]]

_ARMS_DOWN: Pose = {"left_shoulder": (0, 0, -72), "right_shoulder": (0, 0, 72)}
_FIST: Pose = {
    f"left_{finger}{i}": (0, 0, -angle)
    for finger in ("index", "middle", "ring", "pinky")
    for i, angle in ((1, 60), (2, 90), (3, 60))
}
POSES: list[Pose] = [
    {},
    _ARMS_DOWN,
    {"left_shoulder": (0, 0, 80), "right_shoulder": (0, 0, -80)},
    {"left_shoulder": (0, -85, 0), "right_shoulder": (0, 85, 0)},
    {"left_collar": (0, 0, 25), "right_collar": (0, -25, 0)},
    {"left_elbow": (0, -130, 0), "right_elbow": (0, 70, 0)},
    {"left_elbow": (-70, 0, 0), "right_wrist": (0, 0, -70), **_FIST},
    _ARMS_DOWN | {"left_hip": (-90, 0, 0), "right_hip": (-90, 0, 0),
                  "left_knee": (90, 0, 0), "right_knee": (90, 0, 0)},
    _ARMS_DOWN | {"left_hip": (-125, 0, 0), "left_knee": (135, 0, 0)},
    _ARMS_DOWN | {"left_hip": (0, 0, 50), "right_hip": (0, 0, -50)},
    _ARMS_DOWN | {"left_hip": (35, 0, 0), "right_hip": (-40, 0, 0), "left_knee": (50, 0, 0)},
    _ARMS_DOWN | {"left_hip": (0, 45, 0), "left_ankle": (35, 0, 0), "left_foot": (-30, 0, 0),
                  "right_ankle": (-25, 0, 0)},
    _ARMS_DOWN | {"spine1": (30, 0, 0), "spine2": (25, 0, 0), "spine3": (20, 0, 0)},
    _ARMS_DOWN | {"spine1": (-20, 0, 0), "spine2": (-15, 0, 0), "spine3": (-10, 0, 0)},
    _ARMS_DOWN | {"spine1": (0, 25, 0), "spine2": (0, 20, 0), "spine3": (0, 15, 0)},
    _ARMS_DOWN | {"spine1": (0, 0, 20), "spine2": (0, 0, 15), "spine3": (0, 0, 15)},
    _ARMS_DOWN | {"neck": (30, 0, 0), "head": (20, 0, 0)},
    _ARMS_DOWN | {"neck": (0, 40, 0), "head": (0, 35, 0)},
]  # fmt: skip
VIEWS_DEG = (-25, 140)
COLUMNS = 9
CELL_M = (1.4, 2.2)
CELL_PX = 110


def main() -> None:
    """Pose, arrange, render."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    folder = Path(__file__).with_name("open")
    parser.add_argument("--body", type=Path, default=folder / "model.npz")
    parser.add_argument("--out", type=Path, default=folder / "bent.png")
    arguments = parser.parse_args()
    body = Body(read_body_file(arguments.body, "smplh", correctives=False), "open")
    render(body, [(pose, view) for pose in POSES for view in VIEWS_DEG], arguments.out)


def posed_vertices(body: Body, pose: Pose) -> np.ndarray:
    """(V, 3) the mean body in a pose, Blender's Z up."""
    rotvec = torch.zeros(1, len(body.joint_names), 3)
    for joint, degrees in pose.items():
        rotvec[0, body.joint_names.index(joint)] = torch.tensor(np.radians(degrees))
    x, y, z = body.pose(torch.zeros(1, body.num_betas), rotvec).points[0].numpy().T
    return np.stack([x, -z, y], axis=1)


def render(body: Body, views: list[tuple[Pose, float]], path: Path) -> None:
    """Render each pose from its side, in rows of `COLUMNS`, into one picture."""
    import bpy

    rows = -(-len(views) // COLUMNS)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    for i, (pose, degrees) in enumerate(views):
        turn = math.radians(degrees)
        about_z = np.array(
            [[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]]
        )
        place = np.array([i % COLUMNS * CELL_M[0], 0, -(i // COLUMNS) * CELL_M[1]])
        vertices = posed_vertices(body, pose) @ about_z.T + place
        mesh = bpy.data.meshes.new("body")
        mesh.from_pydata(vertices.tolist(), [], body.faces.tolist())
        mesh.shade_smooth()
        scene.collection.objects.link(bpy.data.objects.new("body", mesh))

    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type = "ORTHO"
    camera.data.ortho_scale = max(COLUMNS * CELL_M[0], rows * CELL_M[1])
    camera.location = ((COLUMNS - 1) * CELL_M[0] / 2, -20, -(rows - 1) * CELL_M[1] / 2 - 0.2)
    camera.rotation_euler = (math.pi / 2, 0, 0)
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.resolution_x = COLUMNS * CELL_PX
    scene.render.resolution_y = round(rows * CELL_PX * CELL_M[1] / CELL_M[0])
    scene.render.resolution_percentage = 100
    scene.display.shading.show_cavity = True
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("light")
    scene.world.color = (0.9, 0.9, 0.9)
    scene.display.shading.background_type = "WORLD"
    scene.render.image_settings.color_mode = "BW"
    scene.render.image_settings.compression = 100
    scene.render.filepath = str(path.absolute())
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
