"""Whether worker processes may still be started.

Workers are started in threads: one opens a cluster ahead of its use, others replace workers that die. Whoever ends them all from
outside has to know that none is on its way. A gate that is shut lets none through, and `shut` returns when none is.
"""

import threading
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakSet

from tasks.errors import GemmflowError

T = TypeVar("T")

SHUT_SECONDS = 1.0
"""How long `shut` waits for the one that is on its way."""


class Gate:
    """What the processes of one cluster go through. Shut once, it stays shut."""

    def __init__(self) -> None:
        self._shut = False
        self._passing = threading.RLock()  # a signal's handler may shut it in the middle of a start
        with _MAKING:
            _GATES.add(self)

    def check(self) -> None:
        """Raise GemmflowError when it is shut."""
        if self._shut:
            raise GemmflowError("the workers were ended while they started")

    def start(self, process: Callable[[], T]) -> T:
        """What `process` starts. Raises GemmflowError when the gate is shut."""
        with self._passing:
            self.check()
            return process()

    def shut(self) -> None:
        """Let none through from now on."""
        self._shut = True
        if self._passing.acquire(timeout=SHUT_SECONDS):
            self._passing.release()


_GATES: WeakSet[Gate] = WeakSet()
_MAKING = threading.RLock()


def shut_all() -> None:
    """Shut every gate of this process: it ends, and nothing that it started may outlive it."""
    with _MAKING:
        gates = list(_GATES)
    for gate in gates:
        gate.shut()
