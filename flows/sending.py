"""A sender that never holds up who sends: one daemon thread, the newest message of each kind, tried again while it fails.

A server that does not answer keeps a client in retries for minutes. That is the thread's affair: it is waited for at most
`SETTLE_SECONDS`, and a process may end without it. Where Prefect is left, senders get one more moment, with `ended_senders`: a
server that was away may be back.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, copy_context
from threading import Condition, Thread
from time import monotonic
from weakref import WeakSet

SETTLE_SECONDS = 2.0
"""How long the last messages may take at the end of a run."""

PAUSE_SECONDS = 1.0
"""From a failure to the next try."""

Message = Callable[[], object]
Send = Callable[[str, Message], None]
"""The kind of a message, and the call that sends it."""


_SENDERS: "ContextVar[WeakSet[Sender]]" = ContextVar("senders", default=WeakSet())  # noqa: B039 - of those whom nobody ends


@contextmanager
def ended_senders(seconds: float = SETTLE_SECONDS) -> Generator[None]:
    """Give every sender that is made within the block a last moment at its end, no longer than this together."""
    token = _SENDERS.set(WeakSet())
    try:
        yield
    finally:
        deadline = monotonic() + seconds
        for sender in tuple(_SENDERS.get()):
            sender.end(max(0.0, deadline - monotonic()))
        _SENDERS.reset(token)


class Sender:
    """Sends for one run. Its thread lives only while something waits."""

    def __init__(self, attempt: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """`attempt()` is entered around each try."""
        _SENDERS.get().add(self)
        self._attempt = attempt
        self._changed = Condition()
        self._waiting: dict[str, Message] = {}
        self._busy = False
        self._begun = self._failed = 0
        """Tries so far, and which of them failed last."""
        self._asked = self._heard = 0
        """How often somebody waited for the end, and how often before the latest try."""
        self._over = False

    def send(self, kind: str, message: Message) -> None:
        """Have `message` called soon, in the caller's context, in place of one of its kind that still waits."""
        context = copy_context()
        with self._changed:
            if self._over:
                return
            self._waiting[kind] = lambda: context.copy().run(self._try, message)
            if not self._busy:
                self._busy = True
                Thread(target=self._work, name="artifacts", daemon=True).start()

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until everything is sent, but no longer than this, and not for what fails once more; the thread goes on trying."""
        with self._changed:
            self._asked, before = self._asked + 1, self._begun
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy or self._failed > before, seconds)

    def end(self, seconds: float = SETTLE_SECONDS) -> None:
        """The same, and what is not sent then is given up."""
        self.settle(seconds)
        with self._changed:
            self._over = True
            self._waiting.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        while (found := self._next()) is not None:
            kind, message = found
            try:
                message()
            except BaseException:  # noqa: BLE001 - whatever a client meets costs the picture, not the run
                self._again(kind, message)

    def _try(self, message: Message) -> None:
        with self._attempt():
            message()

    def _next(self) -> tuple[str, Message] | None:
        with self._changed:
            if not self._waiting:
                self._busy = False
                self._changed.notify_all()
                return None
            self._begun, self._heard = self._begun + 1, self._asked
            kind = next(iter(self._waiting))
            return kind, self._waiting.pop(kind)

    def _again(self, kind: str, message: Message) -> None:
        """Put a message back in its place, unless a newer one of its kind waits; then pause."""
        with self._changed:
            if self._over:
                return
            self._waiting = {kind: self._waiting.get(kind, message)} | self._waiting
            self._failed = self._begun
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._asked > self._heard, PAUSE_SECONDS)
