"""Errors are drawn as measured: fitting made errors gives back the statistics they came from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from extpose_blender.engine.lift.fit.evidence import line_of_sight
from extpose_blender.protocol.errors import BadModelFile
from models.data.clips import Clips, ClipSource
from models.data.detector_errors import (
    CORE,
    LEFT_HIP,
    LEGS,
    RIGHT_HIP,
    VIEWS,
    ErrorModel,
    draw_sightings,
    scale_at,
    sighted,
)
from models.data.draws import Draws
from models.data.error_statistics import gather_rows, scale_table, swapped, views
from models.data.measure_detector import fit_errors
from models.data.sightings import Sighting, read_sightings, write_sightings

FLAWLESS = {
    "scale": 0.0, "hint_scale": 0.0, "follow": 0.0, "hint_map": 0.0, "swaps": 0.0, "lost": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> ErrorModel:
    return ErrorModel.load()


@pytest.fixture(scope="module")
def people(source: ClipSource) -> Clips:
    clips = source.batch(11, 48, 30)
    return replace(clips, fps=torch.full((48,), 30.0))


def sight(clips: Clips, model: ErrorModel, step: int = 0) -> list[Sighting]:
    times = torch.arange(30)[None].expand(len(clips), -1) / 30.0
    size = torch.full((len(clips),), 1.27)
    hidden = (torch.arange(33) % 5 == 0).float().expand(*times.shape, -1)
    made = draw_sightings(
        Draws(0, step), model, times, clips.true_px, clips.landmarks_m, hidden, size, 1.27,
        clips.focal_px, clips.size_wh,
    )  # fmt: skip
    return [
        Sighting(
            *(
                a.double().numpy() if a.dtype != torch.bool else a.numpy()
                for a in (
                    times[i], made.keypoints_px[i], made.hints_m[i], made.seen[i],
                    clips.true_px[i], clips.landmarks_m[i], hidden[i], size[i],
                    clips.focal_px[i], clips.size_wh[i],
                )
            )
        )
        for i in range(len(clips))
    ]  # fmt: skip


def flawless(model: ErrorModel) -> ErrorModel:
    return replace(model, **{k: torch.full_like(getattr(model, k), v) for k, v in FLAWLESS.items()})


def test_without_errors_the_truth_comes_out(people: Clips, model: ErrorModel) -> None:
    for one, true in zip(sight(people, flawless(model)), people.landmarks_m, strict=True):
        np.testing.assert_allclose(
            one.keypoints_px[one.seen, :, :2], one.true_px[one.seen], atol=1e-2, rtol=1e-5
        )
        expected = sighted(true)[torch.from_numpy(one.seen)]
        # Our mean body is 2 mm off the figure that sizes were given for here.
        np.testing.assert_allclose(one.hints_m[one.seen, :, :3], expected, atol=5e-3)


def test_hints_have_the_axes_that_fit_takes_them_to_have(people: Clips) -> None:
    points = people.landmarks_m[:, 0]
    middle = points[:, [LEFT_HIP, RIGHT_HIP]].mean(1)
    for i in range(10):
        flat = (middle[i, :2] / middle[i, 2] * people.focal_px[i]).double().numpy()[None]
        turn = line_of_sight(flat, float(people.focal_px[i]), np.ones(1, bool))[0].float()
        back = sighted(points[i]) @ turn.T
        torch.testing.assert_close(back, points[i] - middle[i], atol=1e-4, rtol=0)


def test_fitting_made_errors_gives_back_their_statistics(people: Clips, model: ErrorModel) -> None:
    made = [s for step in range(3) for s in sight(people, model, step)]
    again = fit_errors(made)
    assert np.abs(again["follow"][11:] - model.follow[11:].numpy()).mean() < 0.12
    plain = VIEWS.index("plain")
    body = [i for i in range(11, 33) if i % 5]
    assert np.abs(again["score_mean"] - model.score_mean.numpy())[body, plain].mean() < 0.7
    ratio = again["scale"][body, plain, 3:] / model.scale.numpy()[body, plain, 3:]
    assert 0.7 < np.exp(np.log(ratio).mean()) < 1.4
    ratio = again["hint_scale"][body, plain, 3:] / model.hint_scale.numpy()[body, plain, 3:]
    assert 0.7 < np.exp(np.log(ratio).mean()) < 1.4


def test_errors_grow_as_scores_fall_and_beyond_the_picture(model: ErrorModel) -> None:
    score = torch.tensor([0.05, 0.5, 0.95])[:, None].expand(-1, 33)
    none, away = torch.zeros(3, 33), torch.zeros(3, 33, dtype=torch.bool)
    legs = slice(25, 33)
    usual = scale_at(model.scale_scores, model.scale, score, none, away)[:, legs].mean(1)
    assert usual[0] > usual[1] > usual[2]
    outside = scale_at(model.scale_scores, model.scale, score, none, ~away)[:, legs].mean(1)
    assert (outside > 1.5 * usual).all()


def test_scales_are_read_between_scores() -> None:
    knots = torch.tensor([0.0, 0.5, 1.0])
    table = torch.arange(33 * 3 * 3).float().reshape(33, 3, 3)
    score = torch.full((1, 33), 0.25)
    found = scale_at(knots, table, score, torch.ones(1, 33), torch.zeros(1, 33, dtype=torch.bool))
    torch.testing.assert_close(found[0], (table[:, 1, 0] + table[:, 1, 1]) / 2)


def test_swapped_sides_are_seen_and_as_frequent_as_told(people: Clips, model: ErrorModel) -> None:
    often = replace(flawless(model), swaps=torch.tensor([0.3, 0.0]))
    made = sight(people, often)
    apart = [
        (s.true_px[:, 25] - s.true_px[:, 26]) ** 2 + (s.true_px[:, 27] - s.true_px[:, 28]) ** 2
        for s in made
    ]
    exchanged = np.concatenate(
        [np.linalg.norm(s.keypoints_px[:, 25, :2] - s.true_px[:, 26], axis=-1) < 0.1 for s in made]
    )
    seen = np.concatenate([s.seen for s in made])
    assert abs(exchanged[seen].mean() - 0.3) < 0.08
    assert len(apart) == len(made)
    marked = np.concatenate([swapped(s, LEGS) for s in made])
    assert not (marked & ~exchanged).any() and marked.any()


def test_people_out_of_the_picture_are_not_seen(people: Clips, model: ErrorModel) -> None:
    gone = replace(people, true_px=people.true_px - 1e5)
    assert not any(s.seen.any() for s in sight(gone, model))
    inside = people.true_px[:, :, CORE] * 0 + people.size_wh[:, None, None] / 2
    here = replace(people, true_px=inside.repeat_interleave(7, 2)[:, :, :33])
    near = people.focal_px / people.landmarks_m[:, :, 23:25, 2].mean((1, 2)) > 40
    seen = np.mean([s.seen.mean() for s, n in zip(sight(here, model), near, strict=True) if n])
    assert seen > 0.9


def test_view_of_each_point(people: Clips, model: ErrorModel) -> None:
    one = sight(people, model)[0]
    found = views(one)
    xy = one.true_px
    outside = (xy < 0).any(-1) | (xy > one.size_wh).any(-1)
    assert ((found == VIEWS.index("outside")) == outside).all()
    assert (found[:, 1][~outside[:, 1]] == VIEWS.index("plain")).all()
    assert (found[:, 5][~outside[:, 5]] == VIEWS.index("hidden")).all()


def test_few_rows_lean_on_the_rest_of_the_limb(people: Clips, model: ErrorModel) -> None:
    rows = gather_rows(sight(people, model)).with_mirror()
    errors = np.ones_like(rows.flat)
    errors[:, 27] *= 3
    table = scale_table(errors, rows, 1.0)
    assert (table >= np.sqrt(2) - 1e-6).all() and (table <= 3 * np.sqrt(2) + 1e-6).all()


def test_sightings_survive_their_file(people: Clips, model: ErrorModel, tmp_path: Path) -> None:
    made = sight(people, model)[:2]
    write_sightings(tmp_path / "s.npz", made)
    again = read_sightings(tmp_path / "s.npz")
    np.testing.assert_array_equal(again[1].hints_m, made[1].hints_m)
    assert len(again) == 2


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "errors.npz", scale=np.zeros(3))
    with pytest.raises(BadModelFile, match="score_mean"):
        ErrorModel.load(tmp_path / "errors.npz")
