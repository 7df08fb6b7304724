"""Turns of a process's threads with its buffers: one tile at a time, and nobody frees them while one is computed.

A driver that stops has the buffers of all its workers freed. What a device is about to read, or a stream to copy, must stay until then.
"""

from threading import Event, Lock
from types import TracebackType

from tasks.workspace import release


class Turns:
    """A context manager: its block has the buffers for itself."""

    def __init__(self) -> None:
        self._lock, self._unwanted = Lock(), Event()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()
        self._free()

    def free(self) -> None:
        """Have the buffers freed: at once, or by who has his turn, when it is over. Waits for nobody."""
        self._unwanted.set()
        self._free()

    def _free(self) -> None:
        if self._unwanted.is_set() and self._lock.acquire(blocking=False):
            try:
                self._unwanted.clear()
                release()
            finally:
                self._lock.release()


ONE_AT_A_TIME = Turns()
"""A process has one set of buffers, so workers that somebody started with several threads take turns."""
