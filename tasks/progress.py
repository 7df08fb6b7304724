"""How far a run is, and how long it still takes: the plan's prediction first, then what is measured."""

from time import monotonic

from tasks.outcome import Measurement, Progress
from tasks.plan import Plan
from tasks.survey import Problem


class Estimate:
    """Counts finished tiles and blends the plan's total time with the measured one, by the share of tiles done."""

    def __init__(self, plan: Plan, problem: Problem) -> None:
        self._plan, self._problem = plan, problem
        self._started = monotonic()
        self._tiles = 0
        self._bytes = 0

    def after(self, measurement: Measurement) -> Progress:
        """The state after one more tile."""
        self._tiles += 1
        self._bytes += measurement.bytes_read + measurement.bytes_written
        return self.now()

    def now(self) -> Progress:
        """The state at this moment."""
        share = self._tiles / self._plan.tiles
        seconds = monotonic() - self._started
        measured = seconds / share if share else self._plan.predicted.seconds
        total = share * measured + (1 - share) * max(self._plan.predicted.seconds, seconds)
        return Progress(
            tiles_done=self._tiles,
            tiles=self._plan.tiles,
            flops_done=self._problem.flops * share,
            flops=self._problem.flops,
            bytes_moved=self._bytes,
            seconds=seconds,
            seconds_left=(1 - share) * total,
        )
