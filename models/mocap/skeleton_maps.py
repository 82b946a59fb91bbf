"""Which joint of each source skeleton drives which SMPL-H joint, and how its axes lie.

Data only. A rule gives the global rotation of an SMPL-H joint from the source's global rotations;
joints without a rule keep their parent's. Rest poses of the groups:

* CMU, all three: the skeleton stands in a T-pose, faces +Z, soles flat: the SMPL rest pose but for
  the directions of single bones: `Turn` copies a rotation, `Aim` also turns the bone into line.
* DeepMimic: as above but faces +X, with hanging arms.
* Mesh2Motion: every bone runs along its own +Y; there is no common rest pose, so `Framed` names
  the axes.
"""

from __future__ import annotations

from dataclasses import dataclass

from extpose_blender.protocol.skeletons import SMPLH_52

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Turn:
    """Copy the rotation of a joint whose rest frame stands as SMPL's does."""

    joint: str
    """Source joint."""


@dataclass(frozen=True)
class Aim:
    """Copy a rotation, and turn the rest bone into line by the shortest way."""

    joint: str
    """Source joint."""
    toward: str
    """Source joint at the other end of the bone."""


@dataclass(frozen=True)
class Framed:
    """Match a direction and, as well as it goes, a second one at right angles to it."""

    joint: str
    """Source joint."""
    along: Vector
    """First direction, in the source joint's axes."""
    side: Vector
    """Second direction, in the source joint's axes."""
    target_side: Vector
    """What `side` answers to, in the SMPL rest frame."""
    target_along: Vector | None = None
    """What `along` answers to; the direction of the rest bone when `None`."""


@dataclass(frozen=True)
class Between:
    """A rotation on the way from one to another."""

    first: Turn | Aim | Framed
    """Where the way begins."""
    second: Turn | Aim | Framed
    """Where it ends."""
    share: float
    """How far along, 0 to 1."""


@dataclass(frozen=True)
class Carried:
    """The parent's rotation, then the swing of a source bone away from its usual direction."""

    base: str
    """Source joint whose axes `usual` is in, such as the thorax."""
    joint: str
    """Source joint at the start of the bone."""
    toward: str
    """Source joint at the end of the bone."""
    usual: Vector | None = None
    """Direction in the axes of `base` that means no swing; the rest offset's when `None`."""


Rule = Turn | Aim | Framed | Between | Carried


@dataclass(frozen=True)
class SkeletonMap:
    """How one group of sequences drives SMPL-H."""

    rules: dict[str, Rule]
    """Rule of each driven SMPL-H joint."""
    hips: tuple[str, str]
    """Source joints at the left and right hip."""
    leg: tuple[str, str, str]
    """Source joints at hip, knee and ankle of one leg: their lengths give the scale."""
    fingers: dict[str, tuple[str, str]]
    """Source joint of each SMPL-H finger joint, and the one after it or "" for its own +Y."""
    faces: Vector = (0.0, 0.0, 1.0)
    """Where the rest pose looks."""


_SIDES = (("left", "l"), ("right", "r"))
_DOWN: Vector = (0.0, -1.0, 0.0)
_UP: Vector = (0.0, 1.0, 0.0)
_LEFT: Vector = (1.0, 0.0, 0.0)
_FORWARD: Vector = (0.0, 0.0, 1.0)


def _cmu_bvh() -> SkeletonMap:
    rules: dict[str, Rule] = {
        "pelvis": Turn("hip"),
        "spine1": Between(Turn("hip"), Turn("abdomen"), 0.5),
        "spine2": Turn("abdomen"),
        "spine3": Turn("chest"),
        "neck": Turn("neck"),
        "head": Turn("head"),
    }
    for side, s in _SIDES:
        rules |= {
            f"{side}_hip": Aim(f"{s}Thigh", f"{s}Shin"),
            f"{side}_knee": Aim(f"{s}Shin", f"{s}Foot"),
            f"{side}_ankle": Turn(f"{s}Foot"),
            f"{side}_collar": Turn(f"{s}Collar"),
            f"{side}_shoulder": Aim(f"{s}Shldr", f"{s}ForeArm"),
            f"{side}_elbow": Aim(f"{s}ForeArm", f"{s}Hand"),
            f"{side}_wrist": Aim(f"{s}Hand", f"{s}Mid1"),
        }
    return SkeletonMap(rules, ("lThigh", "rThigh"), ("lThigh", "lShin", "lFoot"), {})


