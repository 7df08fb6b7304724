"""A function as a Prefect task, perhaps with a limit on how many run at once: a server that is away costs the limit, not the work.

Prefect asks its server for a slot before a task with tags, and gives it back after it. Where the server cannot be asked the work is
done without a slot, and what was done counts, whatever Prefect makes of its end. Whoever waits in line is told so.
"""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Timer
from typing import Generic, TypeVar

from prefect import Task

from flows.recording import answers, is_away, one_try
from flows.session import open_session
from flows.signals import stopping

R = TypeVar("R")

LINE_SECONDS = 10.0
"""Whoever has no slot after so long waits in line."""

Wrap = Callable[[Callable[[], None]], "Task[[], None]"]
"""Makes the task of a function."""


@dataclass
class Limited(Generic[R]):
    """One call of a function, closed to Prefect, which would walk through every value in search of futures."""

    function: Callable[[], R]
    tags: tuple[str, ...] = ()
    begun: bool = False
    results: list[R] = field(default_factory=list["R"])
    hurry: ExitStack = field(default_factory=ExitStack)
    """Open while Prefect has the task."""

    def run(self, wrap: Wrap) -> R:
        """The function's result, or its error."""
        try:
            with self._line(), self.hurry:
                wrap(self._work)()
        except Exception as error:
            if stopping() or (not self.results and (self.begun or not is_away(error))):
                raise
        return self.results.pop() if self.results else self.function()

    def _work(self) -> None:
        self.begun = True
        try:
            self.results.append(self.function())
        finally:
            if self.tags and not answers():  # or giving back the slot would be tried for a minute
                self.hurry.enter_context(one_try())

    @contextmanager
    def _line(self) -> Generator[None]:
        """Within the block it is said, once, that this waits in line: where it has a limit, and has not begun by then."""
        if not self.tags:
            yield
            return
        with open_session() as session:
            tell = session.notify
        waiting = f"waiting for a slot of the limit {' and '.join(self.tags)}: others that have one are at work"
        line = Timer(LINE_SECONDS, lambda: None if self.begun else tell(waiting))
        line.daemon = True
        line.start()
        try:
            yield
        finally:
            line.cancel()
