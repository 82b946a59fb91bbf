"""The add-on as Blender sees it."""

from __future__ import annotations

import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy wheel")

import extpose_blender  # noqa: E402
from tests.addon.made_motion import make_body, make_motion, write_person  # noqa: E402
from tests.addon.scene_checks import empty_file  # noqa: E402

pytestmark = [pytest.mark.bpy, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def registered():
    empty_file()
    extpose_blender.register()
    yield
    extpose_blender.unregister()


def test_registers_and_unregisters_twice():
    for _ in range(2):
        extpose_blender.register()
        assert hasattr(bpy.types, "EXTPOSE_OT_import_motion")
        extpose_blender.unregister()
        assert not hasattr(bpy.types, "EXTPOSE_OT_import_motion")


@pytest.mark.usefixtures("registered")
def test_import_operator_brings_people_in(tmp_path):
    body = make_body()
    for number in (0, 1):
        write_person(tmp_path, number, make_motion(body, 3, seed=number), body)
    names = [{"name": f"person_{n}.npz"} for n in (0, 1)]
    assert bpy.ops.extpose.import_motion(directory=str(tmp_path), files=names) == {"FINISHED"}
    armatures = sorted(o.name for o in bpy.context.scene.objects if o.type == "ARMATURE")
    assert armatures == [f"{tmp_path.name}_person_{n}" for n in (0, 1)]


@pytest.mark.usefixtures("registered")
def test_import_operator_says_what_is_wrong(tmp_path):
    (tmp_path / "person_0.npz").write_bytes(b"no archive")
    with pytest.raises(RuntimeError, match="body geometry"):
        bpy.ops.extpose.import_motion(filepath=str(tmp_path / "person_0.npz"))
