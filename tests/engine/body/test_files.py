"""A body file is told by its contents; what is wrong with it is named."""

from __future__ import annotations

import contextlib
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from extpose_blender.engine.body.files import read_body_file
from extpose_blender.protocol.errors import BadBodyFile

from .conftest import Arrays, make_body

KINDS = ["smpl", "smplh", "smplx", "mano"]


def _write_npz(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_npz_comes_back_as_written(kind: str, tmp_path: Path) -> None:
    arrays = make_body(kind)
    file = read_body_file(_write_npz(tmp_path / "anything.npz", arrays))
    assert file.model_type == kind
    assert len(file.sha256) == 64
    for name, array in arrays.items():
        np.testing.assert_array_equal(file.arrays[name], array)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_published_pickles_are_read(
    kind: str, protocol: int, write_published: Callable[..., Path]
) -> None:
    arrays = make_body(kind)
    file = read_body_file(write_published(arrays, "misnamed.npz", protocol))
    assert file.model_type == kind
    for name, array in arrays.items():
        np.testing.assert_array_equal(file.arrays[name], array)


def test_objects_in_npz_are_read_safely_or_left_alone(tmp_path: Path) -> None:
    arrays = make_body("smplx")
    boxed = np.array(None, dtype=object)
    boxed[()] = {"Pelvis": 0}
    file = read_body_file(_write_npz(tmp_path / "a.npz", arrays | {"joint2num": boxed}))
    assert "joint2num" not in file.arrays

    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    boxed[()] = Attack()
    with pytest.raises(BadBodyFile, match=r"posix\.system|nt\.system"):
        read_body_file(_write_npz(tmp_path / "b.npz", arrays | {"weights": boxed}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("key", ["v_template", "posedirs", "J_regressor", "weights", "f"])
def test_first_wrong_key_is_named_with_both_shapes(key: str, tmp_path: Path) -> None:
    arrays = make_body("smpl")
    arrays[key] = np.concatenate([arrays[key]] * 2, axis=-1)
    with pytest.raises(BadBodyFile) as caught:
        read_body_file(_write_npz(tmp_path / "a.npz", arrays))
    assert f"`{key}`" in caught.value.message
    assert str(arrays[key].shape) in caught.value.message
    assert caught.value.exit_code == 3


def test_more_shape_components_are_fine_and_fewer_are_not(tmp_path: Path) -> None:
    arrays = make_body("smpl")
    few = arrays | {"shapedirs": arrays["shapedirs"][:, :, :6]}
    with pytest.raises(BadBodyFile, match=r"\(70, 3, 10\), not \(70, 3, 6\)"):
        read_body_file(_write_npz(tmp_path / "few.npz", few))
    arrays["shapedirs"] = np.concatenate([arrays["shapedirs"]] * 3, axis=-1)
    assert read_body_file(_write_npz(tmp_path / "a.npz", arrays)).model_type == "smpl"


def test_wanted_kind_is_held_against_the_file(tmp_path: Path) -> None:
    path = _write_npz(tmp_path / "mano.npz", make_body("mano"))
    with pytest.raises(BadBodyFile, match=r"no smpl body.*\(2, 24\), not \(2, 16\)"):
        read_body_file(path, "smpl")


@pytest.mark.parametrize("key", ["v_template", "posedirs", "kintree_table"])
def test_a_missing_key_is_named(key: str, tmp_path: Path) -> None:
    arrays = make_body("smpl")
    del arrays[key]
    with pytest.raises(BadBodyFile, match=f"no `{key}`"):
        read_body_file(_write_npz(tmp_path / "a.npz", arrays))


def test_bad_values_are_refused(tmp_path: Path) -> None:
    for key, change in (
        ("v_template", lambda a: a * np.nan),
        ("f", lambda a: a + 10**6),
        ("weights", lambda a: a * 2),
        ("kintree_table", lambda a: a * 0),
        ("J_regressor", lambda a: a.astype("U8")),
    ):
        arrays = make_body("smpl")
        arrays[key] = change(arrays[key])
        with pytest.raises(BadBodyFile, match=f"`{key}`"):
            read_body_file(_write_npz(tmp_path / "a.npz", arrays))


def test_files_that_are_no_bodies_are_refused(tmp_path: Path) -> None:
    good = _write_npz(tmp_path / "good.npz", make_body("smpl")).read_bytes()
    bad = {
        "empty": b"",
        "text": b"this is no body model\n" * 40,
        "noise": np.random.default_rng(0).bytes(5000),
        "cut": good[: len(good) // 2],
        "a list": pickle.dumps([1, 2, 3]),
        "a cut pickle": pickle.dumps(make_body("smpl"))[:9000],
        "another pickle": pickle.dumps({"a": 1}),
    }
    for name, content in bad.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(BadBodyFile):
            read_body_file(path)
    with pytest.raises(BadBodyFile, match="cannot be read"):
        read_body_file(tmp_path / "absent.npz")
    with pytest.raises(BadBodyFile, match="cannot be read"):
        read_body_file(tmp_path)


@pytest.mark.parametrize("form", ["plain", "packed", "pickled"])
def test_flipped_bytes_are_never_another_error(
    form: str, tmp_path: Path, write_published: Callable[..., Path]
) -> None:
    arrays = make_body("mano", vertices=12)
    path = tmp_path / "a.npz"
    if form == "pickled":
        path = write_published(arrays)
    elif form == "packed":
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    else:
        _write_npz(path, arrays)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            content[place] = rng.integers(256)
        for at in rng.integers(0, min(600, len(whole)), 2):
            content[at] = rng.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(BadBodyFile):
            read_body_file(path)


def test_an_array_that_announces_more_than_there_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    header = str({"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)})
    text = header.ljust(117).encode() + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v_template.npy", b"\x93NUMPY\x01\x00" + bytes([118, 0]) + text)
    with pytest.raises(BadBodyFile, match="announces"):
        read_body_file(path)
