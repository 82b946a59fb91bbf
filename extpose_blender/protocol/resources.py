"""Where shipped files lie: bodies, weights, priors and the sample clip.

They live under `models/` in a checkout. `build_addon.py` and the wheel map that folder into the package
as `resources/`, so one function finds them in all three.
"""

from __future__ import annotations

from pathlib import Path

from .errors import MissingModel

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
"""The folder `extpose_blender/`, which is the extension and the import package."""


def resource_root() -> Path:
    """The folder that holds the shipped files."""
    packed = PACKAGE_ROOT / "resources"
    return packed if packed.is_dir() else PACKAGE_ROOT.parent / "models"


def find_resource(name: str) -> Path:
    """The path of a shipped file.

    Args:
        name: Its path below `models/`, with forward slashes, such as `bodies/open/model.npz`.

    Raises:
        MissingModel: It is not there: the installation is incomplete.
    """
    path = resource_root().joinpath(*name.split("/"))
    if not path.exists():
        raise MissingModel(
            f"The shipped file `{name}` is missing from {resource_root()}",
            "Install ExtPose again, or run from a complete checkout",
        )
    return path
