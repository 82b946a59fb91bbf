"""ExtPose: motion capture without markers, inside Blender and headless.

In Blender this package is the extension. Elsewhere it is the library behind the `extpose` command.
Nothing heavy is imported here: Blender calls `register`, the worker imports `engine`.
"""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from .addon import register as register_addon

    register_addon()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from .addon import unregister as unregister_addon

    unregister_addon()
