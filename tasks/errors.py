"""Every way a job can end without a result; the exit code is the contract of the command line.

Storage defines the base (it is the lowest floor) and its own errors; this file adds those of planning and running.
"""

from typing import ClassVar

from storage.errors import BadInput, CorruptData, DiskFull, GemmflowError, Refused

__all__ = [
    "BadInput",
    "ClusterMismatch",
    "CorruptData",
    "DamageFound",
    "DiskFull",
    "GemmflowError",
    "InputsChanged",
    "Interrupted",
    "MachineChanged",
    "NonFinite",
    "NotCertified",
    "OutOfMemory",
    "Refused",
    "TooLittleMemory",
    "WorkersLost",
]


class TooLittleMemory(Refused):
    """No plan fits in the memory that the job may use."""


class InputsChanged(Refused):
    """An input is not what it was when the plan that is to be followed was made."""


class MachineChanged(Refused):
    """The workers lack what the plan that is to be followed counts on."""


class NonFinite(GemmflowError):
    """NaN or infinity in an input, or a product that overflows its type; the message gives the position."""

    exit_code: ClassVar[int] = 1


class WorkersLost(GemmflowError):
    """Workers died while they held tiles, more often than a run tolerates."""

    exit_code: ClassVar[int] = 1


class OutOfMemory(GemmflowError):
    """A worker has not the memory for the smallest piece of a tile."""

    exit_code: ClassVar[int] = 1


class NotCertified(GemmflowError):
    """The product was computed, but its certificate misses what was asked; nothing was published."""

    exit_code: ClassVar[int] = 4


class DamageFound(GemmflowError):
    """A stored result is not what was written, or not the product of its inputs."""

    exit_code: ClassVar[int] = 4


class ClusterMismatch(BadInput):
    """A worker runs other code, another version, or does not see the files."""


class Interrupted(GemmflowError):
    """Ctrl-C or SIGTERM."""

    exit_code: ClassVar[int] = 130
