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
        self._bytes = sum(tile.bytes_read + tile.bytes_written for tile in resumed)

    def after(self, measurement: Measurement) -> Progress:
        """The state after one more tile."""
        self._tiles += 1
        self._bytes += measurement.bytes_read + measurement.bytes_written
        return self.now()

    def now(self) -> Progress:
        """The state at this moment."""
        here, expected = self._tiles - self._resumed, self._expected
        share = here / expected if expected else 1.0
        seconds, predicted = monotonic() - self._started, self._plan.predicted.seconds * expected / self._plan.tiles
        measured = seconds / share if share else predicted
        total = share * measured + (1 - share) * max(predicted, seconds)
        return Progress(
            tiles_done=self._tiles,
            tiles=self._resumed + expected,
            flops_done=self._plan.flops * self._tiles / self._plan.tiles,
            flops=self._plan.flops * (self._resumed + expected) / self._plan.tiles,
            bytes_moved=self._bytes,
            seconds=seconds,
            seconds_left=(1 - share) * total,
        )
