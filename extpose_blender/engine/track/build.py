"""From detections per frame to people through the clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...protocol.flow import FrameDetections, Track
from .gaps import fill_rows
from .prominence import prominence
from .stitching import stitch_tracklets
from .tracklets import Tracklet, find_tracklets


@dataclass(frozen=True)
class TrackOptions:
    """Choices of tracking."""

    fill_gap_s: float = 0.4
    """Gaps up to this long are filled, seconds."""
    shortest_s: float = 0.4
    """People seen for less time than this are left out, seconds; a third of a very short clip
    suffices."""
    lowest_score: float = 0.25
    """People whose body joints score less than this on average are left out."""


def build_tracks(
    detections: Sequence[FrameDetections],
    skeleton: str,
    fps: float,
    width: int,
    height: int,
    rows: int,
    options: TrackOptions = TrackOptions(),
) -> list[Track]:
    """Follow people through a clip: the same person keeps one id through crossings and gaps.

    Args:
        detections: In order of rows; a row may be absent. People within a frame may come in any
            order.
        skeleton: Name of the detector's skeleton.
        fps: Rows per second of real movement.
        width: Picture width, pixels.
        height: Picture height, pixels.
        rows: Rows of the clip, T.
        options: Choices of tracking.

    Returns:
        Tracks over all rows, ids from 0 by prominence.
    """
    tracklets = find_tracklets(detections, skeleton, fps)
    people = stitch_tracklets(tracklets, skeleton, fps)
    people = [person for person in people if _is_kept(person, fps, rows, options)]
    by_row = {frame.row: frame for frame in detections}
    tracks = [_make_track(p, by_row, skeleton, fps, (width, height), rows, options) for p in people]
    tracks.sort(key=lambda track: -track.prominence)
    return [_numbered(track, number) for number, track in enumerate(tracks)]


def _is_kept(person: Tracklet, fps: float, rows: int, options: TrackOptions) -> bool:
    enough = min(round(options.shortest_s * fps), rows // 3)
    return len(person.rows) >= max(enough, 1) and person.body_score >= options.lowest_score


def _make_track(
    person: Tracklet,
    by_row: dict[int, FrameDetections],
    skeleton: str,
    fps: float,
    size: tuple[int, int],
    rows: int,
    options: TrackOptions,
) -> Track:
    seen_rows = np.array(person.rows)
    longest = round(options.fill_gap_s * fps)
    places = list(zip(person.rows, person.entries, strict=True))

    def on_all_rows(part: str) -> np.ndarray:
        return fill_rows(
            np.array([getattr(by_row[r], part)[e] for r, e in places]), seen_rows, rows, longest
        )

    entries = np.full(rows, -1, np.int32)
    entries[seen_rows] = person.entries
    seen = entries >= 0
    keypoints = on_all_rows("keypoints_2d")
    return Track(
        person_id=0,
        skeleton=skeleton,
        fps=fps,
        keypoints_2d=keypoints,
        hints_3d_m=on_all_rows("hints_3d_m"),
        hands_2d=on_all_rows("hands_2d"),
        seen=seen,
        entries=entries,
        prominence=prominence(keypoints, seen, skeleton, *size),
    )


def _numbered(track: Track, number: int) -> Track:
    return Track(**{**vars(track), "person_id": number})
