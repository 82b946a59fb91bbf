"""Clips: what is in a file, its frames by presentation time, and how its camera turns.

Names load when they are used, because their modules bring PyAV and OpenCV with them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .camera_motion import CameraMotion as CameraMotion
    from .clip import count_rows as count_rows
    from .clip import probe_clip as probe_clip
    from .clip import read_frames as read_frames
    from .sampling import Sampling as Sampling

_MODULES = {
    "CameraMotion": ".camera_motion",
    "Sampling": ".sampling",
    "count_rows": ".clip",
    "probe_clip": ".clip",
    "read_frames": ".clip",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)
