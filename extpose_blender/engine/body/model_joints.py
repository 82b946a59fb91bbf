"""The joints that HMR2.0 and HaMeR are trained and judged on, from a posed body.

Bodies have 44: OpenPose's 25 (model joints and points of the surface), then 19 means of posed
vertices in the conventions of LSP, MPII and Human3.6M. Hands have OpenPose's 21: MANO's 16 joints
and the five tips.

Frames: the body's own; metres. Differentiable in shape and pose.
Source: shubham-goel/4D-Humans:hmr2/models/smpl_wrapper.py, geopavlakos/hamer:hamer/models/mano_wrapper.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...protocol.errors import BadBodyFile, BadShape
from ...protocol.skeletons import HAND_21_FROM_MANO_16, SMPL_24
from .layer import Posed

if TYPE_CHECKING:
    from .load import Body

_OPENPOSE_25 = (
    ("Nose", "nose"), ("Neck", "neck"), ("RShoulder", "right_shoulder"), ("RElbow", "right_elbow"),
    ("RWrist", "right_wrist"), ("LShoulder", "left_shoulder"), ("LElbow", "left_elbow"),
    ("LWrist", "left_wrist"), ("MidHip", "pelvis"), ("RHip", "right_hip"), ("RKnee", "right_knee"),
    ("RAnkle", "right_ankle"), ("LHip", "left_hip"), ("LKnee", "left_knee"),
    ("LAnkle", "left_ankle"), ("REye", "reye"), ("LEye", "leye"), ("REar", "rear"),
    ("LEar", "lear"), ("LBigToe", "LBigToe"), ("LSmallToe", "LSmallToe"), ("LHeel", "LHeel"),
    ("RBigToe", "RBigToe"), ("RSmallToe", "RSmallToe"), ("RHeel", "RHeel"),
)  # fmt: skip
"""OpenPose's point, and SMPL's joint or smplx's name of the surface point that stands for it."""

_REGRESSED_19 = (
    "Right Ankle", "Right Knee", "Right Hip", "Left Hip", "Left Knee", "Left Ankle", "Right Wrist",
    "Right Elbow", "Right Shoulder", "Left Shoulder", "Left Elbow", "Left Wrist", "Neck (LSP)",
    "Top of Head (LSP)", "Pelvis (MPII)", "Thorax (MPII)", "Spine (H36M)", "Jaw (H36M)",
    "Head (H36M)",
)  # fmt: skip

BODY_44_NAMES = (*(f"OP {name}" for name, _ in _OPENPOSE_25), *_REGRESSED_19)
"""Names of a body's 44 joints."""
_OTHER_SIDE = {"OP R": "OP L", "OP L": "OP R", "Right ": "Left ", "Left ": "Right "}


def _other_side(name: str) -> str:
    for side, other in _OTHER_SIDE.items():
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


BODY_44_MIRROR = tuple(BODY_44_NAMES.index(_other_side(name)) for name in BODY_44_NAMES)
"""For each of a body's joints its mirror image; itself in the middle."""
BODY_44_PELVIS = BODY_44_NAMES.index("Pelvis (MPII)")
"""What 3D joints of bodies are compared relative to."""
HAND_21_WRIST = 0
"""What 3D joints of hands are compared relative to."""

_TIPS = ("thumb", "index", "middle", "ring", "pinky")


def pose_model_joints(
    body: Body,
    betas: Tensor,
    rotmat: Tensor,
    extra_regressor: Tensor | None = None,
) -> Posed:
    """Pose a body and take the joints that the base models are trained on.

    Args:
        body: A body with SMPL's first 22 joints and named surface points, or a right MANO hand.
        betas: (B, 10) or (1, 10).
        rotmat: (B, J, 3, 3) rotation of each of the body's joints in its parent's frame.
        extra_regressor: (19, V) the last 19 of 44 joints as weighted means of vertices; bodies need
            it, hands have none. HMR2.0 checkpoints carry it as `smpl.joint_regressor_extra`.

    Returns:
        Joints (B, 44, 3) or (B, 21, 3), and all vertices (B, V, 3).

    Raises:
        BadBodyFile: The body does not name the surface points.
        BadShape: `extra_regressor` does not fit the body.
    """
    is_hand = body.model_type == "mano"
    names = _TIPS if is_hand else tuple(point for _, point in _OPENPOSE_25)
    surface = _surface_points(body, names)
    posed = body.pose(betas, rotmat)
    if is_hand:
        return Posed(_hand_joints(posed, surface), posed.points)
    wanted = (len(_REGRESSED_19), posed.points.shape[1])
    if extra_regressor is None or tuple(extra_regressor.shape) != wanted:
        actual = None if extra_regressor is None else tuple(extra_regressor.shape)
        raise BadShape(f"`extra_regressor` must be {wanted} for this body, not {actual}")
    points = [
        posed.joints[:, SMPL_24.index[name]]
        if name in SMPL_24.index
        else posed.points[:, surface[name]]
        for name in names
    ]
    means = torch.einsum("kv,bvc->bkc", extra_regressor.to(posed.points), posed.points)
    return Posed(torch.cat([torch.stack(points, 1), means], 1), posed.points)


def _hand_joints(posed: Posed, surface: dict[str, int]) -> Tensor:
    tips = iter(_TIPS)
    joints = [
        posed.joints[:, joint] if joint >= 0 else posed.points[:, surface[next(tips)]]
        for joint in HAND_21_FROM_MANO_16
    ]
    return torch.stack(joints, 1)


def _surface_points(body: Body, names: tuple[str, ...]) -> dict[str, int]:
    """The vertices of those names that are no joints."""
    named = {name: body.landmarks.get(name) for name in names if name not in SMPL_24.index}
    missing = [name for name, vertex in named.items() if vertex is None]
    if missing:
        raise BadBodyFile(
            f"body `{body.body_id}` does not say which vertex is `{missing[0]}`",
            "Use a published SMPL, SMPL-H, SMPL-X or MANO file, or the open body",
        )
    return {name: vertex for name, vertex in named.items() if vertex is not None}
