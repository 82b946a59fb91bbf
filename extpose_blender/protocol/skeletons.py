"""Names, parents and pairs of every skeleton that meets in this project.

One definition per list. A `Skeleton` is data only; which point answers to which joint of another
skeleton stands in the maps at the end.

Sources: COCO-17 from COCO's keypoint annotations; MediaPipe-33 from MediaPipe's `PoseLandmark`;
SMPL, SMPL-H and MANO orders from smplx:smplx/joint_names.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Skeleton:
    """An ordered list of points with the bones between them."""

    name: str
    """Short name, as used in files."""
    joint_names: tuple[str, ...]
    """Names in the order of the arrays."""
    parents: tuple[int, ...] | None
    """Parent of each joint, -1 for the root; `None` where the points form no tree."""
    pairs: tuple[tuple[int, int], ...]
    """Bones to draw, as index pairs."""
    mirror: tuple[int, ...]
    """For each joint the index of its mirror image; itself in the middle."""

    def __len__(self) -> int:
        return len(self.joint_names)

    @cached_property
    def index(self) -> dict[str, int]:
        """Index of each name."""
        return {name: i for i, name in enumerate(self.joint_names)}

    def indices(self, *names: str) -> list[int]:
        """Indices of several names, in the order asked for. Raises KeyError for an unknown name."""
        return [self.index[name] for name in names]


def _mirror(names: tuple[str, ...]) -> tuple[int, ...]:
    def other(name: str) -> str:
        if "left" in name:
            return name.replace("left", "right")
        return name.replace("right", "left")

    return tuple(
        names.index(other(name)) if other(name) in names else i for i, name in enumerate(names)
    )


def _tree(name: str, names: tuple[str, ...], parents: tuple[int, ...]) -> Skeleton:
    pairs = tuple((parent, i) for i, parent in enumerate(parents) if parent >= 0)
    return Skeleton(name, names, parents, pairs, _mirror(names))


def _points(name: str, names: tuple[str, ...], bones: tuple[tuple[str, str], ...]) -> Skeleton:
    pairs = tuple((names.index(a), names.index(b)) for a, b in bones)
    return Skeleton(name, names, None, pairs, _mirror(names))


_COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

_LIMB_BONES = (
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
)  # fmt: skip

COCO_17 = _points(
    "coco17",
    _COCO_NAMES,
    (
        *_LIMB_BONES,
        ("nose", "left_eye"),
        ("nose", "right_eye"),
        ("left_eye", "left_ear"),
        ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"),
        ("right_ear", "right_shoulder"),
    ),  # fmt: skip
)

MEDIAPIPE_33 = _points(
    "mediapipe33",
    (
        "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
        "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
        "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
        "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
        "right_heel", "left_foot_index", "right_foot_index",
    ),
    (
        *_LIMB_BONES, ("left_ankle", "left_heel"), ("left_heel", "left_foot_index"),
        ("left_ankle", "left_foot_index"), ("right_ankle", "right_heel"),
        ("right_heel", "right_foot_index"), ("right_ankle", "right_foot_index"),
        ("left_wrist", "left_index"), ("left_wrist", "left_pinky"), ("left_index", "left_pinky"),
        ("left_wrist", "left_thumb"), ("right_wrist", "right_index"), ("right_wrist", "right_pinky"),
        ("right_index", "right_pinky"), ("right_wrist", "right_thumb"), ("nose", "left_eye_inner"),
        ("left_eye_inner", "left_eye"), ("left_eye", "left_eye_outer"), ("left_eye_outer", "left_ear"),
        ("nose", "right_eye_inner"), ("right_eye_inner", "right_eye"),
        ("right_eye", "right_eye_outer"), ("right_eye_outer", "right_ear"),
        ("mouth_left", "mouth_right"),
    ),
)  # fmt: skip

_SMPL_22 = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
    "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
_SMPL_22_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
LEFT_WRIST, RIGHT_WRIST = 20, 21

SMPL_24 = _tree(
    "smpl", (*_SMPL_22, "left_hand", "right_hand"), (*_SMPL_22_PARENTS, LEFT_WRIST, RIGHT_WRIST)
)

_MANO_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
"""The five fingers in MANO's order, three joints each."""


def _fingers(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}{finger}{i}" for finger in _MANO_FINGERS for i in (1, 2, 3))


def _finger_parents(wrist: int, first: int) -> tuple[int, ...]:
    return tuple(wrist if i % 3 == 0 else first + i - 1 for i in range(15))


SMPLH_52 = _tree(
    "smplh",
    (*_SMPL_22, *_fingers("left_"), *_fingers("right_")),
    (*_SMPL_22_PARENTS, *_finger_parents(LEFT_WRIST, 22), *_finger_parents(RIGHT_WRIST, 37)),
)

SMPLX_55 = _tree(
    "smplx",
    (
        *_SMPL_22,
        "jaw",
        "left_eye_smplhf",
        "right_eye_smplhf",
        *_fingers("left_"),
        *_fingers("right_"),
    ),  # fmt: skip
    (
        *_SMPL_22_PARENTS,
        15,
        15,
        15,
        *_finger_parents(LEFT_WRIST, 25),
        *_finger_parents(RIGHT_WRIST, 40),
    ),  # fmt: skip
)

MANO_16 = _tree("mano", ("wrist", *_fingers("")), (-1, *_finger_parents(0, 1)))
"""The sixteen posed joints of MANO, in MANO's own order."""

_HAND_21_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
HAND_21 = _tree(
    "hand21",
    ("wrist", *(f"{finger}{i}" for finger in _HAND_21_FINGERS for i in (1, 2, 3, 4))),
    tuple([-1] + [0 if i % 4 == 0 else i for i in range(20)]),
)
"""MANO's 21 points (16 joints and five tips) in OpenPose's and MediaPipe's order."""

MODEL_SKELETONS: dict[str, Skeleton] = {
    "smpl": SMPL_24,
    "smplh": SMPLH_52,
    "smplx": SMPLX_55,
    "mano": MANO_16,
}
"""Skeleton of each `surface_model_type`."""

DETECTOR_SKELETONS: dict[str, Skeleton] = {s.name: s for s in (COCO_17, MEDIAPIPE_33)}
"""Skeletons that a 2D detector may deliver."""


def with_hands(skeleton: Skeleton) -> Skeleton:
    """A detector's skeleton with the 21 points of the left and then the right hand after it."""
    names, pairs = list(skeleton.joint_names), list(skeleton.pairs)
    for side in ("left", "right"):
        first = len(names)
        names += [f"{side}_hand_{point}" for point in HAND_21.joint_names]
        pairs += [(first + a, first + b) for a, b in HAND_21.pairs]
    joined = tuple(names)
    return Skeleton(f"{skeleton.name}+hands", joined, None, tuple(pairs), _mirror(joined))


LIMB_JOINTS = tuple(
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
"""The twelve joints that every skeleton here has: what accuracy is measured on."""

FOOT_POINTS = ("left_heel", "left_toe", "right_heel", "right_toe")
"""Order of `foot_contact` in a motion file."""

HAND_21_FROM_MANO_16 = (0, 13, 14, 15, -1, 1, 2, 3, -1, 4, 5, 6, -1, 10, 11, 12, -1, 7, 8, 9, -1)
"""MANO joint of each of the 21 hand points; -1 for the five tips, which are surface points.

Source: geopavlakos/hamer:hamer/models/mano_wrapper.py.
"""

COCO_17_FROM_MEDIAPIPE_33 = tuple(MEDIAPIPE_33.index[name] for name in _COCO_NAMES)
"""MediaPipe landmark of each COCO point."""
