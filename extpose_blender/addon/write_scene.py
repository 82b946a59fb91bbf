"""Starts the scene writer, in the `bpy` wheel or in any Blender.

    python write_scene.py REQUEST.json
    blender --background --factory-startup --python write_scene.py -- REQUEST.json

The package's parent folder goes last on the path, so nothing else that lies there can shadow a
library, and this file's own folder, which Python puts first, comes off it.
"""

import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != here]
    sys.path.append(str(here.parent.parent))
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    writer = import_module(f"{here.parent.name}.addon.scene_writer")
    raise SystemExit(writer.main(arguments))
