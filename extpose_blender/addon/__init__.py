"""What runs in Blender: bpy and numpy, never torch.

`register` adds to Blender's menus. It installs and downloads nothing.
"""


def register() -> None:
    """Add operators and menus."""
    from . import import_motion

    import_motion.register()


def unregister() -> None:
    """Take operators and menus away."""
    from . import import_motion

    import_motion.unregister()
