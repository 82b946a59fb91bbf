"""Judged sequences never get in, faults cut runs, and what is kept is what was read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.protocol.errors import BadMotionFile
from models.data.motion import MotionBank, is_judged
from models.evaluate.rendered_set import LISTS, read_list

from .conftest import write_swinging


def test_every_judged_sequence_is_left_out_in_every_group(tmp_path: Path) -> None:
    keys = [plan.key for name in LISTS for plan in read_list(name)]
    for key in [*keys, *(f"other/{key.partition('/')[2]}" for key in keys), "cmu_bvh/02_01"]:
        write_swinging(tmp_path, key, frames=40)
    assert all(is_judged(key) for key in keys)
    assert MotionBank.read(tmp_path).keys == ("cmu_bvh/02_01",)


def test_runs_end_before_a_fault(tmp_path: Path) -> None:
    write_swinging(tmp_path, "made/one", frames=90)
    path = tmp_path / "made" / "one.npz"
    with np.load(path) as data:
        arrays = dict(data)
    arrays["steady"][[30, 33]] = False
    np.savez(path, **arrays)
    bank = MotionBank.read(tmp_path)
    assert bank.length.tolist() == [30, 57]  # The three frames between are too few.
    assert bank.first.tolist() == [0, 30]
    np.testing.assert_allclose(bank.pelvis_m[30, 0] - bank.pelvis_m[29, 0], 4 / 30, atol=1e-5)


def test_quaternions_are_continuous_and_hold_the_rotations(bank: MotionBank) -> None:
    np.testing.assert_allclose(bank.quat.norm(dim=-1), 1, atol=1e-5)
    for first, length in zip(bank.first.tolist(), bank.length.tolist(), strict=True):
        run = bank.quat[first : first + length]
        assert ((run[1:] * run[:-1]).sum(-1) > 0).all()


def test_the_cache_gives_the_same_and_notices_new_files(tmp_path: Path) -> None:
    folder, cache = tmp_path / "motion", tmp_path / "bank.npz"
    write_swinging(folder, "made/one")
    fresh = MotionBank.read(folder, cache)
    kept = MotionBank.read(folder, cache)
    assert kept.keys == fresh.keys and torch.equal(kept.quat, fresh.quat)
    write_swinging(folder, "made/two", seed=2)
    assert len(MotionBank.read(folder, cache)) == 2


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadMotionFile, match="group/name"):
        MotionBank.read(tmp_path)


def test_motion_of_the_captures_has_no_judged_sequence(shared_motion: MotionBank) -> None:
    judged = {plan.key for name in LISTS for plan in read_list(name)}
    assert not judged & set(shared_motion.keys)
    assert not {key for key in shared_motion.keys if is_judged(key)}
