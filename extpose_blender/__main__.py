"""`python -m extpose_blender` is the `extpose` command."""

from __future__ import annotations

import sys

from .engine.cli import main

if __name__ == "__main__":
    sys.exit(main())
