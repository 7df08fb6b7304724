"""Workers that join, hang or do not belong, while a run goes on: each gets what it should, and the product has the same bits."""

import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import zarr

from tasks import roster as module
from tasks.cluster import Cluster
from tasks.clusters import ClusterSpec, open_cluster
from tasks.outcome import Outcome, Progress
from tasks.prepare import end, prepare
from tasks.publish import publish
from tasks.run import multiply
from tasks.verify import verify
from tests.tasks.foreign import foreign_worker
from tests.tasks.test_run import planned, store


def filled(folder: Path) -> Path:
    """A folder with A and B."""
    rng = np.random.default_rng(0)
    store(folder / "A", rng.standard_normal((400, 256)).astype("float32"))
    store(folder / "B", rng.standard_normal((256, 300)).astype("float32"))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return filled(tmp_path)


def product(folder: Path, cluster: Cluster, observe=lambda progress: None) -> tuple[Outcome, bytes]:
    run = prepare(*planned(folder, overwrite=True), cluster)
    try:
        outcome = multiply(run, cluster, observe)
        publish(run, outcome, verify(run, outcome))
    finally:
        end(run)
    return outcome, zarr.open_array(folder / "C")[:].tobytes()


def at(tiles: int, act):
    """Call `act` when so many tiles are done, in the driver's loop."""

    def observe(progress: Progress) -> None:
        if progress.tiles_done == tiles:
            act()

    return observe


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Set once somebody who came was greeted, or refused."""
    honest, looked = module.Roster._welcome, Event()

    def welcome(roster: module.Roster, address: str) -> None:
        honest(roster, address)
        looked.set()

    monkeypatch.setattr(module.Roster, "_welcome", welcome)
    return looked


@pytest.mark.slow
def test_a_worker_that_joins_gets_tiles(folder: Path, tmp_path: Path, looked_at: Event) -> None:
    with open_cluster(ClusterSpec("local", 2, 1)) as cluster, ExitStack() as joining:
        _, expected = product(folder, cluster)

        def join() -> None:
            joining.enter_context(foreign_worker(cluster, tmp_path / "newcomer"))
            assert looked_at.wait(60)

        outcome, bits = product(folder, cluster, at(3, join))
        assert bits == expected and outcome.joined == 1 and not outcome.refused
        assert len({tile.worker for tile in outcome.measurements}) == 3


@pytest.mark.slow
def test_a_worker_with_other_code_gets_none_and_is_named(folder: Path, tmp_path: Path, looked_at: Event) -> None:
    (tmp_path / "other/tasks").mkdir(parents=True)
    (tmp_path / "other/tasks/__init__.py").write_text("")
    with (
        open_cluster(ClusterSpec("local", 2, 1)) as opened,
        open_cluster(ClusterSpec(opened.address)) as cluster,
        ExitStack() as joining,
    ):

        def join() -> None:
            joining.enter_context(foreign_worker(cluster, tmp_path / "other"))
            assert looked_at.wait(60)

        outcome, _ = product(folder, cluster, at(3, join))
        assert outcome.joined == 0 and len({tile.worker for tile in outcome.measurements}) == 2
        assert len(outcome.refused) == 1 and "has no module tasks.handshake" in outcome.refused[0]


@pytest.mark.slow
def test_a_worker_that_hangs_loses_its_tiles_to_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HUNG_SECONDS", 4.0)
    with open_cluster(ClusterSpec("local", 2, 1)) as cluster:
        _, expected = product(folder, cluster)
        pids = cluster.run_on_workers(os.getpid)
        hung = min(pids.values())
        try:
            started = time.monotonic()
            _, bits = product(folder, cluster, at(5, lambda: os.kill(hung, signal.SIGSTOP)))
            assert bits == expected and time.monotonic() - started < 30
        finally:
            os.kill(hung, signal.SIGCONT)
