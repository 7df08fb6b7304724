"""A command's session: its watcher on the terminal, its question before a long run, its clock from the start of the process."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from flows.options import Running
from flows.progress import choose_watcher
from flows.session import Session, open_session, say_nothing
from flows.show import tell
from tasks.errors import Refused
from tasks.moment import process_start
from tasks.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from flows.engine import Approve
    from tasks.plan import Plan
    from tasks.survey import Problem

LONG_SECONDS = 600.0
"""A run predicted to take longer is confirmed on a terminal."""


@contextmanager
def watched(manner: Running, started: float | None = None) -> "Generator[Approve]":
    """A session for the command; yields what approves of each plan: it asks where that is wanted, then starts the progress.

    The clock counts from `started` (seconds since the epoch), by default from the start of the process.
    """
    watcher = choose_watcher(manner.quiet)

    def approve(problem: "Problem", plan: "Plan") -> None:
        if not manner.yes:
            confirm(problem, plan)
        watcher.begin(problem.title, plan.predicted.seconds)

    began = process_start() if started is None else started
    notify = say_nothing if manner.quiet else tell
    with open_session(Session(started=began, observers=(watcher,), notify=notify, approve=approve)):
        try:
            yield approve
        finally:
            watcher.end()


@contextmanager
def watching(quiet: bool, title: str) -> Generator[None]:
    """A session whose progress is shown under a title, without a prediction."""
    watcher = choose_watcher(quiet)
    watcher.begin(title, None)
    with open_session(Session(observers=(watcher,), notify=say_nothing if quiet else tell)):
        try:
            yield
        finally:
            watcher.end()


def confirm(problem: "Problem", plan: "Plan") -> None:
    """Ask on a terminal before a long run; raises Refused on no."""
    predicted = plan.predicted
    if predicted.seconds < LONG_SECONDS or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    moved = format_bytes(predicted.bytes_read + predicted.bytes_written)
    cost = f"{problem.title} is predicted to take {format_seconds(predicted.seconds)} and to move {moved}"
    if not typer.confirm(f"{cost}. Go on?", default=True, err=True):
        raise Refused(f"not started: {cost}")
