"""How far a run is, and how long it still takes: the plan's prediction first, then what is measured."""

from collections.abc import Sequence
from time import monotonic

from tasks.outcome import Measurement, Progress
from tasks.plan import Plan
from tasks.survey import Problem


class Estimate:
    """Counts finished tiles and blends the plan's total time with the measured one, by the share of tiles done.

    Tiles that an earlier run had finished count as done; they took no time of this one. `expected` tiles are still to come: by
    default all that the plan has and are not finished.
    """

    def __init__(self, plan: Plan, problem: Problem, resumed: Sequence[Measurement] = (), expected: int | None = None) -> None:
        self._plan, self._problem = plan, problem
        self._started = monotonic()
        self._resumed = self._tiles = len(resumed)
        self._expected = plan.tiles - len(resumed) if expected is None else expected
        self._parts = 0.0
        """Of the tiles that are not finished, in tiles."""
        self._within: dict[tuple[int, int], float] = {}
        """Of tiles, or their parts, that workers are at: by tile and first slab, in tiles."""
        self._over: set[int | tuple[int, int]] = set()
        """Tiles and parts of which nothing new can be heard, though it may come late."""
        self.has_news = False
        """Whether something was heard since anybody asked for the state."""
        self._bytes = sum(tile.bytes_read + tile.bytes_written for tile in resumed)

    def hear(self, tile: int, first: int, share: float) -> None:
        """A worker is so far with a tile, from its slab `first` on: the share of the whole tile. Called by any thread."""
        self._within[tile, first] = share
        self.has_news = True

    def after(self, measurement: Measurement) -> Progress:
        """The state after one more tile."""
        self._tiles += 1
        self._over.add(measurement.index)
        self._parts = max(0.0, self._parts - 1) if self._plan.parts > 1 else 0.0
        self._bytes += measurement.bytes_read + measurement.bytes_written
        return self.now()

    def after_part(self, tile: int, first: int) -> Progress:
        """The state after one more part of a tile, which began with slab `first`."""
        self._over.add((tile, first))
        self._parts = min(self._parts + 1 / self._plan.parts, self._resumed + self._expected - self._tiles)
        return self.now()

    def now(self) -> Progress:
        """The state at this moment."""
        self.has_news, expected = False, self._expected
        done = min(self._tiles + self._parts + self._begun(), self._resumed + expected)
        here = done - self._resumed
        share = here / expected if expected else 1.0
        seconds, predicted = monotonic() - self._started, self._plan.predicted.seconds * expected / self._plan.tiles
        measured = seconds / share if share else predicted
        total = share * measured + (1 - share) * max(predicted, seconds)
        return Progress(
            tiles_done=self._tiles,
            tiles=self._resumed + expected,
            flops_done=self._plan.flops * done / self._plan.tiles,
            flops=self._plan.flops * (self._resumed + expected) / self._plan.tiles,
            bytes_moved=self._bytes,
            seconds=seconds,
            seconds_left=(1 - share) * total,
        )

    def _begun(self) -> float:
        """Tiles that are done of those that workers are at."""
        for place in [place for place in list(self._within) if place[0] in self._over or place in self._over]:
            self._within.pop(place, None)
        return sum(list(self._within.values()))
