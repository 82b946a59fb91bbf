"""What `poseformer` is shown: boxes that follow a person, and views that do not depend on the picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from extpose_blender.engine.lift.extpose.crop import box_of_keypoints
from extpose_blender.engine.lift.extpose.place import turns_to_rays
from extpose_blender.engine.lift.poseformer.features import (
    Boxes,
    Inputs,
    boxes_of,
    network_inputs,
    rays_to,
)
from extpose_blender.engine.lift.poseformer.hinted import (
    FEATURES,
    describe_hints,
    hinted_turns,
    joined_points,
)
from extpose_blender.protocol.geometry import rotvec_to_rotmat
from extpose_blender.protocol.skeletons import SMPL_24
from tests.engine.lift.synthetic import CAMERA, walking_person

SIZE = torch.tensor([[CAMERA.width, CAMERA.height]], dtype=torch.float32)
FOCAL = torch.tensor([CAMERA.focal_px], dtype=torch.float32)
FPS = torch.tensor([30.0])


def sight(rows: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    track = walking_person(rows=rows).track
    return torch.tensor(track.keypoints_2d)[None], torch.tensor(track.hints_3d_m)[None]


def seen_inputs(keypoints: torch.Tensor, hints: torch.Tensor) -> tuple[Boxes, Inputs]:
    boxes = boxes_of(keypoints, torch.ones(keypoints.shape[:2], dtype=torch.bool), FPS)
    return boxes, network_inputs(keypoints, hints, boxes, FOCAL, SIZE, FPS)


def test_a_still_persons_box_is_that_of_the_picture_network() -> None:
    keypoints, _ = sight(1)
    still = keypoints.expand(-1, 9, -1, -1)
    boxes = boxes_of(still, torch.ones(1, 9, dtype=torch.bool), FPS)
    wanted = box_of_keypoints(still[0, 0].numpy())
    assert wanted is not None
    np.testing.assert_allclose(boxes.center_px[0, 4], wanted.center_xy_px, rtol=1e-5)
    np.testing.assert_allclose(boxes.side_px[0], wanted.side_px, rtol=1e-5)


def test_boxes_are_smooth_and_agree_wherever_the_clip_is_cut() -> None:
    keypoints, _ = sight(60)
    noisy = keypoints + 3 * torch.randn(keypoints.shape, generator=torch.manual_seed(0))
    noisy[..., 2] = 0.9
    seen = torch.ones(1, 60, dtype=torch.bool)
    whole = boxes_of(noisy, seen, FPS)
    part = boxes_of(noisy[:, 10:50], seen[:, 10:50], FPS)
    torch.testing.assert_close(part.center_px[:, 10:30], whole.center_px[:, 20:40])
    rough = torch.tensor(
        [box.center_xy_px for k in noisy[0] if (box := box_of_keypoints(k.numpy()))]
    )
    jitter = [c.diff(n=2, dim=0).abs().mean() for c in (whole.center_px[0], rough)]
    assert jitter[0] < 0.2 * jitter[1]


def test_rows_without_a_person_take_their_neighbours_box() -> None:
    keypoints, _ = sight(20)
    seen = torch.ones(1, 20, dtype=torch.bool)
    seen[0, 8:11] = False
    keypoints[0, 8:11] = 0
    boxes = boxes_of(keypoints, seen, FPS)
    assert not boxes.found[0, 8:11].any()
    assert boxes.found[0, :8].all()
    assert (boxes.side_px[0, 8:11] / boxes.side_px[0, 7] - 1).abs().max() < 0.05
    assert torch.isfinite(boxes_of(0 * keypoints, ~seen & seen, FPS).side_px).all()


def test_what_is_shown_does_not_depend_on_the_pictures_resolution() -> None:
    keypoints, hints = sight()
    _, plain = seen_inputs(keypoints, hints)
    larger = keypoints * torch.tensor([2.0, 2.0, 1.0])
    boxes = boxes_of(larger, torch.ones(1, 40, dtype=torch.bool), FPS)
    twice = network_inputs(larger, hints, boxes, 2 * FOCAL, 2 * SIZE, FPS)
    torch.testing.assert_close(twice.keypoints, plain.keypoints, atol=1e-4, rtol=0)
    torch.testing.assert_close(twice.view, plain.view, atol=1e-4, rtol=0)


def test_the_mirrored_inputs_are_those_of_the_mirrored_picture() -> None:
    keypoints, hints = sight()
    _, inputs = seen_inputs(keypoints, hints)
    order = list(walking_person(rows=1).track.points.mirror)
    mirrored = keypoints[:, :, order].clone()
    mirrored[..., 0] = CAMERA.width - mirrored[..., 0]
    turned = hints[:, :, order] * torch.tensor([-1.0, 1.0, 1.0, 1.0])
    _, wanted = seen_inputs(mirrored, turned)
    for name in ("keypoints", "hints", "view"):
        found = getattr(inputs.mirrored(), name)
        torch.testing.assert_close(found, getattr(wanted, name), atol=1e-4, rtol=0)


def test_rays_are_those_that_place_the_body() -> None:
    keypoints, hints = sight()
    boxes, _ = seen_inputs(keypoints, hints)
    wanted = turns_to_rays(boxes.center_px[0].double().numpy(), CAMERA)
    np.testing.assert_allclose(rays_to(boxes, FOCAL, SIZE)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 27])
def test_time_is_told_from_the_middle(rows: int) -> None:
    _, inputs = seen_inputs(*sight(rows))
    assert inputs.time_s.sum().abs() < 1e-4
    if rows > 1:
        torch.testing.assert_close(inputs.time_s.diff(), torch.full((1, rows - 1), 1 / 30))


def test_joined_points_are_the_body_in_true_perspective() -> None:
    # Hints whose picture part is wrong, before a lens that is near: the picture points put it right.
    person = walking_person(distance_m=2.0)
    keypoints = torch.tensor(person.track.keypoints_2d)[None]
    hints = torch.tensor(person.track.hints_3d_m)[None]
    wrong = hints.clone()
    wrong[..., :2] += 0.1 * torch.randn(wrong[..., :2].shape, generator=torch.manual_seed(0))
    _, inputs = seen_inputs(keypoints, wrong)
    joined = joined_points(inputs.keypoints, inputs.hints, inputs.view[..., 2])
    assert float((joined - hints[..., :3]).norm(dim=-1).mean()) < 0.035
    assert float((wrong - hints).norm(dim=-1).mean()) > 0.1


def test_turns_of_hinted_joints_lay_the_limbs_along_the_points() -> None:
    hints = torch.tensor(walking_person().track.hints_3d_m)[..., :3]
    turns = hinted_turns(hints)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand_as(turns), atol=1e-4, rtol=0)
    points, joints = walking_person().track.points.index, SMPL_24.index
    for side, rest in (("left", 1.0), ("right", -1.0)):
        arm = hints[:, points[f"{side}_elbow"]] - hints[:, points[f"{side}_shoulder"]]
        upper = turns[:, 0] @ turns[:, joints[f"{side}_shoulder"]]
        along = upper @ torch.tensor([rest, 0.0, 0.0])
        torch.testing.assert_close(along, arm / arm.norm(dim=-1, keepdim=True), atol=1e-4, rtol=0)
        fore = hints[:, points[f"{side}_wrist"]] - hints[:, points[f"{side}_elbow"]]
        along = upper @ turns[:, joints[f"{side}_elbow"]] @ torch.tensor([rest, 0.0, 0.0])
        torch.testing.assert_close(along, fore / fore.norm(dim=-1, keepdim=True), atol=1e-4, rtol=0)


def test_what_hints_tell_of_the_limbs_does_not_depend_on_which_way_the_body_faces() -> None:
    hints = torch.tensor(walking_person().track.hints_3d_m)[..., :3]
    turn = torch.tensor(rotvec_to_rotmat(np.array([0.4, -1.2, 0.7])), dtype=torch.float32)
    plain, turned = describe_hints(hints), describe_hints(hints @ turn.T)
    assert plain.shape[-1] == FEATURES
    torch.testing.assert_close(turned[:, 6:], plain[:, 6:], atol=1e-4, rtol=0)
    torch.testing.assert_close(
        hinted_turns(hints @ turn.T)[:, 0], turn @ hinted_turns(hints)[:, 0], atol=1e-4, rtol=0
    )
