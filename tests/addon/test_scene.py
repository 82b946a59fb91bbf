"""A clip in a scene, in the `bpy` wheel: joints, surface, camera, keys, video, names."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs the bpy wheel")

from extpose_blender.addon.clip_files import body_beside  # noqa: E402
from extpose_blender.addon.compat import curves_of  # noqa: E402
from extpose_blender.addon.import_motion import import_motions  # noqa: E402
from extpose_blender.addon.scene import Person, build_clip, scene_fps  # noqa: E402
from extpose_blender.protocol.errors import BadMotionFile  # noqa: E402
from tests.addon.made_motion import (  # noqa: E402
    make_body,
    make_K,
    make_motion,
    skinned,
    write_person,
)
from tests.addon.scene_checks import (  # noqa: E402
    empty_file,
    new_clip,
    vertices_in_blender,
    worst_joint_m,
    worst_projection_px,
)

pytestmark = [
    pytest.mark.bpy,
    # Blender's own scripts, not ours.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

BODY = make_body()


@pytest.mark.parametrize("body_model", ["smpl", "smplh", "smplx"])
def test_joints_are_the_motions_on_every_frame(body_model):
    body = make_body(body_model)
    motion = make_motion(body, 40)
    clip = new_clip([Person("clip", motion, body)])
    assert worst_joint_m(clip, [motion]) < 1e-4


def test_skinned_surface_is_the_bodys_on_every_frame():
    motion = make_motion(BODY, 20)
    clip = new_clip([Person("clip", motion, BODY)])
    wanted = skinned(motion.rotvec, motion.trans, BODY)
    found = vertices_in_blender(clip.people[0].mesh, range(1, 21))
    assert np.abs(found - wanted).max() < 1e-4


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (720, 720)])
@pytest.mark.parametrize("off", [(0, 0), (40, -25)])
@pytest.mark.parametrize("tall", [1.0, 1.05, 0.9])
def test_camera_projects_like_K_R_t(size, off, tall, monkeypatch):
    from extpose_blender.addon import scene

    monkeypatch.setattr(scene, "picture_size", lambda footage, K: size)
    motion = make_motion(BODY, 5, K=make_K(*size, off, tall), moving_camera=True)
    clip = new_clip([Person("clip", motion, BODY)])
    assert worst_projection_px(clip, motion) < 0.1
    render = bpy.context.scene.render
    assert (render.resolution_x, render.resolution_y) == size


def test_camera_is_keyed_only_where_it_moves():
    still = new_clip([Person("clip", make_motion(BODY, 5), BODY)]).camera
    assert not list(curves_of(still))
    motion = make_motion(BODY, 30, moving_camera=True)
    moving = new_clip([Person("clip", motion, BODY)])
    assert {c.data_path for c in curves_of(moving.camera)} == {"location", "rotation_quaternion"}
    assert worst_projection_px(moving, motion) < 0.1


def test_a_new_file_takes_rate_range_and_camera_from_the_clip():
    clip = new_clip([Person("clip", make_motion(BODY, 7, fps=29.97), BODY)])
    scene = bpy.context.scene
    assert scene_fps(scene) == pytest.approx(30 / 1.001)
    assert (scene.frame_start, scene.frame_end, scene.camera) == (1, 7, clip.camera)


def test_one_frame_is_a_clip():
    motion = make_motion(BODY, 1)
    clip = new_clip([Person("clip", motion, BODY)])
    assert worst_joint_m(clip, [motion]) < 1e-4
    assert bpy.context.scene.frame_end == 1


def test_keys_are_linear_one_per_row_and_named_after_the_clip():
    armature = new_clip([Person("squats", make_motion(BODY, 12), BODY)]).people[0].armature
    curves = [c for c in curves_of(armature) if c.data_path.startswith("pose")]
    assert len(curves) == 52 * 4 + 3
    assert {len(c.keyframe_points) for c in curves} == {12}
    assert {k.interpolation for c in curves for k in c.keyframe_points} == {"LINEAR"}
    assert armature.animation_data.action.name == "squats"


def test_people_share_one_collection_and_one_camera():
    motions = [make_motion(BODY, 10, seed=s) for s in (1, 2, 3)]
    people = [Person(f"group_person_{i}", m, BODY) for i, m in enumerate(motions)]
    clip = new_clip(people, name="group")
    kinds = sorted(each.type for each in clip.collection.all_objects)
    assert kinds == ["ARMATURE"] * 3 + ["CAMERA"] + ["MESH"] * 3
    assert clip.collection.name == "group"
    assert worst_joint_m(clip, motions) < 1e-4


def test_an_open_scene_keeps_what_it_has(tmp_path):
    empty_file()
    scene, layer = bpy.context.scene, bpy.context.view_layer
    mine = bpy.data.objects.new("walk", bpy.data.meshes.new("walk"))
    scene.collection.objects.link(mine)
    layer.objects.active = mine
    mine.select_set(True)
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 5, 99
    resolution = scene.render.resolution_x
    (tmp_path / "walk").mkdir()
    motion = make_motion(BODY, 10, fps=30)
    write_person(tmp_path / "walk", 0, motion, BODY)
    path = tmp_path / "walk" / "person_0.npz"
    first, second = import_motions(bpy.context, [path]), import_motions(bpy.context, [path])
    assert mine.name == "walk" and layer.objects.active == mine and mine.select_get()
    assert (scene.render.fps, scene.frame_start, scene.frame_end) == (24, 5, 99)
    assert scene.render.resolution_x == resolution
    assert first != second and not set(first.all_objects) & set(second.all_objects)
    actions = {o.animation_data.action for c in (first, second) for o in c.all_objects
               if o.type == "ARMATURE"}  # fmt: skip
    assert len(actions) == 2


def test_a_scene_of_another_rate_shows_rows_at_their_time():
    empty_file()
    motion = make_motion(BODY, 10, fps=30)
    clip = build_clip(
        bpy.context, "clip", [Person("clip", motion, BODY)], None, frame_start=50, scene_fps=24.0
    )
    assert clip.timing.scene_frames(motion)[5] == pytest.approx(50 + 5 * 24 / 30)
    assert worst_joint_m(clip, [motion]) < 1e-4


def test_where_it_came_from_is_noted_on_the_armature():
    motion = make_motion(BODY, 3, source="walk.mp4")
    armature = new_clip([Person("clip", motion, BODY)]).people[0].armature
    assert list(armature["extpose_betas"]) == pytest.approx(motion.betas.tolist())
    assert armature["extpose_body_id"] == "made"
    assert armature["extpose_source"] == "walk.mp4"


def test_video_stands_behind_the_camera_in_step(shared_path):
    video = shared_path("clips/squats_single/video.mp4")
    # Every second picture of the source from the fourth on.
    motion = make_motion(BODY, 12, fps=2.5, K=make_K(720, 1280))
    times = 0.8 + np.arange(12) / 2.5
    motion = dataclasses.replace(motion, time_s=times, frame_index=np.round(times * 5).astype(int))
    clip = new_clip([Person("clip", motion, BODY)], video)
    assert clip.has_video and clip.size == (720, 1280)
    background = clip.camera.data.background_images[0]
    assert bpy.path.abspath(background.image.filepath) == str(video)
    user = background.image_user
    shown = []
    for frame in range(1, 13):
        bpy.context.scene.frame_set(frame)
        shown.append(min(frame - user.frame_start + 1, user.frame_duration) + user.frame_offset - 1)
    assert shown == list(range(4, 28, 2))


def test_a_video_that_is_gone_leaves_the_rest(tmp_path):
    clip = new_clip([Person("clip", make_motion(BODY, 3), BODY)], tmp_path / "gone.mp4")
    assert not clip.has_video
    assert clip.size == (1280, 720)


def test_body_file_is_found_beside_the_motion(tmp_path):
    write_person(tmp_path, 3, make_motion(BODY, 1), BODY)
    assert body_beside(tmp_path / "person_3.npz").name == "body_3.npz"
    with pytest.raises(BadMotionFile, match="person_4"):
        body_beside(tmp_path / "person_4.npz")
