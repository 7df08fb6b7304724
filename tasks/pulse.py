"""How far a long tile is, told by its worker while it is computed: now and then, and never waited for.

worker   log_event(topic of the run, (tile, first slab, share))  -->  scheduler  -->  driver   subscribe_topic
"""

from collections.abc import Callable
from time import monotonic

from distributed import Client, get_worker

BEAT_SECONDS = 1.0
"""A worker tells no more often; tiles that take less tell nothing."""

Hearer = Callable[[int, int, float], None]
"""Is told of a tile, the first of the slabs that its worker is at, and the share of the tile's slabs that are done of those."""


class Pulse:
    """Of one worker at one tile, or a part of it."""

    def __init__(self, run_id: str, tile: int, slabs: tuple[int, int]) -> None:
        """`slabs` are the first one and how many the whole tile has."""
        self._topic, self._tile, (self._first, self._all) = _topic(run_id), tile, slabs
        self._due = monotonic() + BEAT_SECONDS

    def beat(self, done: float) -> None:
        """So many slabs are done; checking and storing the tile is worth another one."""
        if monotonic() >= self._due:
            self._due = monotonic() + BEAT_SECONDS
            _tell(self._topic, [self._tile, self._first, done / (self._all + 1)])


def listen(client: Client, run_id: str, hear: Hearer) -> None:
    """Call `hear`, in a thread of the client's, for every beat of the run from now on."""
    client.subscribe_topic(_topic(run_id), lambda event: hear(*event[1]))


def hang_up(client: Client, run_id: str) -> None:
    """Hear no more of the run."""
    client.unsubscribe_topic(_topic(run_id))


def _topic(run_id: str) -> str:
    return f"gemmflow-{run_id}"


def _tell(topic: str, message: list[float]) -> None:
    try:
        worker = get_worker()
    except ValueError:  # no Dask worker: nobody listens
        return
    worker.log_event(topic, message)
