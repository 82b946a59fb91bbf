"""What makes the open body a body: human sizes, symmetry, smooth weights, real components."""

from __future__ import annotations

import numpy as np
import pytest

from extpose_blender.protocol.resources import find_resource
from extpose_blender.protocol.skeletons import SMPLH_52

Model = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def model() -> Model:
    with np.load(find_resource("bodies/open/model.npz"), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


@pytest.fixture(scope="module")
def mirror(model: Model) -> np.ndarray:
    from scipy.spatial import cKDTree

    distance, other = cKDTree(model["v_template"]).query(model["v_template"] * [-1, 1, 1])
    assert distance.max() < 1e-4
    return np.asarray(other)


def _joints(model: Model, betas: np.ndarray | None = None) -> np.ndarray:
    surface = model["v_template"].astype(float)
    if betas is not None:
        surface = surface + model["shapedirs"] @ betas
    return np.asarray(model["J_regressor"] @ surface)


def test_has_the_layout_of_smplh(model: Model) -> None:
    count = len(model["v_template"])
    assert 7_000 < count < 14_000
    assert model["J_regressor"].shape == (52, count)
    assert model["weights"].shape == (count, 52)
    assert model["posedirs"].shape == (count, 3, 459)
    assert model["shapedirs"].shape == (count, 3, 10)
    assert tuple(model["kintree_table"][0, 1:]) == SMPLH_52.parents[1:]
    assert not any(array.dtype.hasobject for array in model.values())


def test_surface_is_closed(model: Model) -> None:
    faces = model["f"].astype(int)
    assert set(faces.ravel()) == set(range(len(model["v_template"])))
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forwards = {tuple(edge) for edge in edges.tolist()}
    assert len(forwards) == len(edges)
    assert forwards == {(b, a) for a, b in forwards}
    corners = model["v_template"][faces].astype(float)
    volume = np.einsum("fi,fi->f", np.cross(corners[:, 0], corners[:, 1]), corners[:, 2]).sum() / 6
    assert 0.05 < volume < 0.085  # cubic metres: outward faces, 50 to 85 kg


def test_stands_in_a_t_pose(model: Model) -> None:
    joints, index = _joints(model), SMPLH_52.index
    arm = joints[index["left_wrist"]] - joints[index["left_shoulder"]]
    assert arm[0] > 0.4 and abs(arm[1]) < 0.01
    toe = joints[index["left_foot"]] - joints[index["left_ankle"]]
    assert toe[2] > 0.08
    assert 1.65 < np.ptp(model["v_template"][:, 1]) < 1.75
    sole = model["v_template"][:, 1].min()
    for name in ("LHeel", "RHeel", "LBigToe", "RBigToe"):
        vertex = dict(zip(model["vertex_names"], model["vertex_ids"], strict=True))[name]
        assert model["v_template"][vertex, 1] - sole < 0.04
    fingers = [joints[index[f"left_middle{i}"]] for i in (1, 2, 3)]
    bones = np.diff(fingers, axis=0)
    bones /= np.linalg.norm(bones, axis=1, keepdims=True)
    assert bones[0] @ bones[1] > 0.999


def test_joints_lie_in_human_proportions(model: Model) -> None:
    # Shares of stature of SMPL's mean body, whose joint positions are widely published.
    joints, index = _joints(model), SMPLH_52.index
    stature = np.ptp(model["v_template"][:, 1])
    from_pelvis = (joints - joints[0]) / stature
    published = {
        "left_hip": (0.040, -0.053), "left_knee": (0.061, -0.273), "left_ankle": (0.053, -0.506),
        "spine1": (0.0, 0.064), "spine2": (0.0, 0.143), "spine3": (0.0, 0.174),
        "neck": (0.0, 0.299), "head": (0.0, 0.337), "left_collar": (0.049, 0.245),
        "left_shoulder": (0.102, 0.263), "left_elbow": (0.254, 0.255), "left_wrist": (0.400, 0.261),
    }  # fmt: skip
    for name, place in published.items():
        np.testing.assert_allclose(from_pelvis[index[name], :2], place, atol=0.012, err_msg=name)


def test_regressor_and_weights_are_averages(model: Model) -> None:
    for name in ("J_regressor", "weights"):
        assert model[name].min() >= 0
        np.testing.assert_allclose(model[name].sum(1), 1, atol=1e-5)
    assert (model["J_regressor"] > 0).sum(1).max() <= 64
    assert (model["weights"] > 0).sum(1).max() <= 8
    owners = SMPLH_52.joint_names
    for joint in range(52):
        assert model["weights"][:, joint].max() > 0.4, owners[joint]


def test_weights_are_smooth_over_the_surface(model: Model) -> None:
    faces = model["f"].astype(int)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    weights = model["weights"]
    jump = np.abs(weights[edges[:, 0]] - weights[edges[:, 1]]).max(1)
    on_finger = weights[edges].max(1)[:, 22:].sum(1) > 0.05
    assert np.percentile(jump[~on_finger], 99.5) < 0.25
    assert jump.max() < 0.5


def test_is_symmetric(model: Model, mirror: np.ndarray) -> None:
    flip = np.array([-1.0, 1.0, 1.0])
    other = list(SMPLH_52.mirror)
    np.testing.assert_allclose(model["weights"][mirror][:, other], model["weights"], atol=1e-5)
    np.testing.assert_allclose(
        model["shapedirs"][mirror] * flip[:, None], model["shapedirs"], atol=1e-5
    )
    for betas in (np.zeros(10), np.linspace(-3, 3, 10)):
        joints = _joints(model, betas)
        np.testing.assert_allclose(joints[other] * flip, joints, atol=2e-3)
    where = dict(zip(model["vertex_names"], model["vertex_ids"], strict=True))
    for name, vertex in where.items():
        if name[0] in "lL":
            pair = {"l": "r", "L": "R"}[name[0]] + name[1:]
            assert mirror[vertex] == where[pair]


def test_components_are_orthogonal_and_sorted(model: Model) -> None:
    flat = model["shapedirs"].reshape(-1, 10).astype(float)
    gram = flat.T @ flat
    size = np.sqrt(np.diag(gram))
    assert (np.diff(size) < 0).all()
    np.testing.assert_allclose(gram / np.outer(size, size), np.eye(10), atol=2e-3)
    # A standard deviation of the first moves the vertices by centimetres, of the last by
    # millimetres.
    rms = size / np.sqrt(len(model["v_template"]))
    assert 0.02 < rms[0] < 0.08 and 0.001 < rms[-1] < 0.01


def test_pelvis_does_not_move_with_shape(model: Model) -> None:
    moved = np.einsum("v,vcn->cn", model["J_regressor"][0], model["shapedirs"])
    assert np.abs(moved).max() < 1e-3


@pytest.mark.parametrize("component", range(10))
@pytest.mark.parametrize("amount", [-3.0, 3.0])
def test_three_deviations_are_still_adults(model: Model, component: int, amount: float) -> None:
    betas = np.zeros(10)
    betas[component] = amount
    surface = model["v_template"] + model["shapedirs"] @ betas
    assert 1.40 < np.ptp(surface[:, 1]) < 2.05
    rest, joints = _joints(model), _joints(model, betas)
    parents = np.array(SMPLH_52.parents[1:])
    ratio = np.linalg.norm(joints[1:] - joints[parents], axis=1)
    ratio /= np.linalg.norm(rest[1:] - rest[parents], axis=1)
    assert ratio.min() > 0.5 and ratio.max() < 1.6


def test_landmarks_lie_where_their_names_say(model: Model) -> None:
    where = dict(zip(model["vertex_names"], model["vertex_ids"], strict=True))
    at = {name: model["v_template"][vertex] for name, vertex in where.items()}
    joints, index = _joints(model), SMPLH_52.index
    head = joints[index["head"]]
    assert at["nose"][2] == max(point[2] for name, point in at.items() if "Toe" not in name)
    for name in ("leye", "nose", "lmouth", "lear"):
        assert 0.0 < np.linalg.norm(at[name] - head) < 0.2
    assert at["leye"][1] > at["nose"][1] > at["lmouth"][1]
    assert at["lear"][0] > at["leye_outer"][0] > at["leye"][0] > at["leye_inner"][0] > 0
    for finger in ("thumb", "index", "middle", "ring", "pinky"):
        reach = np.linalg.norm(at[f"l{finger}"] - joints[index[f"left_{finger}3"]])
        assert 0.01 < reach < 0.05
    assert at["LBigToe"][2] > at["LSmallToe"][2] > 0 > at["LHeel"][2]
    assert at["LSmallToe"][0] > at["LBigToe"][0]
