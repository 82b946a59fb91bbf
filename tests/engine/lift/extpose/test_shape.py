"""Shapes and rest poses of the network's body, brought to the body that is posed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.engine.body.files import read_body_file
from extpose_blender.engine.body.load import Body, load_body
from extpose_blender.engine.lift.extpose.place import assemble_track
from extpose_blender.engine.lift.extpose.shape import (
    bone_lengths,
    limb_turns,
    match_shape,
    turn_joints,
)
from extpose_blender.engine.weights import FOLDER_VARIABLE, keep_file
from extpose_blender.protocol.errors import BadBodyFile
from extpose_blender.protocol.flow import Intrinsics
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.resources import find_resource
from extpose_blender.protocol.skeletons import LIMB_JOINTS, SMPL_24, SMPLH_52
from tests.engine.lift.extpose.ideal_network import LIMBS, joints_of, joints_px, moving, scene

CAMERA = Intrinsics(1100.0, 1280, 720, "given")
DROOP_DEG = 5.0
LONG_BONES = [
    (SMPL_24.index[f"{side}_{a}"], SMPL_24.index[f"{side}_{b}"])
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
]


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another body in SMPL's 24 joints: larger, arms drooping, shape numbers of its own."""
    with np.load(find_resource("bodies/open/model.npz")) as file:
        arrays = {key: file[key] for key in ("v_template", "shapedirs", "J_regressor", "weights")}
        faces = file["f"]
    ours = [SMPLH_52.index[name] for name in SMPL_24.joint_names[:22]]
    ours += [SMPLH_52.index["left_middle1"], SMPLH_52.index["right_middle1"]]
    weights = arrays["weights"].astype(float)
    kept = weights[:, ours]
    for column, side in ((22, "left"), (23, "right")):
        fingers = [j for n, j in SMPLH_52.index.items() if n.startswith(side) and j not in ours]
        kept[:, column] += weights[:, fingers].sum(1)
    kept /= kept.sum(1, keepdims=True)
    template = 1.06 * droop(arrays["v_template"].astype(float), arrays["J_regressor"][ours], kept)
    mixed = np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0]
    path = tmp_path_factory.mktemp("stranger") / "stranger.npz"
    np.savez(
        path, v_template=template, shapedirs=1.06 * arrays["shapedirs"][..., :10] @ mixed,
        J_regressor=arrays["J_regressor"][ours], weights=kept, f=faces,
        kintree_table=np.stack([np.array(SMPL_24.parents), np.arange(24)]),
        posedirs=np.zeros((len(template), 3, 207), np.float16),
    )  # fmt: skip
    return path


