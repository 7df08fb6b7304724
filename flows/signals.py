"""Ctrl-C, SIGTERM and SIGHUP end a run within five seconds, with nothing left running.

The first signal raises `Stop` in the main thread, so that every `with` and `finally` on the way out does its work, and sets a
deadline. When that passes, or with the second signal, child processes are killed by process id and this process ends.

Where Python cannot let an exception through, in a callback of C code or of the garbage collector, it would print a traceback and
go on: `Stop` is raised once more then, a moment later. From the first signal on, nothing that breaks on the way out is printed.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import psutil

from flows.early import INTERRUPTED, SIGNALS
from tasks.gate import shut_all

GRACE_SECONDS = 4.0
"""From the signal to the end, whatever hangs."""
AGAIN_SECONDS = 0.01
"""From a `Stop` that was lost to the next one."""
WORDS_SECONDS = 1.5
"""How long a forced end may take: children, last words."""


class Stop(KeyboardInterrupt):
    """Somebody asked this process to end. (Not an Exception: nothing on the way may swallow it.)"""


class _Deadline:
    def __init__(self) -> None:
        self.owned = False
        self.last_words: Callable[[], str] = str
        self._timer: threading.Timer | None = None
        self._repeating = False

    @property
    def running(self) -> bool:
        return self._timer is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._repeating:
            self._repeating = False
        elif self.running:
            self._end()
        else:
            self._timer = threading.Timer(GRACE_SECONDS, self._end)
            self._timer.daemon = True
            self._timer.start()
        raise Stop(signal.Signals(number).name)

    def repeat(self) -> None:
        """Raise `Stop` again, soon."""

        def send() -> None:
            self._repeating = self.running
            if self._repeating:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

        timer = threading.Timer(AGAIN_SECONDS, send)
        timer.daemon = True
        timer.start()

    def lift(self) -> None:
        """The way out was found in time."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _end(self) -> None:
        """End this process: within `WORDS_SECONDS`, even where a file system hangs or nobody reads."""
        watchdog = threading.Timer(WORDS_SECONDS, os._exit, (INTERRUPTED,))
        watchdog.daemon = True
        watchdog.start()
        try:
            end_descendants()
            words = self.last_words()
            if words:
                print(words, file=sys.stderr, flush=True)  # noqa: T201
        finally:
            os._exit(INTERRUPTED)


_DEADLINE = _Deadline()


def stopping() -> bool:
    """Whether a signal came: whatever is raised from then on is the interruption, in a wrapping that somebody gave it."""
    return _DEADLINE.running


@contextmanager
def interruptible(last_words: Callable[[], str] = str) -> Generator[None]:
    """Within the block a signal raises `Stop`; `last_words` go to stderr if the end has to be forced."""
    _DEADLINE.owned, _DEADLINE.last_words = True, last_words
    try:
        with _silent_callbacks(), still_interruptible():
            yield
    finally:
        _DEADLINE.owned = False
        _DEADLINE.lift()


@contextmanager
def still_interruptible() -> Generator[None]:
    """Take the signals back within a block that others (Prefect) made theirs; nothing where this process is not ours."""
    if not _DEADLINE.owned or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _DEADLINE.handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _silent_callbacks() -> Generator[None]:
    """No tracebacks of callbacks and threads once a signal came."""
    unraisable, thread_died = sys.unraisablehook, threading.excepthook

    def on_unraisable(lost: "sys.UnraisableHookArgs") -> None:
        if not stopping():
            unraisable(lost)
        elif isinstance(lost.exc_value, Stop):
            _DEADLINE.repeat()

    def on_thread_died(lost: threading.ExceptHookArgs) -> None:
        if not stopping():
            thread_died(lost)

    sys.unraisablehook, threading.excepthook = on_unraisable, on_thread_died
    try:
        yield
    finally:
        sys.unraisablehook, threading.excepthook = unraisable, thread_died


def end_descendants() -> None:
    """Kill every process that this one started, and what those started; workers are not started any more."""
    shut_all()
    family = psutil.Process().children(recursive=True)
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=1)
