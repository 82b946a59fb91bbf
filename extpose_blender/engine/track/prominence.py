"""Who matters: ordering people and taking the ones that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...protocol.errors import NoPerson, UsageError
from ...protocol.flow import Track
from .sizes import body_heights, body_middles


def prominence(
    keypoints_2d: np.ndarray, seen: np.ndarray, skeleton: str, width: int, height: int
) -> float:
    """Size on screen, times time on screen, times closeness to the middle.

    Args:
        keypoints_2d: (T, K, 3) x, y in pixels, score.
        seen: (T,) rows in which the person was found.
        skeleton: Name of the detector's skeleton.
        width: Picture width, pixels.
        height: Picture height, pixels.

    Returns:
        From 0, about 1 for somebody who fills the middle of the picture throughout.
    """
    points = keypoints_2d[seen]
    size = np.minimum(body_heights(points, skeleton) / height, 1.5)
    away = (body_middles(points, skeleton) - (width / 2, height / 2)) / (width, height)
    close = np.exp(-2.0 * np.square(away).sum(-1) / 0.5)
    sure = points[..., 2].mean(-1)
    return float((size * close * (0.5 + 0.5 * sure)).sum() / len(seen))


def select_people(tracks: Sequence[Track], choice: str | int) -> list[Track]:
    """The people that `--person` asks for.

    Args:
        tracks: Everybody, as `build_tracks` gives them.
        choice: `auto` for the most prominent, `all`, or a person's number.

    Raises:
        NoPerson: Nobody was found in the clip.
        UsageError: There is no person of that number, or the choice is none of these.
    """
    word = str(choice).strip().lower()
    if word not in ("auto", "all") and not word.isdecimal():
        raise UsageError(f"`--person` takes `auto`, `all` or a number from 0, not `{choice}`")
    if not tracks:
        raise NoPerson(
            "Nobody was found in the clip", "Check that a person is visible, large enough, and lit"
        )
    ordered = sorted(tracks, key=lambda track: track.person_id)
    if word == "auto":
        return ordered[:1]
    if word == "all":
        return ordered
    chosen = [track for track in ordered if track.person_id == int(word)]
    if not chosen:
        raise UsageError(
            f"`--person {word}`: the clip has {len(ordered)} people, numbered from 0",
            "Run `extpose inspect` to see the numbers",
        )
    return chosen
