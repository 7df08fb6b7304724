"""A sender that never holds up who sends: one daemon thread, the newest message of each kind, nothing after the first failure.

A server that does not answer keeps a client in retries for minutes. That is the thread's affair: it is waited for at most
`SETTLE_SECONDS`, and a process may end without it.
"""

from collections.abc import Callable
from contextvars import copy_context
from threading import Condition, Thread

SETTLE_SECONDS = 2.0
"""How long the last messages may take at the end of a run."""

Message = Callable[[], object]
Send = Callable[[str, Message], None]
"""The kind of a message, and the call that sends it."""


class Sender:
    """Sends for one run. Its thread lives only while something waits."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: dict[str, Message] = {}
        self._busy = False
        self._over = False

    def send(self, kind: str, message: Message) -> None:
        """Have `message` called soon, in the caller's context, in place of one of its kind that still waits."""
        context = copy_context()
        with self._changed:
            if self._over:
                return
            self._waiting[kind] = lambda: context.run(message)
            if not self._busy:
                self._busy = True
                Thread(target=self._work, name="artifacts", daemon=True).start()

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until everything is sent or has failed, but no longer than this; what is late then is given up."""
        with self._changed:
            self._over = not self._changed.wait_for(lambda: not self._busy, seconds) or self._over

    def _work(self) -> None:
        while (message := self._next()) is not None:
            try:
                message()
            except BaseException:  # noqa: BLE001 - whatever a client meets costs the picture, not the run
                self._over = True

    def _next(self) -> Message | None:
        with self._changed:
            if self._over or not self._waiting:
                self._busy = False
                self._changed.notify_all()
                return None
            return self._waiting.pop(next(iter(self._waiting)))
