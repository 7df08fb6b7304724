"""Who is there while a run goes on: workers that join get tiles, workers that leave lose only theirs, and one that hangs is let go.

Asked about once a second, beside the driver's loop:

    unknown address     the handshake of `prepare`, for it alone; then it is told to the loop, or named as refused
    known, gone         Dask gives its tiles to others
    known, silent       no sign of life for HUNG_SECONDS (stopped, swapping, cut off): the scheduler is told to drop it

A worker more than the plan counts on is used while the plan's memory for each of them fits in the budget of all.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from tasks.cluster import Cluster
from tasks.errors import GemmflowError
from tasks.plan import Plan

HUNG_SECONDS = 60.0
"""How long a worker may say nothing; one that works says something at least every few seconds, beside its computing."""

DROP_SECONDS = 10.0
"""How long the scheduler may take to drop a worker."""

Greet = Callable[[Cluster], None]


def most_workers(plan: Plan, asked: int | None) -> int:
    """How many may hold tiles at a time: those of the plan where the caller asked for so many, else as many as fit in its memory."""
    if asked is not None:
        return plan.workers
    each = plan.predicted.peak_memory_bytes / plan.workers
    return max(plan.workers, int(plan.memory_limit // each)) if each else plan.workers


class Roster:
    """The workers of a run. `look` belongs to one thread, `arrived` to another."""

    def __init__(self, cluster: Cluster, counts: tuple[int, int], greet: Greet) -> None:
        """`counts`: with how many workers it begins, and how many there may be."""
        (planned, most), there = counts, cluster.workers or cluster.present()
        self._cluster, self._planned, self._most, self._greet = cluster, planned, most, greet
        self.workers: tuple[str, ...] = there[:planned]
        """Those that may get tiles, gone ones left out."""
        self._spare = frozenset(there[planned:])
        """There from the beginning and not needed: each takes the place of one that leaves."""
        self.refused: dict[str, str] = {}
        """Why a worker that joined gets none, by address."""
        self.joined = 0
        """Workers that came later."""
        self._arrived: deque[str] = deque()
        self._signs: dict[str, tuple[float, float]] = {}
        """Latest sign of life by address: the scheduler's time of it, and when it was seen here; clocks of hosts may differ, and jump."""

    def arrived(self) -> list[str]:
        """Those that joined since the last call."""
        return [self._arrived.popleft() for _ in range(len(self._arrived))]

    def look(self) -> tuple[str, ...]:
        """Everybody who is alive now; greets who came, drops who hangs."""
        signs = self._cluster.signs_of_life
        for address in self._hung(signs):
            self._drop(address)
        alive = tuple(sorted(signs))
        self.workers = tuple(worker for worker in self.workers if worker in signs)
        for address in alive:
            if address not in self.workers and address not in self.refused and len(self.workers) < self._room(address):
                self._welcome(address)
        return alive

    def _room(self, address: str) -> int:
        return self._planned if address in self._spare else self._most

    def _welcome(self, address: str) -> None:
        try:
            self._greet(self._cluster.among([address]))
        except GemmflowError as error:
            self.refused[address] = str(error)
            return
        self.workers = (*self.workers, address)
        self.joined += 1
        self._arrived.append(address)

    def _hung(self, signs: dict[str, float]) -> Sequence[str]:
        now = monotonic()
        self._signs = {address: self._seen(address, sign, now) for address, sign in signs.items()}
        return [address for address, (_, seen) in self._signs.items() if now - seen > HUNG_SECONDS]

    def _seen(self, address: str, sign: float, now: float) -> tuple[float, float]:
        known = self._signs.get(address)
        return known if known is not None and known[0] == sign else (sign, now)

    def _drop(self, address: str) -> None:
        with suppress(Exception):  # it is asked again at the next look
            self._cluster.drop(address, DROP_SECONDS)