def _cmu_amc() -> SkeletonMap:
    rules: dict[str, Rule] = {
        "pelvis": Turn("root"),
        "spine1": Turn("lowerback"),
        "spine2": Turn("upperback"),
        "spine3": Turn("thorax"),
        "neck": Turn("lowerneck"),
        "head": Turn("head"),
    }
    for side, s in _SIDES:
        rules |= _cmu_limbs(
            side,
            (f"{s}femur", f"{s}tibia", f"{s}foot", f"{s}toes"),
            (f"{s}clavicle", f"{s}humerus", f"{s}radius", f"{s}wrist", f"{s}hand", f"{s}fingers"),
        )
    return SkeletonMap(rules, ("lfemur", "rfemur"), ("lfemur", "ltibia", "lfoot"), {})


def _cmu_exp() -> SkeletonMap:
    rules: dict[str, Rule] = {
        "pelvis": Turn("hips"),
        "spine1": Turn("lowerback"),
        "spine2": Turn("spine"),
        "spine3": Turn("spine1"),
        "neck": Turn("neck"),
        "head": Turn("head"),
    }
    for side, s in _SIDES:
        rules |= _cmu_limbs(
            side,
            (f"{s}upleg", f"{s}leg", f"{s}foot", f"{s}toes"),
            (f"{s}shoulder", f"{s}arm", f"{s}forearm", f"{s}hand", f"{s}fingerbase", f"{s}index"),
        )
    return SkeletonMap(rules, ("lupleg", "rupleg"), ("lupleg", "lleg", "lfoot"), {})


def _cmu_limbs(
    side: str, leg: tuple[str, str, str, str], arm: tuple[str, str, str, str, str, str]
) -> dict[str, Rule]:
    """ASF bones. The bone at `twist` only turns about itself: the forearm takes half of that."""
    thigh, shin, foot, toes = leg
    clavicle, upper, lower, twist, hand, tip = arm
    return {
        f"{side}_hip": Aim(thigh, shin),
        f"{side}_knee": Aim(shin, foot),
        f"{side}_ankle": Turn(foot),
        f"{side}_foot": Turn(toes),
        f"{side}_collar": Turn(clavicle),
        f"{side}_shoulder": Aim(upper, lower),
        f"{side}_elbow": Between(Aim(lower, twist), Aim(twist, tip), 0.5),
        f"{side}_wrist": Turn(hand),
    }


def _deepmimic() -> SkeletonMap:
    rules: dict[str, Rule] = {
        "pelvis": Turn("root"),
        "spine1": Between(Turn("root"), Turn("chest"), 0.35),
        "spine2": Between(Turn("root"), Turn("chest"), 0.7),
        "spine3": Turn("chest"),
        "neck": Between(Turn("chest"), Turn("neck"), 0.5),
        "head": Turn("neck"),
    }
    for side, _ in _SIDES:
        rules |= {
            f"{side}_hip": Aim(f"{side}_hip", f"{side}_knee"),
            f"{side}_knee": Aim(f"{side}_knee", f"{side}_ankle"),
            f"{side}_ankle": Turn(f"{side}_ankle"),
            f"{side}_shoulder": Aim(f"{side}_shoulder", f"{side}_elbow"),
            f"{side}_elbow": Aim(f"{side}_elbow", f"{side}_wrist"),
        }
    return SkeletonMap(
        rules,
        ("left_hip", "right_hip"),
        ("left_hip", "left_knee", "left_ankle"),
        {},
        faces=(1.0, 0.0, 0.0),
    )


_M2M_FOOT_SLOPE: Vector = (0.0, 0.86, -0.51)
"""Forward and level in the foot bone's axes while the sole is flat: the bone slopes down by 30°."""


