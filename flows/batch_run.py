"""The jobs of a batch, run: one after the other in this thread, or as many at once as the file allows, each slot in a thread of its own.

                  order (under one lock)
                 /      |      \\
        slot 1      slot 2      slot 3          a session each: its own workers, kept from job to job, its share of cores
           |           |           |
        attempt     attempt     attempt         each job in its share of the memory

Jobs at once are separate to the operating system, too: no two of them have tiles in one worker process, where both would count the same
memory as theirs. A signal ends all of them as it ends a single run.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.batch_order import Order
from flows.batch_result import Result
from flows.session import Session, open_session, within
from flows.threads import STEP_SECONDS, join_all, raise_in

if TYPE_CHECKING:
    from flows.batch_entry import Entry
    from flows.batch_share import Share

Attempt = Callable[["Entry"], Result]
Listen = Callable[[Result, int], None]

END_SECONDS = 3.0
"""How long the slots may take to end after a signal; what is left then is ended from outside."""


@dataclass
class Board:
    """Who runs, and what came of it; shared by the slots."""

    entries: "tuple[Entry, ...]"
    listeners: Sequence[Listen] = ()
    """Told of each result, and how many there are by then."""
    results: dict[int, Result] = field(default_factory=dict[int, Result])
    """By place in the file."""
    error: BaseException | None = None
    """What ended a slot too early."""

    def __post_init__(self) -> None:
        self._order = Order([entry.job.priority for entry in self.entries], [entry.needs for entry in self.entries])
        self._changed = threading.Condition()

    def next(self) -> int | None:
        """The next job, once one is free; None where none is left or somebody wants an end."""
        with self._changed:
            while self.error is None:
                number = self._order.take()
                if number is not None or self._order.over:
                    return number
                self._changed.wait(STEP_SECONDS)
            return None

    def finish(self, number: int, result: Result) -> None:
        """Note a result, and what it means for the jobs that wait for it."""
        with self._changed:
            self._note(number, result)
            if result.exit_code == 0:
                self._order.done(number)
            else:
                for other in self._order.failed(number):
                    self._note(other, self._skipped(other))
            self._changed.notify_all()

    def end(self, error: BaseException) -> None:
        """No job starts any more."""
        with self._changed:
            self.error = self.error or error
            self._changed.notify_all()

    def _skipped(self, number: int) -> Result:
        entry = self.entries[number]
        cause = next(needed for needed in sorted(entry.needs) if needed in self.results and self.results[needed].exit_code)
        why = f"not started: it reads the product of job {cause + 1} ({self.entries[cause].name}), which is not there"
        return Result(entry.name, self.results[cause].exit_code, 0.0, why, state="skipped", out=entry.job.out)

    def _note(self, number: int, result: Result) -> None:
        self.results[number] = result
        for listen in self.listeners:
            listen(result, len(self.results))


def run_jobs(entries: "tuple[Entry, ...]", share: "Share", attempt: Attempt, listeners: Sequence[Listen] = ()) -> tuple[Result, ...]:
    """Every job's result, in the order of the file; raises only what interrupts."""
    with open_session() as session:
        board = Board(entries, listeners)
        if share.slots == 1:
            _work(board, attempt)
        else:
            _work_at_once(board, attempt, [session.beside(share.cores) for _ in range(share.slots)])
        return tuple(board.results[number] for number in range(len(entries)))


def _work(board: Board, attempt: Attempt) -> None:
    while (number := board.next()) is not None:
        board.finish(number, attempt(board.entries[number]))


def _work_at_once(board: Board, attempt: Attempt, sessions: list[Session]) -> None:
    threads = [_slot(board, attempt, session) for session in sessions]
    try:
        for thread in threads:
            thread.start()
        while board.error is None and any(thread.is_alive() for thread in threads):
            time.sleep(STEP_SECONDS)
        if board.error is not None:
            raise board.error
    except BaseException as error:
        board.end(error)
        for thread in threads:
            raise_in(thread)
        join_all(threads, END_SECONDS)
        raise


def _slot(board: Board, attempt: Attempt, session: Session) -> threading.Thread:
    context = copy_context()  # with the Prefect run around, if there is one

    def work() -> None:
        try:
            with within(session):
                _work(board, attempt)
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            board.end(error)

    return threading.Thread(target=context.run, args=(work,), name="batch slot", daemon=True)
