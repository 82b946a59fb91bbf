"""When and where to look for people who are not followed yet.

Following a known person costs one crop per picture; finding new ones costs a detector run per view.
So views are looked at one by one, the whole picture and its tiles in turn, at a rate that is a
share of what following costs, and a smaller share when nobody new has turned up for a while.
"""

from __future__ import annotations

import numpy as np

from .person_finder import tile_views

_SHARE = 0.14
_QUIET_SHARE = 0.06
_VIEWS_PER_S = 1.5
_QUIET_ROUNDS = 2
_MOST_VIEWS_PER_FRAME = 3
_TILE_SHARES = (1.0, 2.0 / 3.0)


class SearchPlan:
    """Which views of the picture are due: it depends on the frames alone, so runs agree."""

    def __init__(self) -> None:
        """A plan for a clip that has not begun."""
        self._last_s = -np.inf
        self._credit = 0.0
        self._cursor = 0
        self._quiet_rounds = 0

    def due_views(self, width: int, height: int, time_s: float, followed: int) -> list[np.ndarray]:
        """Views (4,) to look at now. The first call gives all, coarse to fine.

        Args:
            width: Picture width, pixels.
            height: Picture height, pixels.
            time_s: Time of the frame, seconds.
            followed: People followed at the moment.
        """
        views = search_round(width, height)
        first, elapsed_s = np.isneginf(self._last_s), time_s - self._last_s
        self._last_s = time_s
        if first:
            self._credit = 0.0
            return [whole_view(width, height), *fine_views(width, height)]
        share = _SHARE if self._quiet_rounds < _QUIET_ROUNDS else _QUIET_SHARE
        self._credit += max(share * followed, _VIEWS_PER_S * elapsed_s) if followed else 1.0
        due = int(min(self._credit, _MOST_VIEWS_PER_FRAME))
        self._credit -= due
        chosen = [views[(self._cursor + i) % len(views)] for i in range(min(due, len(views)))]
        self._cursor += len(chosen)
        if self._cursor >= len(views):
            self._cursor %= len(views)
            self._quiet_rounds += 1
        return chosen

    def look_closely(self) -> None:
        """Somebody was found or lost: there may be more, so search often again."""
        self._quiet_rounds = 0

    def state(self) -> np.ndarray:
        """(4,) float64 for `restore`."""
        return np.array([self._last_s, self._credit, self._cursor, self._quiet_rounds], float)

    def restore(self, state: np.ndarray) -> None:
        """Go on from `state()`."""
        self._last_s, self._credit = (float(value) for value in state[:2])
        self._cursor, self._quiet_rounds = (int(value) for value in state[2:])


def whole_view(width: int, height: int) -> np.ndarray:
    """(4,) the smallest square around the whole picture."""
    return np.array([width / 2, height / 2, max(width, height), 0.0])


def fine_views(width: int, height: int) -> list[np.ndarray]:
    """The tiles: as high as the picture where it is not about square, and two thirds of that."""
    short, long = sorted((width, height))
    sides = [short * share for share in _TILE_SHARES if short * share < 0.9 * long]
    return [view for side in sides for view in tile_views(width, height, side)]


def search_round(width: int, height: int) -> list[np.ndarray]:
    """One round of the search: the tiles, and the whole picture before every second one.

    Somebody who walks in is most often large enough to be found in the whole picture.
    """
    tiles = fine_views(width, height)
    whole = whole_view(width, height)
    return [
        view for i, tile in enumerate(tiles) for view in ([whole, tile] if i % 2 == 0 else [tile])
    ]
