"""The driver's loop over raw Dask futures, a few a worker, each one tile.

    queues --> window of WINDOW tiles a worker --> measurement --> journal, progress, next tile for that worker

A future is released as soon as its record is here: what Dask no longer holds, a dead worker cannot make it compute again.
The journal is synced every SYNC_SECONDS: a power failure costs the tiles in flight and those recorded since; a killed process
costs the tiles in flight alone.
A tile that its probes refuse, that stands out or that misses what was asked is computed once more, elsewhere and from fresh buffers:
`tasks.doubts` rules what becomes of it, `tasks.ascent` in which arithmetic. A tile whose worker died is given to another. Nothing
else is retried: bad input stays bad. What stands out was recorded when it landed, so that is taken back in the journal first.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from threading import Event, Thread
from time import monotonic, sleep

from distributed import CancelledError, KilledWorker

from storage import OpenJournal
from tasks.alarm import yard_of
from tasks.ascent import Ascent
from tasks.clusters import Cluster
from tasks.dispatch import Air, Errand, Flight
from tasks.doubts import Doubts
from tasks.errors import NotCertified, WorkersLost
from tasks.outcome import Measurement, Outcome, Progress
from tasks.prepare import Run
from tasks.progress import Estimate
from tasks.pulse import hang_up, listen
from tasks.remote import release
from tasks.resume import retract_record, tile_record
from tasks.walk import Queues

WINDOW = 2
"""Tiles of a worker in flight: one runs, the next is there already."""

MOST_DEATHS = 3
"""Times that one tile may lose its worker."""

SYNC_SECONDS = 1.0
"""At most this much recorded work is not yet durable against a power failure."""

ALONE_SECONDS = 20.0
"""How long a run waits without any worker."""

RELEASE_SECONDS = 2.0
"""How long the workers may take to free their buffers at the end."""

Observer = Callable[[Progress], None]


class Drive:
    """The state of one multiplication in the driver."""

    def __init__(self, run: Run, cluster: Cluster, journal: OpenJournal, observe: Observer) -> None:
        self.run, self.cluster, self.journal, self.observe = run, cluster, journal, observe
        self.recipe = run.recipe
        self.ascent = Ascent(run.plan, self.recipe, run.resumed)
        self.workers = cluster.workers[: run.plan.workers]
        self.pilots = [index for index in run.pending if index in self.ascent.pilots]
        waiting = [index for index in run.pending if index not in self.ascent.pilots]
        self.queues = Queues(waiting, list(self.workers), self.recipe.walk.weights(waiting, len(self.workers)))
        self.air = Air(cluster.client)
        self.deaths: Counter[int] = Counter()
        self.missed: list[Measurement] = []
        """Tiles that were computed again in a better arithmetic, oldest first."""
        self.again: Counter[int] = Counter()
        """Times that a tile was computed again because it was in doubt."""
        self.retracted: set[int] = set()
        self.done = {tile.index: tile for tile in run.resumed}
        self.doubts = Doubts(yard_of(run.plan), run.resumed)
        self.estimate = Estimate(run.plan, run.problem, run.resumed, len(run.pending))
        self.over = Event()

    @property
    def lost(self) -> bool:
        """Whether another run has taken the folder over."""
        return self.run.lease is not None and self.run.lease.lost.is_set()

    @property
    def left(self) -> int:
        """Tiles that are not computed yet."""
        return len(self.run.pending) + len(self.run.resumed) - len(self.done)

    def to_the_end(self) -> Outcome:
        """Compute what is pending; raises what `tasks.run.multiply` does."""
        started = monotonic()
        Thread(target=self._watch, name="workers watch", daemon=True).start()
        listen(self.cluster.client, self.recipe.run_id, self.estimate.hear)
        self._fly_pilots()
        if not self.left:
            self._look(None)
        for _ in range(WINDOW):
            for worker in self.workers:
                self._send_next(worker)
        for flight in self.air.landing(self._part_landed, self._waiting):
            self._send_next(self._land(flight))
        if self.left:
            raise WorkersLost(f"{self.left} tiles were never computed: no worker is left")
        self.journal.sync()
        every = tuple(self.done[index] for index in sorted(self.done))
        retried = self.deaths.total() + self.again.total() + len(self.missed)
        missed = self.ascent.climbed(every)
        return Outcome(every, monotonic() - started, retried, len(self.run.resumed), missed, self.doubts.retired)

    def _fly_pilots(self) -> None:
        """Compute the first tiles, and find out where the others start; what missed is then computed again."""
        for index, worker in zip(self.pilots, cycle(self.workers), strict=False):
            self._send(index, worker)
        for flight in self.air.landing(self._part_landed, self._waiting):
            self._land(flight)
        self.ascent.settle()
        for tile in tuple(self.missed):
            self._send(tile.index, tile.worker)
        self.pilots = []

    def stop(self) -> None:
        """Take back what is still out, and free the workers' buffers."""
        self.over.set()
        with suppress(Exception):
            hang_up(self.cluster.client, self.recipe.run_id)
        with suppress(Exception):
            self.air.cancel()
            self.cluster.client.run(release, callback_timeout=RELEASE_SECONDS)

    def _watch(self) -> None:
        """Sync the journal, and cancel what is out when it can come to nothing: no worker is left, or the folder is lost.

        Dask offers a waiting task to a new worker only if it was meant for that worker, even where others are allowed.
        """
        known, seen = set(self.cluster.workers), monotonic()
        while not self.over.wait(SYNC_SECONDS):
            with suppress(Exception):
                if self.recipe.staging.durability == "power":
                    self.journal.sync()  # what fails here fails again where the next tile is recorded
                alive = set(self.cluster.workers)
                replaced = bool(alive) and known.isdisjoint(alive)
                known, seen = (alive, monotonic()) if alive else (known, seen)
                if replaced or self.lost or monotonic() - seen > ALONE_SECONDS:
                    self.air.cancel()

    def _send_next(self, worker: str) -> None:
        fit = self.doubts.fit([worker])
        index = self.queues.next_for(worker, idle=not self.air.load[worker]) if fit else None
        if index is not None:
            self._send(index, worker)

    def _send(self, index: int, worker: str) -> None:
        errand = Errand(self.ascent.recipe(index), self.recipe.walk[index], int(index in self.again))
        self.air.send(errand, self._round(worker))

    def _round(self, first: str) -> list[str]:
        """The workers in turn, this one first: parts of a tile go round them."""
        fit = self.doubts.fit(self.workers)
        place = fit.index(first) if first in fit else 0
        return [first, *fit[place + 1 :], *fit[:place]]

    def _part_landed(self, index: int, part: int) -> None:
        walk = self.recipe.walk
        first, *_ = walk.part(walk[index], part, self.recipe.parts)
        self.observe(self.estimate.after_part(index, first))

    def _waiting(self) -> None:
        if self.estimate.has_news:
            self.observe(self.estimate.now())

    def _land(self, flight: Flight) -> str:
        """Book a finished tile; returns the worker that is free now."""
        try:
            measurement: Measurement = flight.future.result()
        except (KilledWorker, CancelledError) as error:
            return self._lost(flight.index, error)
        finally:
            self.air.over(flight)  # only now: a record that died with its worker is waited for like any other
        if self.doubts.confirms_miss(measurement):
            self._miss(measurement)
            return measurement.worker
        record = self.doubts.hear(measurement)
        if record is not None:
            self._accept(record)
        else:
            self._compute_again(measurement.index)
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
            self._compute_again(suspect.index)
        if self.doubts.retired:
            self._fit()

    def _compute_again(self, index: int) -> None:
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
        self.deaths[index] += 1
        fit = self._fit()
        if self.deaths[index] > MOST_DEATHS:
            raise WorkersLost(f"tile {index} lost its worker {self.deaths[index]} times ({error}): see why, memory first")
        self._send(index, fit[index % len(fit)])
        return fit[index % len(fit)]

    def _living(self) -> tuple[str, ...]:
        """The workers that are there, after a while if all of them are just being replaced."""
        deadline = monotonic() + ALONE_SECONDS
        while not (alive := self.cluster.workers) and monotonic() < deadline:
            sleep(0.1)
        return alive
