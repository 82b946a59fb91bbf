"""Files written by a process of their own, read back by Blender: the same joints on every frame."""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy wheel")

from extpose_blender.addon.exporters import WRITERS, export_clip  # noqa: E402
from extpose_blender.addon.scene import Person  # noqa: E402
from extpose_blender.engine.exporters.in_blender import write_with_blender  # noqa: E402
from extpose_blender.protocol.errors import (  # noqa: E402
    BadMotionFile,
    Cancelled,
    InputError,
    MissingPackage,
    OutputNotWritable,
    UsageError,
    WorkerFailed,
)
from extpose_blender.protocol.messages import Progress  # noqa: E402
from extpose_blender.protocol.options import BLENDER_FORMATS  # noqa: E402
from tests.addon.made_motion import make_body, make_motion, write_person  # noqa: E402
from tests.addon.scene_checks import imported_joints, new_clip  # noqa: E402

pytestmark = [pytest.mark.bpy, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

BODY = make_body()


def worst(found: np.ndarray, motion) -> float:
    return float(np.linalg.norm(found - motion.joints, axis=-1).max())


def request_for(folder: Path, motions, formats, name="clip"):
    people = [write_person(folder, i, motion, BODY) for i, motion in enumerate(motions)]
    outputs = [
        {"format": kind, "path": str(folder / f"person_{i}.{kind}"), "people": [i]}
        for i in range(len(motions))
        for kind in formats
    ]
    return {"clip": name, "video": None, "people": people, "outputs": outputs}


def test_there_is_a_writer_for_every_format_that_needs_blender():
    assert set(WRITERS) == set(BLENDER_FORMATS)


def test_every_format_gives_the_same_joints_on_every_frame(tmp_path):
    motions = [make_motion(BODY, 30, seed=s, fps=25) for s in (1, 2)]
    formats = ["blend", "fbx", "glb", "usd"]
    request = request_for(tmp_path, motions, formats)
    request["outputs"].append({"format": "blend", "path": str(tmp_path / "clip.blend")})
    said = []
    write_with_blender(request, None, said.append)
    assert said == [Progress("export", i + 1, 9) for i in range(9)]
    for i, motion in enumerate(motions):
        for kind in formats:
            found = imported_joints(kind, tmp_path / f"person_{i}.{kind}", motion)
            assert len(found) == 1
            assert worst(found[0], motion) < 1e-3, kind
    both = imported_joints("blend", tmp_path / "clip.blend", motions[0])
    assert sorted(worst(a, m) < 1e-3 for a in both for m in motions) == [False, False, True, True]
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz", *(f".{k}" for k in formats)}


@pytest.mark.parametrize("kind", ["glb", "usd"])
@pytest.mark.parametrize("fps", [29.97, 12.5])
def test_rates_that_are_not_whole_survive(kind, fps, tmp_path):
    motion = make_motion(BODY, 20, fps=fps)
    path = tmp_path / f"a.{kind}"
    export_clip(new_clip([Person("clip", motion, BODY)]), kind, path)
    assert worst(imported_joints(kind, path, motion)[0], motion) < 1e-3


@pytest.mark.parametrize("fps", [30000 / 1001, 24000 / 1001, 59.94])
def test_fbx_of_a_television_rate_keeps_every_frame(fps, tmp_path):
    motion = make_motion(BODY, 200, fps=fps)
    clip = new_clip([Person("clip", motion, BODY)])
    rate = bpy.context.scene.render.fps_base
    export_clip(clip, "fbx", tmp_path / "a.fbx")
    assert bpy.context.scene.render.fps_base == rate
    assert worst(imported_joints("fbx", tmp_path / "a.fbx", motion)[0], motion) < 1e-3


def test_fbx_of_a_rate_that_is_not_whole_has_the_right_times(tmp_path):
    fps = 12.5
    motion = make_motion(BODY, 20, fps=fps)
    export_clip(new_clip([Person("clip", motion, BODY)]), "fbx", tmp_path / "a.fbx")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(tmp_path / "a.fbx"))
    armature = next(o for o in bpy.context.scene.objects if o.type == "ARMATURE")
    from tests.addon.scene_checks import joints_in_blender

    # Blender's importer puts times on frames of the rounded rate, the file itself has seconds.
    frames = 1 + np.arange(20) / fps * bpy.context.scene.render.fps
    assert worst(joints_in_blender(armature, motion.joint_names, frames.tolist()), motion) < 1e-3


