"""What goes on beside the driver's loop while tiles are computed, once a second, in a thread of its own.

journal     synced: a power failure costs the tiles in flight and those recorded since; a killed process the former alone
roster      workers that joined, left, hang
the air     cancelled when what is out can come to nothing: every worker is gone or another one, the folder is lost, or nothing was
            heard of the scheduler for as long as it may take to answer
"""

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from time import monotonic

from storage import OpenJournal
from tasks.cluster import SILENT_SECONDS
from tasks.prepare import Run
from tasks.roster import Roster

LOOK_SECONDS = 1.0
"""At most this much recorded work is not yet durable against a power failure."""

ALONE_SECONDS = 20.0
"""How long a run waits without any worker."""


class Watch:
    """The thread, until `end`."""

    def __init__(self, run: Run, journal: OpenJournal, roster: Roster, cancel: Callable[[], None]) -> None:
        self._run, self._journal, self._roster, self._cancel = run, journal, roster, cancel
        self._over = Event()

    def start(self) -> None:
        """Begin."""
        Thread(target=self._watch, name="workers watch", daemon=True).start()

    def end(self) -> None:
        """Look no more; does not wait."""
        self._over.set()

    def _watch(self) -> None:
        """Dask offers a waiting task to a new worker only if it was meant for that worker, even where others are allowed."""
        known, seen = set(self._roster.workers), monotonic()
        heard = seen
        while not self._over.wait(LOOK_SECONDS):
            with suppress(Exception):
                self._sync()
            with suppress(Exception):
                alive = set(self._roster.look())
                heard = monotonic()
                replaced = bool(alive) and known.isdisjoint(alive)
                known, seen = (alive, heard) if alive else (known, seen)
                if replaced or self._lost or heard - seen > ALONE_SECONDS:
                    self._cancel()
            with suppress(Exception):
                if monotonic() - heard > SILENT_SECONDS:
                    self._cancel()

    def _sync(self) -> None:
        if self._run.staging.durability == "power":
            self._journal.sync()  # what fails here fails again where the next tile is recorded

    @property
    def _lost(self) -> bool:
        return self._run.lease is not None and self._run.lease.lost.is_set()
