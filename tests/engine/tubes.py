"""A small body of tubes with the joints of SMPL-H."""

from __future__ import annotations

import numpy as np

from extpose_blender.protocol.body_file import BodyGeometry
from extpose_blender.protocol.skeletons import SMPLH_52


def tube_body(seed: int = 0, sides: int = 6) -> BodyGeometry:
    """Each bone is a closed tube; weights blend from a bone's parent to the bone."""
    rng = np.random.default_rng(seed)
    parents = np.array(SMPLH_52.parents, np.int32)
    joints = np.zeros((52, 3))
    for joint in range(1, 52):
        joints[joint] = joints[parents[joint]] + rng.normal(0, 0.12, 3)
    angle = np.arange(sides) * 2 * np.pi / sides
    ring = 0.03 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    vertices, faces, skin = [], [], []
    for joint in range(1, 52):
        base = 2 * sides * len(vertices)
        ends = joints[parents[joint]], joints[joint]
        vertices.append(np.concatenate([ring + ends[0], ring + ends[1]]))
        skin += [(parents[joint], joint, 0.75)] * sides + [(parents[joint], joint, 0.25)] * sides
        for i in range(sides):
            j = (i + 1) % sides
            faces += [
                (base + i, base + j, base + sides + j),
                (base + i, base + sides + j, base + sides + i),
            ]
    return BodyGeometry(
        body_id="tubes",
        surface_model_type="smplh",
        rest_vertices_m=np.concatenate(vertices).astype(np.float32),
        faces=np.array(faces, np.int32),
        skin_joint=np.array([s[:2] for s in skin], np.int16),
        skin_weight=np.array([(s[2], 1 - s[2]) for s in skin], np.float32),
        rest_joints_m=joints.astype(np.float32),
        joint_names=SMPLH_52.joint_names,
        parents=parents,
    )
