"""The skinned mesh of a body at its solved shape."""

from __future__ import annotations

import bpy
import numpy as np

from ..protocol.body_file import BodyGeometry
from .compat import principled_node
from .rest_pose import RestPose, to_z_up

_NEUTRAL = (0.42, 0.50, 0.58, 1.0)
"""Colour of the body: linear RGB, alpha."""
_LEAST_WEIGHT = 1e-4


def build_mesh(
    collection: bpy.types.Collection,
    name: str,
    body: BodyGeometry,
    rest: RestPose,
    armature: bpy.types.Object,
) -> bpy.types.Object:
    """Make the mesh, bound to its armature.

    Args:
        collection: Where the object goes.
        name: Name for the object; Blender may add a number.
        body: Surface and weights.
        rest: The bones, for the same place on the ground.
        armature: What moves the mesh; becomes its parent.
    """
    data = _mesh_data(name, to_z_up(body.rest_vertices_m) + rest.offset_m, body.faces)
    data.materials.append(_material(name))
    mesh = bpy.data.objects.new(name, data)
    mesh.parent = armature
    _add_weights(mesh, body)
    modifier = mesh.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    collection.objects.link(mesh)
    return mesh


def _mesh_data(name: str, vertices_m: np.ndarray, faces: np.ndarray) -> bpy.types.Mesh:
    data = bpy.data.meshes.new(name)
    data.vertices.add(len(vertices_m))
    data.loops.add(faces.size)
    data.polygons.add(len(faces))
    data.vertices.foreach_set("co", np.ascontiguousarray(vertices_m, np.float32).ravel())
    data.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    data.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    data.shade_smooth()
    data.update(calc_edges=True)
    return data


def _add_weights(mesh: bpy.types.Object, body: BodyGeometry) -> None:
    """One vertex group per joint. Vertices that share a weight are added in one call."""
    groups = [mesh.vertex_groups.new(name=name) for name in body.joint_names]
    kept = body.skin_weight > _LEAST_WEIGHT
    joint, weight = body.skin_joint[kept].astype(np.int64), body.skin_weight[kept]
    vertex = np.nonzero(kept)[0]
    order = np.lexsort((weight, joint))
    joint, weight, vertex = joint[order], weight[order], vertex[order]
    new_run = np.flatnonzero((np.diff(joint) != 0) | (np.diff(weight) != 0)) + 1
    starts = np.concatenate([[0], new_run]).tolist()
    vertices, joints, weights = vertex.tolist(), joint.tolist(), weight.tolist()
    for start, stop in zip(starts, [*starts[1:], len(vertices)], strict=True):
        groups[joints[start]].add(vertices[start:stop], weights[start], "REPLACE")


def _material(name: str) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    material.diffuse_color = _NEUTRAL
    surface = principled_node(material)
    surface.inputs["Base Color"].default_value = _NEUTRAL
    surface.inputs["Roughness"].default_value = 0.6
    return material
