"""What a run took, summed up from the records of its tiles: of all that were computed, also those that are not the product's.

Lanes are seconds of one worker (the mean over the workers of the plan), because that is what the plan predicts; bytes are
sums; peak memory is the sum of every worker's own peak, an upper bound of what was ever resident at one moment.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tasks.outcome import Measurement
from tasks.plan import LANES


@dataclass(frozen=True)
class WorkerRecord:
    """One worker's share of a run."""

    address: str
    tiles: int
    started: float
    """Seconds since the epoch: start of its first tile."""
    finished: float
    """End of its last tile."""
    busy: float
    """Seconds inside tiles."""
    peak_bytes: int
    """Most resident bytes it ever held."""

    @property
    def utilisation(self) -> float:
        """Share of the time between its first and last tile that it worked, 0 to 1."""
        span = self.finished - self.started
        return min(1.0, self.busy / span) if span > 0 else 1.0


@dataclass(frozen=True)
class Measured:
    """A whole run."""

    lanes: dict[str, float]
    """Seconds of one worker by lane."""
    bytes_read: int
    """Decoded bytes of A and B."""
    bytes_written: int
    """Bytes of C before compression."""
    peak_memory_bytes: int
    """Sum of the workers' peaks."""
    workers: tuple[WorkerRecord, ...]
    """In the order of their first tile."""


def sum_up(measurements: Sequence[Measurement], workers: int) -> Measured:
    """Totals of what was computed by a run that had `workers` workers: a tile counts as often as it was."""
    records = _records(measurements)
    totals = {lane: sum(tile.lanes.get(lane, 0.0) for tile in _pieces(measurements)) for lane in LANES}
    return Measured(
        lanes={lane: seconds / max(1, workers) for lane, seconds in totals.items()},
        bytes_read=sum(tile.bytes_read for tile in measurements),
        bytes_written=sum(tile.bytes_written for tile in measurements),
        peak_memory_bytes=sum(record.peak_bytes for record in records),
        workers=records,
    )


def by_worker(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """Tiles and shares of tiles of each worker in the order of their start; workers in the order of their first."""
    groups: dict[str, list[Measurement]] = defaultdict(list)
    for tile in sorted(_pieces(measurements), key=lambda tile: tile.started):
        groups[tile.worker].append(tile)
    return dict(groups)


def _pieces(measurements: Iterable[Measurement]) -> list[Measurement]:
    """The tiles, and what others did for them as if that were tiles."""
    whole = list(measurements)
    return whole + [replace(tile, shares=(), **vars(share)) for tile in whole for share in tile.shares]


def _records(measurements: Sequence[Measurement]) -> tuple[WorkerRecord, ...]:
    return tuple(
        WorkerRecord(
            address=address,
            tiles=len(tiles),
            started=tiles[0].started,
            finished=max(tile.finished for tile in tiles),
            busy=sum(tile.finished - tile.started for tile in tiles),
            peak_bytes=max(tile.peak_bytes for tile in tiles),
        )
        for address, tiles in by_worker(measurements).items()
    )
