"""How a command ends: its exit code, and its last line, which says what lies on disk now.

Exit codes: the table EXIT_CODES, from which the reference is made.
"""

from collections.abc import Sequence

import typer

from flows.early import INTERRUPTED, again, interrupted
from flows.signals import stopping
from flows.traces import Traces
from tasks.errors import GemmflowError, Refused
from tasks.wording import plural

BATCH = "batch"
"""The command of many runs."""
FAILED = 1
USAGE = 2
EXIT_CODES = {
    0: "done and certified",
    FAILED: "failed while running; the same command goes on, or the message says that OUT is complete and only its report is missing",
    USAGE: "bad input; nothing was written",
    3: "refused by the plan (memory, error, disk), by a run that holds OUT, or by an unfinished run of another job; nothing was written. "
    "Of `analyze`: no device can do it, or none within the deadline and the budget",
    4: "finished but not certified, or `verify` found damage",
    INTERRUPTED: "interrupted; the same command goes on",
}
"""What the shell gets, and what it means."""
USAGE_ERROR = typer.BadParameter.__mro__[1]
"""Typer brings its own copy of click, or uses click: either way this is the base of what a wrong command line raises."""


def exit_code(error: BaseException) -> int:
    """What the shell gets; after a signal every error is the interruption."""
    if stopping() or isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return INTERRUPTED
    if isinstance(error, GemmflowError):
        return error.exit_code
    return USAGE if isinstance(error, USAGE_ERROR) else FAILED


def failure_line(error: BaseException, traces: Sequence[Traces]) -> str:
    """What went wrong, and what it left: a complete OUT, or unfinished results that the message does not name already."""
    message = _message(error)
    if isinstance(error, Refused):
        return message  # it names its own folder, or what lies beside OUT is another run's
    if traces and traces[-1].complete:
        return f"{message}; {traces[-1].out} is complete"
    left = [folder for folder in _unfinished(traces) if folder not in message]
    return f"{message} ({_kept(left)})" if left else message


def interrupted_line(arguments: list[str], traces: Sequence[Traces]) -> str:
    """That a signal ended the command, what it left, and how to go on."""
    left = _unfinished(traces)
    if arguments[:1] == [BATCH]:
        return _interrupted_batch(arguments, sum(taken.complete for taken in traces), left)
    if traces and traces[-1].complete:
        return f"interrupted, but {traces[-1].out} is complete" + (f" (left behind: {', '.join(left)}: delete it)" if left else "")
    if left:
        return f"interrupted; nothing at OUT was changed; {_kept(left)}: {again(arguments)}"
    return interrupted(arguments)


def _interrupted_batch(arguments: list[str], complete: int, left: list[str]) -> str:
    kept = f", what else is finished is kept in {', '.join(left)}" if left else ""
    return (
        f"interrupted; {plural(complete, 'product')} of this batch complete{kept}: the same command goes on from there: {again(arguments)}"
    )


def _unfinished(traces: Sequence[Traces]) -> list[str]:
    return [str(taken.unfinished.folder) for taken in traces if taken.unfinished is not None]


def _kept(folders: list[str]) -> str:
    return f"what is finished is kept in {', '.join(folders)}: the same command goes on from there"


def _message(error: BaseException) -> str:
    if isinstance(error, GemmflowError):
        return str(error)
    if isinstance(error, USAGE_ERROR):
        full = getattr(error, "format_message", error.__str__)
        return f"{str(full()).rstrip('.')} (gemmflow --help shows how)"
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"
