"""What surrounds the runs of one command or call: when it began, which workers and which Prefect are open, who watches.

The session is a context variable, so that a flow needs no parameter that Prefect's form could not show. A run that Prefect
starts by itself, without a session, gets one of its own.
"""

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.pool import ClusterPool
from tasks.outcome import Progress

if TYPE_CHECKING:
    from tasks.report import Report

Observer = Callable[[Progress], None]


def say_nothing(text: str) -> None:
    """For who wants no words."""
    del text


@dataclass
class Session:
    """Shared by the runs of one command."""

    started: float = field(default_factory=time.time)
    """Seconds since the epoch: the start of the process, or of the call. Each run after the first starts anew."""
    observers: tuple[Observer, ...] = ()
    notify: Callable[[str], None] = say_nothing
    """Says a word to the person who waits."""
    pool: ClusterPool = field(default_factory=ClusterPool)
    report: "Report | None" = None
    """Of the latest run; None until its result is published."""
    _entered: dict[str, ExitStack] = field(default_factory=dict[str, ExitStack])

    def keep(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        """Enter `make()` once, and leave it when the session ends."""
        if make.__name__ not in self._entered:
            with ExitStack() as stack:
                stack.enter_context(make())
                self._entered[make.__name__] = stack.pop_all()

    def close(self) -> None:
        """End everything that is open."""
        with ExitStack() as stack:
            stack.callback(self.pool.close)
            for entered in self._entered.values():
                stack.push(entered)

    def warn(self, text: str) -> None:
        """Say it, where there is something to say."""
        if text:
            self.notify(text)

    def observe(self, progress: Progress) -> None:
        """Tell everybody who watches."""
        for observer in self.observers:
            observer(progress)


_SESSION: ContextVar[Session | None] = ContextVar("gemmflow session", default=None)


@contextmanager
def open_session(session: Session | None = None) -> Generator[Session]:
    """The session that is open already; else `session`, which ends with the block."""
    known = _SESSION.get()
    if known is not None:
        yield known
        return
    fresh = session or Session()
    token = _SESSION.set(fresh)
    try:
        yield fresh
    finally:
        _SESSION.reset(token)
        fresh.close()
