"""What pyproject.toml cannot say: the version of the extension, and shipped data in the package."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_addon import identity, resource_files


class BuildWithResources(build_py):
    """Copies the shipped data from `models/` to `extpose_blender/resources/`."""

    def run(self) -> None:
        """Build the package; a linked checkout finds `models/` by itself."""
        super().run()
        if self.editable_mode:
            return
        for name, source in resource_files().items():
            target = Path(self.build_lib, "extpose_blender", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source if isinstance(source, bytes) else source.read_bytes())


setup(version=identity()["version"], cmdclass={"build_py": BuildWithResources})