def droop(vertices: np.ndarray, regressor: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The body with its arms lowered at the shoulders, by linear blend skinning."""
    joints = regressor @ vertices
    moved = vertices.copy()
    for side, sign in (("left", -1.0), ("right", 1.0)):
        arm = [SMPL_24.index[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist", "hand")]
        turn = rotvec_to_rotmat(np.array([0, 0, sign * np.radians(DROOP_DEG)]))
        lowered = (vertices - joints[arm[0]]) @ turn.T + joints[arm[0]]
        moved += weights[:, arm].sum(1, keepdims=True) * (lowered - vertices)
    return moved


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Puts a body file into a user's model folder, as `models add` does."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))

    def put(path: Path) -> None:
        keep_file(path.stem, "body", ".npz", "own", path, lambda to: _copy(path, to))

    return put


def _copy(source: Path, to: Path) -> None:
    to.write_bytes(source.read_bytes())


def directions(joints_m: np.ndarray) -> np.ndarray:
    """(T, 8, 3) unit vectors along the long bones."""
    bones = np.stack([joints_m[:, b] - joints_m[:, a] for a, b in LONG_BONES], 1)
    return np.asarray(bones / np.linalg.norm(bones, axis=-1, keepdims=True))


def test_another_bodys_bones_are_matched(
    body: Body, stranger: Path, add: Callable[[Path], None]
) -> None:
    add(stranger)
    own = Body(read_body_file(stranger, correctives=False), "stranger")
    betas = np.array([0.5, -0.8, 0.3, 0.6, 0, 0, -0.4, 0, 0, 0], np.float32)
    match = match_shape(betas, "stranger", body)
    wanted = bone_lengths(own.joints_rest(betas)[:22].astype(float))
    found = bone_lengths(body.joints_rest(match.betas)[:22].astype(float))
    plain = bone_lengths(body.joints_rest(np.zeros(10, np.float32))[:22].astype(float))
    long = [b - 1 for _, b in LONG_BONES]
    assert np.abs(found - wanted)[long].max() < 0.008
    assert np.abs(plain - wanted)[long].max() > 0.02
    assert np.abs(match.betas).max() < 4
    assert match.notes == ()


def test_limbs_of_another_body_point_as_the_network_says(
    body: Body, stranger: Path, add: Callable[[Path], None]
) -> None:
    add(stranger)
    own = Body(read_body_file(stranger, correctives=False), "stranger")
    made = scene(own, CAMERA, (0.3, 0.1, 4.5))
    lifted = assemble_track(made.track, made.predictions, body, "stranger", CAMERA)
    found = joints_of(lifted, body)
    cosine = (directions(found) * directions(made.joints_m)).sum(-1)
    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.2
    miss = np.linalg.norm(joints_px(found, CAMERA) - made.joints_px, axis=-1)[:, LIMBS]
    assert miss.mean() < 0.01 * made.height_px
    assert lifted.body_id == "open"


def test_smpl_itself_can_be_posed_hands_included(stranger: Path) -> None:
    own = Body(read_body_file(stranger, correctives=False), "stranger")
    rotmat = moving(4)
    rotmat[:, 22:] = rotvec_to_rotmat(np.array([0.0, 0.0, 0.3]))
    made = scene(own, CAMERA, (0.3, 0.1, 4.5), rotmat=rotmat)
    lifted = assemble_track(made.track, made.predictions, own, "stranger", CAMERA)
    assert lifted.model_type == "smpl" and lifted.rotvec.shape == (4, 24, 3)
    assert np.allclose(rotvec_to_rotmat(lifted.rotvec[:, 1:]), rotmat[:, 1:], atol=1e-5)
    assert np.allclose(lifted.confidence[:, 22], lifted.confidence[:, 20])


def test_without_its_file_the_mean_shape_stands_in_and_that_is_said(
    body: Body, stranger: Path, add: Callable[[Path], None]
) -> None:
    own = Body(read_body_file(stranger, correctives=False), "stranger")
    made = scene(own, CAMERA, (0.3, 0.1, 4.5))
    lifted = assemble_track(made.track, made.predictions, body, "stranger", CAMERA)
    assert (lifted.betas == 0).all()
    assert any("`stranger`" in note and "not added" in note for note in lifted.notes)
    miss = np.linalg.norm(joints_px(joints_of(lifted, body), CAMERA) - made.joints_px, axis=-1)
    assert miss[:, LIMBS].mean() < 0.04 * made.height_px


def test_the_same_body_under_another_name_keeps_its_numbers(
    body: Body, stranger: Path, add: Callable[[Path], None]
) -> None:
    add(stranger)
    renamed = Body(read_body_file(stranger, correctives=False), "SMPL_NEUTRAL")
    betas = np.array([0.4, 0, -0.7, 0, 0, 0, 0, 0, 0, 0], np.float32)
    match = match_shape(betas, "stranger", renamed)
    assert (match.betas == betas).all() and (match.turns == np.eye(3)).all()


def test_the_open_body_is_known_wherever_it_is_not_the_posed_one(stranger: Path) -> None:
    posed = Body(read_body_file(stranger, correctives=False), "stranger")
    match = match_shape(np.zeros(10), "open", posed)
    assert match.notes == ()
    wanted = bone_lengths(load_body("open").joints_rest(np.zeros(10, np.float32))[:22])
    long = [b - 1 for _, b in LONG_BONES]
    found = bone_lengths(posed.joints_rest(match.betas)[:22].astype(float))
    assert np.abs(found - wanted)[long].max() < 0.01


def test_a_damaged_body_of_the_networks_is_reported(
    body: Body, tmp_path: Path, add: Callable[[Path], None]
) -> None:
    broken = tmp_path / "smpl.npz"
    broken.write_bytes(b"PK\x03\x04 nothing")
    add(broken)
    with pytest.raises(BadBodyFile):
        match_shape(np.zeros(10), "smpl", body)


@pytest.mark.parametrize("height_m", [1.45, 1.7, 1.95])
def test_a_height_is_met_and_keeps_the_proportions(body: Body, height_m: float) -> None:
    betas = np.array([0.0, 0.8, -0.6, 0.4, 0, 0, 0, 0, 0, 0], np.float32)
    match = match_shape(betas, "open", body, height_m)
    assert np.ptp(body.vertices_rest(match.betas)[:, 1]) == pytest.approx(height_m, abs=0.008)
    plain = body.joints_rest(betas)[:22].astype(float)
    assert np.allclose(match.source_rest_m, plain), "what the network drew does not change"
    scale = height_m / np.ptp(body.vertices_rest(betas)[:, 1])
    long = [b - 1 for _, b in LONG_BONES]
    found = bone_lengths(body.joints_rest(match.betas)[:22].astype(float))
    assert np.allclose(found[long], scale * bone_lengths(plain)[long], rtol=0.04)


def test_turned_joints_move_no_other_bone() -> None:
    """The chain below a limb stays where the network's own rest pose puts it."""
    generator = np.random.default_rng(1)
    rotmat = rotvec_to_rotmat(generator.normal(size=(5, 24, 3)))
    source = generator.normal(size=(22, 3))
    other = source + 0.02 * generator.normal(size=(22, 3))
    turns = limb_turns(source, other)
    turned = turn_joints(rotmat, turns)
    before, after = _global(rotmat), _global(turned)
    limbs = [a for a, _ in LONG_BONES]
    rest = [joint for joint in range(24) if joint not in limbs]
    assert np.allclose(before[:, rest], after[:, rest])
    for a, b in LONG_BONES:
        wanted = before[:, a] @ _unit(source[b] - source[a])
        assert np.allclose(after[:, a] @ _unit(other[b] - other[a]), wanted)


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


def _global(rotmat: np.ndarray) -> np.ndarray:
    assert SMPL_24.parents is not None
    turns = [rotmat[:, 0]]
    for joint, parent in enumerate(SMPL_24.parents[1:], start=1):
        turns.append(turns[parent] @ rotmat[:, joint])
    return np.stack(turns, 1)


def test_the_open_body_rests_as_smpl_does(body: Body) -> None:
    """Its pelvis stands where SMPL's does (published: -0.0018, -0.2233, 0.0282), its arms point
    out, its legs down: rotations made for SMPL mean the same on it.
    """
    rest = body.joints_rest(np.zeros(10, np.float32))
    assert np.abs(rest[0] - [-0.0018, -0.2233, 0.0282]).max() < 0.005
    for name, along in (("shoulder", (1.0, 0, 0)), ("elbow", (1.0, 0, 0)), ("hip", (0, -1.0, 0))):
        below = LIMB_JOINTS[LIMB_JOINTS.index(f"left_{name}") + 2]
        bone = _unit(rest[SMPL_24.index[below]] - rest[SMPL_24.index[f"left_{name}"]])
        assert np.degrees(np.arccos(bone @ np.array(along))) < 7
