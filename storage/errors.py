"""What goes wrong, by what the reader of the message can do about it.

Every message is one line: what is wrong, with the numbers, and what to change. The class decides the exit code of the command.
Errors travel by pickle between processes, so the message is the single argument.
"""

from typing import ClassVar


class GemmflowError(Exception):
    """Base of every error that is raised on purpose; the message is one line."""

    exit_code: ClassVar[int] = 1


class BadInput(GemmflowError):
    """The job asks for something that is not there or cannot be used: nothing was written."""

    exit_code: ClassVar[int] = 2


class Refused(GemmflowError):
    """The job is sound but does not fit this place (memory, disk, file system): nothing was written."""

    exit_code: ClassVar[int] = 3


class CorruptData(GemmflowError):
    """Stored bytes do not decode or fail their checksum; the message names the matrix and the chunk key."""


class MetadataLost(CorruptData):
    """Too little is left of a result's metadata to tell right from wrong."""

    exit_code: ClassVar[int] = 4


class DiskFull(GemmflowError):
    """The file system, a quota or a file-size limit stopped a write; what was complete before it is still there."""


class TakenOver(GemmflowError):
    """Another run holds the staging folder of this one now."""


class Unreachable(GemmflowError):
    """An object store did not answer, refused, or broke off more often than is tried again; what it holds is unharmed."""
