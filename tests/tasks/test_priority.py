"""Two runs share a scheduler: the urgent one, which began later, ends first; both products are right, and no question waits for either."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import zarr

from tasks.cluster import Cluster
from tasks.clusters import ClusterSpec, open_cluster
from tasks.job import make_job
from tasks.outcome import Measurement, Progress
from tasks.plan import TileShape
from tasks.planner import make_plan
from tasks.prepare import end, prepare
from tasks.publish import publish
from tasks.run import multiply
from tasks.survey import survey
from tasks.verify import verify
from tests.tasks.foreign import wait_until
from tests.tasks.test_run import machine, store

M, N, K = 640, 640, 4096
EDGE = 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    store(tmp_path / "A", rng.standard_normal((M, K)).astype("float32"))
    store(tmp_path / "B", rng.standard_normal((K, N)).astype("float32"))
    return tmp_path


@pytest.fixture
def shared() -> Iterator[Cluster]:
    with open_cluster(ClusterSpec("local", 2, 1)) as cluster:
        yield cluster


@dataclass(frozen=True)
class Driver:
    """One run on a scheduler that it joins, of 100 tiles."""

    folder: Path
    address: str
    priority: int

    @property
    def out(self) -> Path:
        return self.folder / f"C{self.priority}"

    def run(self, begun: Event, awaited: Event | None = None) -> tuple[Measurement, ...]:
        """Some tiles, `begun`, and once that is `awaited`, the others."""
        job = make_job(
            a=str(self.folder / "A"),
            b=str(self.folder / "B"),
            out=str(self.out),
            memory="2GiB",
            chunk=(EDGE, EDGE),
            priority=self.priority,
            cluster=self.address,
        )
        problem, hardware = survey(job), machine()
        tile, grid = TileShape(EDGE, EDGE, EDGE), (-(-M // EDGE), -(-N // EDGE), K // EDGE)
        plan = replace(make_plan(job, problem, hardware), tile=tile, grid=grid, slots=(4, 1), residency="A", workers=2)

        def observe(progress: Progress) -> None:
            if progress.tiles_done >= 5:
                begun.set()
                assert awaited is None or awaited.wait(60)

        with open_cluster(ClusterSpec(self.address)) as cluster:
            run = prepare(job, problem, hardware, plan, cluster)
            try:
                outcome = multiply(run, cluster, observe)
                publish(run, outcome, verify(run, outcome))
            finally:
                end(run)
        return outcome.measurements

    def error(self) -> float:
        a, b, c = (zarr.open_array(path)[:].astype(float) for path in (self.folder / "A", self.folder / "B", self.out))
        return float(np.linalg.norm(c - a @ b) / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.slow
def test_the_urgent_run_ends_first_though_it_began_later(folder: Path, shared: Cluster) -> None:
    patient, urgent = (Driver(folder, shared.address, priority) for priority in (-1, 3))
    began, rushed = Event(), Event()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(patient.run, began, rushed)
        assert began.wait(60)
        second = threads.submit(urgent.run, rushed)
        waited, rush = first.result(), second.result()
    assert len(waited) == len(rush) == 100
    assert min(tile.started for tile in waited) < min(tile.started for tile in rush)
    start, stop = min(tile.started for tile in rush), max(tile.finished for tile in rush)
    assert stop < max(tile.finished for tile in waited)
    between = [tile for tile in waited if start < tile.started < stop]
    assert len(between) < len(rush) / 4, "the patient one waits"
    assert max(patient.error(), urgent.error()) < 1e-6


def test_a_question_waits_for_no_tile_that_waits(shared: Cluster) -> None:
    """Lest an urgent run waits for the end of one that is less so."""
    sleeps = {"pure": False, "priority": 1_000_000}
    busy = [shared.client.submit(time.sleep, 0.5, workers=[worker], **sleeps) for worker in shared.workers for _ in range(12)]
    wait_until(lambda: any(future.done() for future in busy))
    shared.run_on_workers(abs, -1)
    assert sum(not future.done() for future in busy) >= 8
    shared.client.cancel(busy)
