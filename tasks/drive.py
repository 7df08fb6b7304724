"""The driver's loop over raw Dask futures, a few a worker, each one tile.

    queues --> window of WINDOW tiles a worker --> measurement --> journal, progress, next tile for that worker

A future is released as soon as its record is here: what Dask no longer holds, a dead worker cannot make it compute again.
Beside the loop `tasks.watch` syncs the journal and looks who is there.
A tile that its probes refuse, that stands out or that misses what was asked is computed once more, elsewhere and from fresh buffers:
`tasks.doubts` rules what becomes of it, `tasks.ascent` in which arithmetic. A tile whose worker died is given to another. Nothing
else is retried: bad input stays bad. What stands out was recorded when it landed, so that is taken back in the journal first.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import cycle
from time import monotonic, sleep

from distributed import CancelledError, KilledWorker
from distributed.comm.core import CommClosedError

from storage import OpenJournal
from tasks.alarm import yard_of
from tasks.ascent import Ascent
from tasks.cluster import Cluster
from tasks.dispatch import Air, Errand, Flight
from tasks.doubts import Doubts
from tasks.errors import NotCertified, WorkersLost
from tasks.in_time import in_time
from tasks.narrow import narrowed
from tasks.outcome import Measurement, Outcome, Progress
from tasks.prepare import Run, greet
from tasks.progress import Estimate
from tasks.pulse import hang_up, listen
from tasks.remote import release
from tasks.resume import retract_record, tile_record
from tasks.roster import Roster, most_workers
from tasks.units import format_bytes
from tasks.walk import Queues
from tasks.watch import ALONE_SECONDS, Watch

WINDOW = 2
"""Tiles of a worker in flight: one runs, the next is there already."""

MOST_DEATHS = 3
"""Times that one tile may lose its worker."""

RELEASE_SECONDS = 2.0
"""How long the workers may take to free their buffers at the end."""

Observer = Callable[[Progress], None]


class Drive:
    """The state of one multiplication in the driver."""

    def __init__(self, run: Run, cluster: Cluster, journal: OpenJournal, observe: Observer) -> None:
        self.run, self.cluster, self.journal, self.observe = run, cluster, journal, observe
        self.recipe = run.recipe
        self.ascent = Ascent(run.plan, self.recipe, run.resumed)
        self.roster = Roster(cluster, (run.plan.workers, most_workers(run.plan, run.job.workers)), partial(greet, run))
        self.pilots = [index for index in run.pending if index in self.ascent.pilots]
        waiting = [index for index in run.pending if index not in self.ascent.pilots]
        workers = self.roster.workers
        self.queues = Queues(waiting, workers, self.recipe.walk.weights(waiting, len(workers)))
        self.air = Air(cluster.client, run.job.priority)
        self.deaths: Counter[int] = Counter()
        self.missed: list[Measurement] = []
        """Tiles that were computed again in a better arithmetic, oldest first."""
        self.doubted: list[Measurement] = []
        """Computations that were in doubt, and are not the product's."""
        self.again: Counter[int] = Counter()
        """Times that a tile was computed again because it was in doubt."""
        self.retracted: set[int] = set()
        self.narrowed = max((tile.narrowed for tile in run.resumed), default=0)
        """Steps by which the tiles that follow need less memory than planned: so many were needed by one."""
        self.done = {tile.index: tile for tile in run.resumed}
        self.doubts = Doubts(yard_of(run.plan), run.resumed)
        self.estimate = Estimate(run.plan, run.problem, run.resumed, len(run.pending))
        self.watch = Watch(run, journal, self.roster, self.air.cancel)
        self.died_early = cluster.new_deaths()

    @property
    def lost(self) -> bool:
        """Whether another run has taken the folder over."""
        return self.run.lease is not None and self.run.lease.lost.is_set()

    @property
    def finished_nothing(self) -> bool:
        """Whether no tile was ever recorded, and no partial sums are kept."""
        kept = self.run.plan.parts > 1 and self.run.hold.has_sums()
        return not (self.done or self.retracted or self.narrowed or kept)

    @property
    def left(self) -> int:
        """Tiles that are not computed yet."""
        return len(self.run.pending) + len(self.run.resumed) - len(self.done)

    def to_the_end(self) -> Outcome:
        """Compute what is pending; raises what `tasks.run.multiply` does."""
        started = monotonic()
        self.watch.start()
        listen(self.cluster.client, self.recipe.run_id, self.estimate.hear)
        self._fly_pilots()
        if not self.left:
            self._look(None)
        for _ in range(WINDOW):
            for worker in self.roster.workers:
                self._send_next(worker)
        for flight in self.air.landing(self._part_landed, self._waiting):
            self._send_next(self._land(flight))
            self._receive()
        if self.left:
            raise WorkersLost(f"{self.left} tiles were never computed: no worker is left")
        self.journal.sync()
        every = tuple(self.done[index] for index in sorted(self.done))
        retried = self.deaths.total() + self.again.total() + len(self.missed)
        missed = self.ascent.climbed(every)
        came = self.roster.joined, tuple(self.roster.refused.values()), self.died_early
        self.cluster.new_deaths()  # those that died meanwhile are no loss of the next run on these workers
        repeated = (*self.missed, *self.doubted)
        return Outcome(every, monotonic() - started, retried, len(self.run.resumed), missed, self.doubts.retired, *came, repeated)

    def _fly_pilots(self) -> None:
        """Compute the first tiles, and find out where the others start; what missed is then computed again."""
        for index, worker in zip(self.pilots, cycle(self.roster.workers), strict=False):
            self._send(index, worker)
        for flight in self.air.landing(self._part_landed, self._waiting):
            self._land(flight)
        self.ascent.settle()
        for tile in tuple(self.missed):
            self._send(tile.index, tile.worker)
        self.pilots = []

    def stop(self) -> None:
        """Take back what is still out, and free the workers' buffers."""
        self.watch.end()
        with suppress(Exception):
            hang_up(self.cluster.client, self.recipe.run_id)
        with suppress(Exception):
            self.air.cancel()
            in_time(self.cluster.client.loop, lambda: self.cluster.client.run(release), RELEASE_SECONDS)

    def _send_next(self, worker: str) -> None:
        fit = self.doubts.fit([worker])
        index = self.queues.next_for(worker, idle=not self.air.load[worker]) if fit else None
        if index is not None:
            self._send(index, worker)

    def _send(self, index: int, worker: str) -> None:
        errand = Errand(narrowed(self.ascent.recipe(index), self.narrowed), self.recipe.walk[index], int(index in self.again))
        self.air.send(errand, self._round(worker))

    def _round(self, first: str) -> list[str]:
        """The workers in turn, this one first: parts of a tile go round them."""
        fit = self.doubts.fit(self.roster.workers)
        place = fit.index(first) if first in fit else 0
        return [first, *fit[place + 1 :], *fit[:place]]

    def _part_landed(self, index: int, part: int) -> None:
        walk = self.recipe.walk
        first, *_ = walk.part(walk[index], part, self.recipe.parts)
        self.observe(self.estimate.after_part(index, first))

    def _waiting(self) -> None:
        self._receive()
        if self.estimate.has_news:
            self.observe(self.estimate.now())

    def _receive(self) -> None:
        """Give tiles to workers that joined, unless first tiles are still out."""
        for worker in () if self.pilots else self.roster.arrived():
            self._send_next(worker)

    def _land(self, flight: Flight) -> str:
        """Book a finished tile; returns the worker that is free now."""
        try:
            measurement = self.air.record(flight)
        except CommClosedError as error:
            raise self.cluster.gone() from error
        except (KilledWorker, CancelledError) as error:
            return self._lost(flight.index, error)
        finally:
            self.air.over(flight)  # only now: a record that died with its worker is waited for like any other
        self.narrowed = max(self.narrowed, measurement.narrowed)
        if self.doubts.confirms_miss(measurement):
            self._miss(measurement)
            return measurement.worker
        record = self.doubts.hear(measurement)
        if record is not None:
            self._accept(record)
        else:
            self._compute_again(measurement)
        self._look(record)
        return measurement.worker

    def _accept(self, measurement: Measurement) -> None:
        self.done[measurement.index] = measurement
        self.journal.append(tile_record(measurement))
        if measurement.index not in self.retracted:
            self.observe(self.estimate.after(measurement))

    def _miss(self, measurement: Measurement) -> None:
        self.ascent.missed(measurement)
        self.missed.append(measurement)
        if not self.pilots:
            self._send(measurement.index, measurement.worker)

    def _look(self, landed: Measurement | None) -> None:
        """Take back what stands out, if anything does, and compute it again."""
        suspect = self.doubts.suspect(landed, self.done, over=not self.left)
        if suspect is not None:
            self.journal.append(retract_record(suspect.index))
            self.journal.sync()
            self.retracted.add(suspect.index)
            del self.done[suspect.index]
            self.ascent.repeat(suspect)
            self._compute_again(suspect)
        if self.doubts.retired:
            self._fit()

    def _compute_again(self, doubted: Measurement) -> None:
        index = doubted.index
        self.doubted.append(doubted)
        self.again[index] += 1
        self._send(index, self.doubts.next_for(index, self._fit()))

    def _fit(self) -> list[str]:
        """The workers that may compute, at least one; raises NotCertified where all that are alive computed wrong tiles, WorkersLost."""
        fit = self.doubts.fit(alive := self._living())
        if alive and not fit:
            wrong = " and ".join(one.line for one in self.doubts.retired)
            raise NotCertified(f"{wrong}, and no other worker is left: check this hardware")
        if not alive:
            raise WorkersLost(f"no worker is left, {self.left} of {self.run.plan.tiles} tiles are not computed: see why they died")
        return fit

    def _lost(self, index: int, error: BaseException) -> str:
        if self.lost:
            raise self.run.hold.taken_over()
        self.deaths[index] += error.allowed_failures + 1 if isinstance(error, KilledWorker) else 1  # Dask has tried so often itself
        fit = self._fit()
        if self.deaths[index] > MOST_DEATHS:
            raise WorkersLost(self._killer(index, error))
        self._send(index, fit[index % len(fit)])
        return fit[index % len(fit)]

    def _killer(self, index: int, error: BaseException) -> str:
        """Which tile kills workers, and the likeliest cause."""
        last = f", last {error.last_worker.address}" if isinstance(error, KilledWorker) else ""
        each = format_bytes(self.run.plan.predicted.peak_memory_bytes / self.run.plan.workers)
        return (
            f"tile {index} lost its worker {self.deaths[index]} times{last}; where they were killed for their memory, start them with a "
            f"limit well above {each} each or with none (--memory-limit 0), or run with a smaller --memory: their logs say which it was"
        )

    def _living(self) -> tuple[str, ...]:
        """The workers that are there, after a while if all of them are just being replaced."""
        deadline = monotonic() + ALONE_SECONDS
        while not (alive := self.cluster.workers) and monotonic() < deadline:
            sleep(0.1)
        return alive
