"""How far a long tile is, told by its worker while it is computed: now and then, and never waited for.

worker   log_event(topic, (run, tile, first slab, share))  -->  scheduler  -->  driver   subscribe_topic

A scheduler never forgets a topic, and keeps the last messages of each: so there are a few, which runs share.
"""

from collections.abc import Callable
from functools import partial
from time import monotonic
from zlib import crc32

from distributed import Client, get_worker

TOPICS = 16

BEAT_SECONDS = 1.0
"""A worker tells no more often; tiles that take less tell nothing."""

Hearer = Callable[[int, int, float], None]
"""Is told of a tile, the first of the slabs that its worker is at, and the share of the tile's slabs that are done of those."""


class Pulse:
    """Of one worker at one tile, or a part of it."""

    def __init__(self, run_id: str, tile: int, slabs: tuple[int, int]) -> None:
        """`slabs` are the first one and how many the whole tile has."""
        self._run_id, self._tile, (self._first, self._all) = run_id, tile, slabs
        self._due = monotonic() + BEAT_SECONDS

    def beat(self, done: float) -> None:
        """So many slabs are done; checking and storing the tile is worth another one."""
        if monotonic() >= self._due:
            self._due = monotonic() + BEAT_SECONDS
            _tell(topic_of(self._run_id), [self._run_id, self._tile, self._first, done / (self._all + 1)])


Hearers = dict[str, Hearer]
"""By run."""

_HEARERS: dict[tuple[str, str], Hearers] = {}
"""Of each client, by its id, and topic: Dask has one handler for both."""


def listen(client: Client, run_id: str, hear: Hearer) -> None:
    """Call `hear`, in a thread of the client's, for every beat of the run from now on."""
    topic = topic_of(run_id)
    hearers = _HEARERS.setdefault((client.id, topic), {})
    hearers[run_id] = hear
    client.subscribe_topic(topic, partial(_pass_on, hearers))


def hang_up(client: Client, run_id: str) -> None:
    """Hear no more of the run, and let go of who heard."""
    topic = topic_of(run_id)
    hearers = _HEARERS.get((client.id, topic), {})
    if hearers.pop(run_id, None) is not None and not hearers:
        del _HEARERS[client.id, topic]
        client.unsubscribe_topic(topic)


def topic_of(run_id: str) -> str:
    """The topic that a run shares with others."""
    return f"gemmflow-{crc32(run_id.encode()) % TOPICS}"


def _pass_on(hearers: Hearers, event: tuple[float, tuple[str, int, int, float]]) -> None:
    run_id, tile, first, share = event[1]
    if hear := hearers.get(run_id):
        hear(tile, first, share)


def _tell(topic: str, message: list[str | float]) -> None:
    try:
        worker = get_worker()
    except ValueError:  # no Dask worker: nobody listens
        return
    worker.log_event(topic, message)