def _m2m(
    names: dict[str, str],
    letters: tuple[str, str],
    clavicle: Vector,
    fingers: dict[str, tuple[str, str]],
) -> SkeletonMap:
    """Mesh2Motion: bones along +Y; hinges of elbows, knees and toes along X.

    Args:
        names: Source joint of each part; `{s}` stands for the side.
        letters: How the names write left and right.
        clavicle: Usual direction of the left clavicle in the axes of the chest.
        fingers: As in `SkeletonMap`.
    """
    rules: dict[str, Rule] = {
        name: Turn(names[name]) for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")
    }
    for (side, _), letter in zip(_SIDES, letters, strict=True):
        source = {part: name.format(s=letter) for part, name in names.items()}
        outward = 1.0 if side == "left" else -1.0
        arm_side = (0.0, -outward, 0.0)
        x, y, z = clavicle
        rules |= {
            f"{side}_hip": Framed(source["thigh"], _UP, _LEFT, _LEFT),
            f"{side}_knee": Framed(source["shin"], _UP, _LEFT, _LEFT),
            f"{side}_ankle": Framed(source["foot"], _M2M_FOOT_SLOPE, _LEFT, _LEFT, _FORWARD),
            f"{side}_foot": Framed(source["toe"], _UP, (-1.0, 0.0, 0.0), _LEFT, _FORWARD),
            f"{side}_collar": Carried(
                names["spine3"], source["clavicle"], source["upper_arm"], (outward * x, y, z)
            ),
            f"{side}_shoulder": Framed(source["upper_arm"], _UP, _LEFT, arm_side),
            f"{side}_elbow": Framed(source["forearm"], _UP, _LEFT, arm_side),
            f"{side}_wrist": Framed(source["hand"], _UP, _LEFT, arm_side, (outward, 0.0, 0.0)),
        }
    thigh, shin, foot = (names[part] for part in ("thigh", "shin", "foot"))
    left, right = letters
    return SkeletonMap(
        rules,
        (thigh.format(s=left), thigh.format(s=right)),
        (thigh.format(s=left), shin.format(s=left), foot.format(s=left)),
        fingers,
    )


def _m2m_fingers(
    pattern: str, thumb: str, after_last: str, letters: tuple[str, str]
) -> dict[str, tuple[str, str]]:
    """Three bones per finger; `after_last` is the end point's pattern or ""."""
    fingers: dict[str, tuple[str, str]] = {}
    for (side, _), s in zip(_SIDES, letters, strict=True):
        for name in ("index", "middle", "pinky", "ring", "thumb"):
            bone = thumb if name == "thumb" else pattern
            joints = [bone.format(finger=name, i=i, s=s) for i in (1, 2, 3)]
            ends = [*joints[1:], after_last.format(finger=name, s=s)]
            for i in range(3):
                fingers[f"{side}_{name}{i + 1}"] = (joints[i], ends[i])
    return fingers


_M2M_BASE_NAMES = {
    "pelvis": "hips", "spine1": "spine.001", "spine2": "spine.002", "spine3": "spine.003",
    "neck": "neck", "head": "head", "thigh": "thigh.{s}", "shin": "shin.{s}", "foot": "foot.{s}",
    "toe": "toe.{s}", "clavicle": "shoulder.{s}", "upper_arm": "upper_arm.{s}",
    "forearm": "forearm.{s}", "hand": "hand.{s}",
}  # fmt: skip
_M2M_ADDON_NAMES = {
    "pelvis": "pelvis", "spine1": "spine_01", "spine2": "spine_02", "spine3": "spine_03",
    "neck": "neck_01", "head": "head", "thigh": "thigh_{s}", "shin": "calf_{s}", "foot": "foot_{s}",
    "toe": "ball_{s}", "clavicle": "clavicle_{s}", "upper_arm": "upperarm_{s}",
    "forearm": "lowerarm_{s}", "hand": "hand_{s}",
}  # fmt: skip

MAPS: dict[str, SkeletonMap] = {
    "cmu_bvh": _cmu_bvh(),
    "cmu_amc": _cmu_amc(),
    "cmu_exp": _cmu_exp(),
    "deepmimic": _deepmimic(),
    "m2m_base": _m2m(
        _M2M_BASE_NAMES,
        ("L", "R"),
        (0.79, -0.10, -0.60),
        _m2m_fingers("f_{finger}.0{i}.{s}", "thumb.0{i}.{s}", "", ("L", "R")),
    ),
    "m2m_addon": _m2m(
        _M2M_ADDON_NAMES,
        ("l", "r"),
        (0.77, 0.22, -0.60),
        _m2m_fingers("{finger}_0{i}_{s}", "thumb_0{i}_{s}", "{finger}_04_leaf_{s}", ("l", "r")),
    ),
}
"""The map of each group of sequences."""

for _map in MAPS.values():
    if not _map.rules.keys() | _map.fingers.keys() <= set(SMPLH_52.joint_names):
        raise AssertionError("a rule names a joint that SMPL-H does not have")