def test_only_the_clip_is_exported_and_the_scene_stays_as_it_was(tmp_path):
    motion = make_motion(BODY, 5)
    clip = new_clip([Person("clip", motion, BODY)])
    scene = bpy.context.scene
    other = bpy.data.objects.new("other", bpy.data.meshes.new("other"))
    scene.collection.objects.link(other)
    other.select_set(True)
    bpy.context.view_layer.objects.active = other
    scene.frame_set(3)
    for kind in ("fbx", "glb", "usd"):
        export_clip(clip, kind, tmp_path / f"a.{kind}")
        assert (scene.frame_start, scene.frame_end, scene.frame_current) == (1, 5, 3)
        assert bpy.context.selected_objects == [other]
        assert bpy.context.view_layer.objects.active == other
    from tests.addon.scene_checks import worst_joint_m

    assert worst_joint_m(clip, [motion]) < 1e-4
    for kind in ("fbx", "glb", "usd"):
        imported_joints(kind, tmp_path / f"a.{kind}", motion)
        assert "other" not in bpy.data.objects


def test_unknown_format_is_refused(tmp_path):
    request = request_for(tmp_path, [make_motion(BODY, 2)], ["obj"])
    with pytest.raises(UsageError, match="obj"):
        write_with_blender(request, None)


def test_broken_motion_is_named(tmp_path):
    request = request_for(tmp_path, [make_motion(BODY, 2)], ["glb"])
    Path(request["people"][0]["motion"]).write_bytes(b"not an archive")
    with pytest.raises(BadMotionFile, match=r"person_0\.npz"):
        write_with_blender(request, None)
    assert not (tmp_path / "person_0.glb").exists()


def test_incomplete_request_is_refused(tmp_path):
    request = request_for(tmp_path, [make_motion(BODY, 2)], ["glb"])
    request["outputs"][0]["people"] = [7]
    with pytest.raises(InputError):
        write_with_blender(request, None)


@pytest.mark.parametrize("kind", ["blend", "fbx", "glb", "usd"])
def test_folder_that_cannot_be_written(kind, tmp_path):
    request = request_for(tmp_path, [make_motion(BODY, 2)], [kind])
    (tmp_path / "file").write_text("in the way")
    request["outputs"][0]["path"] = str(tmp_path / "file" / f"a.{kind}")
    with pytest.raises(OutputNotWritable):
        write_with_blender(request, None)


def test_blender_that_is_not_there(tmp_path):
    request = request_for(tmp_path, [make_motion(BODY, 2)], ["glb"])
    with pytest.raises(MissingPackage, match="no-such-blender"):
        write_with_blender(request, str(tmp_path / "no-such-blender"))


def test_program_that_is_no_blender_and_says_much(tmp_path):
    request = request_for(tmp_path, [make_motion(BODY, 2)], ["glb"])
    loud = f"{sys.executable} -c 'import sys; sys.stderr.write(\"lost \" * 200000); sys.exit(7)'"
    with pytest.raises(WorkerFailed, match="code 7"):
        write_with_blender(request, loud)


def test_cancelling_ends_the_process_at_once(tmp_path):
    request = request_for(tmp_path, [make_motion(BODY, 2)], ["glb"])
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    sleepy = f"{sys.executable} -c 'import time; time.sleep(60)'"
    start = time.monotonic()
    with pytest.raises(Cancelled):
        write_with_blender(request, sleepy, cancelled=stop.is_set)
    assert time.monotonic() - start < 30


def test_who_is_out_of_sight_is_hidden_in_the_blend_and_nowhere_else(tmp_path):
    motion = make_motion(BODY, 12)
    confidence = np.ones(12, np.float32)
    confidence[:3] = confidence[9:] = 0
    motion = dataclasses.replace(motion, confidence=confidence)
    clip = new_clip([Person("clip", motion, BODY)])
    export_clip(clip, "blend", tmp_path / "a.blend")
    assert not clip.people[0].mesh.hide_render
    export_clip(clip, "fbx", tmp_path / "a.fbx")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    scene = bpy.context.scene
    (mesh,) = (o for o in scene.objects if o.type == "MESH")
    hidden = []
    for frame in range(scene.frame_start, scene.frame_end + 1):
        scene.frame_set(frame)
        hidden.append(mesh.hide_render and mesh.hide_viewport)
    assert hidden == (confidence == 0).tolist()
    assert worst(imported_joints("blend", tmp_path / "a.blend", motion)[0], motion) < 1e-3
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.fbx(filepath=str(tmp_path / "a.fbx"))
    assert any(o.type == "MESH" for o in bpy.context.scene.objects)
