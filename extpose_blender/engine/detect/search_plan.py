"""When and where to look for people who are not followed yet.

Following a known person costs one crop; finding new ones costs a detector run per view. So the whole picture
is looked at now and then, its tiles one by one in between, and less often the longer nobody new turns up.
"""

from __future__ import annotations

import numpy as np

from .person_finder import tile_views

_WHOLE_EVERY_S = 0.6
_WHOLE_EVERY_ALONE_S = 0.2
_ROUND_S = 3.0
_LONGEST_ROUND_S = 12.0
_TILE_SHARES = (1.0, 2.0 / 3.0)
_MOST_TILES_PER_FRAME = 2


class SearchPlan:
    """Which views of the picture are due. Times are those of the frames, so a run can be repeated."""

    def __init__(self) -> None:
        """A plan for a clip that has not begun."""
        self._whole_s = -np.inf
        self._tile_s = -np.inf
        self._round_s = _ROUND_S
        self._cursor = 0
        self._found_in_round = False

    def due_views(self, width: int, height: int, time_s: float, followed: int) -> list[np.ndarray]:
        """Views (4,) to look at now, coarse to fine. The first call gives all.

        Args:
            width: Picture width, pixels.
            height: Picture height, pixels.
            time_s: Time of the frame, seconds.
            followed: People followed at the moment.
        """
        whole = np.array([width / 2, height / 2, max(width, height), 0.0])
        tiles = fine_views(width, height)
        if np.isneginf(self._whole_s):
            self._whole_s = self._tile_s = time_s
            return [whole, *tiles]
        views = []
        if time_s - self._whole_s >= (_WHOLE_EVERY_S if followed else _WHOLE_EVERY_ALONE_S):
            self._whole_s = time_s
            views.append(whole)
        return views + self._due_tiles(tiles, time_s)

    def _due_tiles(self, tiles: list[np.ndarray], time_s: float) -> list[np.ndarray]:
        step_s = self._round_s / len(tiles)
        due = min(int((time_s - self._tile_s) / step_s), _MOST_TILES_PER_FRAME)
        if due <= 0:
            return []
        self._tile_s = time_s
        views = [tiles[(self._cursor + i) % len(tiles)] for i in range(min(due, len(tiles)))]
        self._cursor += len(views)
        if self._cursor >= len(tiles):
            self._cursor %= len(tiles)
            self._round_s = _ROUND_S if self._found_in_round else min(2 * self._round_s, _LONGEST_ROUND_S)
            self._found_in_round = False
        return views

    def look_closely(self) -> None:
        """Somebody new was found, or somebody was lost: there may be more, so search often again."""
        self._found_in_round = True
        self._round_s = _ROUND_S

    def look_everywhere(self) -> None:
        """Nobody is followed any more, as after a cut: the next call gives all views."""
        self._whole_s = -np.inf

    def state(self) -> np.ndarray:
        """(5,) float64 for `restore`."""
        return np.array([self._whole_s, self._tile_s, self._round_s, self._cursor, self._found_in_round])

    def restore(self, state: np.ndarray) -> None:
        """Go on from `state()`."""
        self._whole_s, self._tile_s, self._round_s = (float(value) for value in state[:3])
        self._cursor, self._found_in_round = int(state[3]), bool(state[4])


def fine_views(width: int, height: int) -> list[np.ndarray]:
    """The tiles: as high as the picture where it is not about square, and two thirds of that."""
    short, long = sorted((width, height))
    sides = [short * share for share in _TILE_SHARES if short * share < 0.9 * long]
    return [view for side in sides for view in tile_views(width, height, side)]
