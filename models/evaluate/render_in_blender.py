"""Runs in a process of its own with bpy: draws each frame of a scene from each camera as PNG.

    python render_in_blender.py SCENE.npz FOLDER  ->  FOLDER/cam0/00000.png …

Workbench: no sampling noise, a third of a second a frame on a CPU.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

BLENDER_CAMERA_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
SENSOR_MM = 36.0
LIGHT_SLOPE = np.array([0.25, 0.35, 1.0], np.float32)
EXPOSURE = 0.9
"""Stops: Workbench's studio light is dim."""


def main(scene_file: str, folder: str) -> None:
    """Render a scene file into `folder`."""
    with np.load(scene_file, allow_pickle=False) as data:
        arrays = {name: data[name] for name in data.files}
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    set_up_workbench(scene, arrays["image_size"], str(arrays["antialiasing"]))
    add_mesh("room", *_quads(arrays["room_corners_m"], arrays["room_colours"]), smooth=False)
    body = add_mesh("body", arrays["vertices_m"][0], arrays["faces"], arrays["colours"], True)
    dark = np.tile(_to_linear(arrays["shadow_colour"]), (len(arrays["colours"]), 1))
    shadow = add_mesh("shadow", arrays["vertices_m"][0], arrays["faces"], dark, smooth=False)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    for number in range(len(arrays["camera_K"])):
        place_camera(camera, arrays["camera_K"][number], arrays["camera_T_world"][number], scene)
        for frame, vertices in enumerate(arrays["vertices_m"]):
            move(body, vertices)
            move(shadow, cast_on_floor(vertices))
            scene.render.filepath = str(Path(folder) / f"cam{number}" / f"{frame:05}.png")
            bpy.ops.render.render(write_still=True)


def set_up_workbench(scene: bpy.types.Scene, size: np.ndarray, antialiasing: str) -> None:
    """Studio light and cavity on vertex colours.

    Workbench's own shadows cost ten times the rest on a CPU: `cast_on_floor` stands in for them.
    """
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.resolution_x, scene.render.resolution_y = (int(side) for side in size)
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.render.image_settings.compression = 15
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.exposure = EXPOSURE
    scene.display.render_aa = antialiasing
    shading = scene.display.shading
    shading.light = "STUDIO"
    shading.color_type = "VERTEX"
    shading.show_shadows = False
    shading.show_cavity = True
    shading.cavity_type = "SCREEN"  # `WORLD` flickers: it is sampled anew in every frame
    shading.show_specular_highlight = False


def add_mesh(
    name: str, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray, smooth: bool
) -> bpy.types.Mesh:
    """Add a mesh with one colour (linear RGB) per vertex."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], faces.tolist())
    attribute = mesh.color_attributes.new("colour", "FLOAT_COLOR", "POINT")
    alpha = np.ones((len(colours), 1), np.float32)
    attribute.data.foreach_set("color", np.hstack([colours, alpha]).astype(np.float32).ravel())
    mesh.color_attributes.active_color = attribute
    mesh.polygons.foreach_set("use_smooth", np.full(len(mesh.polygons), smooth))
    bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, mesh))
    return mesh


def move(mesh: bpy.types.Mesh, vertices: np.ndarray) -> None:
    """Give a mesh new vertex positions (V, 3)."""
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.update()


def cast_on_floor(vertices: np.ndarray) -> np.ndarray:
    """The body pressed flat along the light, just above the floor: its shadow."""
    shadow = vertices - vertices[:, 2:] * (LIGHT_SLOPE / LIGHT_SLOPE[2])
    shadow[:, 2] = 0.004
    return shadow


def place_camera(
    camera: bpy.types.Object, K: np.ndarray, camera_T_world: np.ndarray, scene: bpy.types.Scene
) -> None:
    """Stand the camera where an OpenCV camera with these matrices stands."""
    camera.data.sensor_fit = "HORIZONTAL"
    camera.data.sensor_width = SENSOR_MM
    camera.data.lens = K[0, 0] * SENSOR_MM / scene.render.resolution_x
    camera.data.clip_end = 100.0
    camera.matrix_world = Matrix(
        (np.linalg.inv(camera_T_world) @ BLENDER_CAMERA_FROM_OPENCV).tolist()
    )


def _quads(corners: np.ndarray, srgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    faces = np.arange(4 * len(corners)).reshape(-1, 4)
    return corners.reshape(-1, 3), faces, np.repeat(_to_linear(srgb), 4, axis=0)


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    unit = np.clip(srgb / 255.0, 0, 1)
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


if __name__ == "__main__":
    main(*sys.argv[1:3])
