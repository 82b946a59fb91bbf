"""Everything that can go wrong, as one tree, with the exit code a user's script sees.

    ExtPoseError
    ├── UsageError            2   unknown flag, name or value
    ├── InputError            3   the user's file cannot be used
    │   ├── BadVideo              a clip that cannot be decoded, or holds no frame
    │   ├── NoPerson              nobody was found in the clip
    │   ├── BadBodyFile           a body model of the wrong kind, or damaged, or hostile
    │   ├── BadMotionFile         a motion or body-geometry file that breaks the contract
    │   ├── BadModelFile          a checkpoint or detector model that cannot be used
    │   └── BadRig                a character file that cannot be used
    ├── MissingError          4   something has to be installed or added first
    │   ├── MissingPackage        a Python package
    │   └── MissingModel          weights or a body file
    ├── WorkError             5   the work failed
    │   ├── WorkerFailed          a process of ours ended badly
    │   └── OutputNotWritable     the disk is full, or the folder cannot be written
    ├── SomeItemsFailed       6   a batch finished, some items did not
    └── Cancelled           130   the user stopped it

    BadShape (ValueError)         an array of the wrong shape reached a function: a programming error

Source: the shape of the tree follows httpx:httpx/_exceptions.py; the exit codes are this project's.
"""

from __future__ import annotations


class ExtPoseError(Exception):
    """An error meant for people.

    Args:
        message: What was wrong: wanted and actual.
        hint: The next step, one sentence. May be empty when there is none.
    """

    code = "error"
    exit_code = 5

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_line(self) -> str:
        """Put it as the one line for stderr: `extpose: error[CODE]: what was wrong. Next step`."""
        words = " ".join(self.message.split()).rstrip(".") + "."
        if self.hint:
            words += " " + " ".join(self.hint.split()).rstrip(".") + "."
        return f"extpose: error[{self.code}]: {words}"


class UsageError(ExtPoseError):
    """Unknown flag, name or value."""

    code = "usage"
    exit_code = 2


class InputError(ExtPoseError):
    """A file of the user's cannot be used."""

    code = "input"
    exit_code = 3


class BadVideo(InputError):
    """A clip that cannot be decoded, or holds no frame."""

    code = "bad-video"


class NoPerson(InputError):
    """Nobody was found in the clip."""

    code = "no-person"


class BadBodyFile(InputError):
    """A body model of the wrong kind, damaged, or hostile."""

    code = "bad-body"


class BadMotionFile(InputError):
    """A motion or body-geometry file that breaks the contract."""

    code = "bad-motion"


class BadModelFile(InputError):
    """A checkpoint or detector model that cannot be used."""

    code = "bad-model"


class BadRig(InputError):
    """A character file that cannot be used."""

    code = "bad-rig"


class MissingError(ExtPoseError):
    """Something has to be installed or added first."""

    code = "missing"
    exit_code = 4


class MissingPackage(MissingError):
    """A Python package is not installed."""

    code = "missing-package"


class MissingModel(MissingError):
    """Weights or a body file are not there."""

    code = "missing-model"


class WorkError(ExtPoseError):
    """The work failed."""

    code = "work"
    exit_code = 5


class WorkerFailed(WorkError):
    """A process of ours ended badly."""

    code = "worker-failed"


class OutputNotWritable(WorkError):
    """The disk is full, or the folder cannot be written."""

    code = "output"


class SomeItemsFailed(ExtPoseError):
    """A batch finished, but some of its items did not."""

    code = "some-failed"
    exit_code = 6


class Cancelled(ExtPoseError):
    """The user stopped the work."""

    code = "cancelled"
    exit_code = 130


class BadShape(ValueError):
    """An array of the wrong shape or type reached a function.

    A programming error, not a user's: it carries wanted and actual shape, and no exit code.
    """
