"""Starts the worker from inside the extension: `python start_worker.py JOB.json`.

The package's parent folder goes last on the path, so nothing else that lies there can shadow a library,
and this file's own folder, which Python puts first, comes off it.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    package = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != package]
    sys.path.append(str(package.parent))
    worker = __import__(f"{package.name}.engine.worker", fromlist=["main"])
    raise SystemExit(worker.main(sys.argv[1:]))
