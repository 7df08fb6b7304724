"""What a command does before anything else: its streams are open, and a signal ends it without a traceback.

The first imports take a third of a second. Until they are done nothing was started and nothing written, so a signal may end
the process on the spot: an exception could be raised, and swallowed, in a callback of the import system.
Only a process that was started as ``gemmflow`` or ``python -m flows`` is touched, never one that imports this package.
"""

import io
import os
import shlex
import signal
import sys
from types import FrameType

INTERRUPTED = 130
SIGNALS = tuple(
    number
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN  # ignored: started with nohup
)
"""What ends a run."""

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
_PROGRAMS = ("flows", "flows.cli")


def started_as_command() -> bool:
    """Whether this process is ours: ``gemmflow``, or ``python -m flows`` while Python still looks for what to run."""
    program = sys.argv[0] if sys.argv else ""
    if program != "-m":
        return program.rpartition("/")[2] == "gemmflow"
    given = sys.orig_argv
    return "-m" in given and given[given.index("-m") + 1] in _PROGRAMS


def prepare() -> None:
    """Open what is closed, and end on a signal with one line and exit code 130."""
    for number in SIGNALS:
        signal.signal(number, _end)
    open_streams()


def open_streams() -> None:
    """Open descriptors 0 to 2 on /dev/null where they are closed: the next file would get their number, and words would land in it.

    What the terminal's encoding lacks, or a file's name that is no text, is written with backslashes, as on standard error.
    """
    for number, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def interrupted(arguments: list[str]) -> str:
    """The last line of a command that left nothing behind."""
    return f"interrupted; nothing at OUT was changed. To start again: {again(arguments)}"


def again(arguments: list[str]) -> str:
    """The command, to be pasted into a shell."""
    return shlex.join(["gemmflow", *arguments])


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    try:
        os.write(2, f"gemmflow: {interrupted(sys.argv[1:])}\n".encode(errors="replace"))
    finally:
        os._exit(INTERRUPTED)
