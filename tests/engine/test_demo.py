"""The main job on the sample clip, with the shipped defaults: right, repeatable, and free of smplx."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.protocol.motion import read_motion
from extpose_blender.protocol.resources import find_resource

from .conftest import ROOT

FLAGS = ("--export", "npz", "--no-overlay", "--json")
SMPLX_BLOCKED = "import sys; sys.modules['smplx'] = None; "


def run_demo(out: Path, before: str = "") -> dict[str, object]:
    code = f"{before}import sys; from extpose_blender.engine.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "demo", "--out", str(out), *FLAGS]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    out = tmp_path_factory.mktemp("demo")
    return out / "clip", run_demo(out)


def test_the_sample_is_captured_near_its_exact_truth(demo: tuple[Path, dict[str, object]]) -> None:
    errors = demo[1]["error_mm"]
    assert isinstance(errors, dict)
    assert errors["pa_mpjpe_mm"] < 50
    assert errors["mpjpe_mm"] < 80


def test_without_smplx_the_motion_is_the_same(
    demo: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    run_demo(tmp_path, SMPLX_BLOCKED)
    a, b = (read_motion(f / "person_0.npz") for f in (demo[0], tmp_path / "clip"))
    for name in ("poses", "trans", "betas", "joints", "camera_T_world", "foot_contact"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_the_motion_file_gives_its_joints_in_smplx(demo: tuple[Path, dict[str, object]]) -> None:
    smplx = pytest.importorskip("smplx", reason="needs the extra `smpl`")
    import torch

    motion = read_motion(demo[0] / "person_0.npz")
    with np.load(find_resource("bodies/open/model.npz"), allow_pickle=False) as data:
        struct = smplx.utils.Struct(**{name: data[name] for name in data.files})
    names = ("nose", "reye", "leye", "rear", "lear")
    model = smplx.SMPLH(
        model_path="",
        data_struct=struct, vertex_ids=dict.fromkeys(names, 0), use_hands=False,
        use_feet_keypoints=False, use_pca=False, flat_hand_mean=True, batch_size=len(motion),
    )  # fmt: skip
    poses = torch.from_numpy(motion.poses)
    posed = model(
        betas=torch.from_numpy(motion.betas)[None].expand(len(motion), -1),
        global_orient=poses[:, :3], body_pose=poses[:, 3:66], left_hand_pose=poses[:, 66:111],
        right_hand_pose=poses[:, 111:], transl=torch.from_numpy(motion.trans),
    )  # fmt: skip
    assert posed.joints[:, :52].detach().numpy() == pytest.approx(motion.joints, abs=1e-5)
