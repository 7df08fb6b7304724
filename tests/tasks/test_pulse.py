"""A long tile shows how far it is while it is computed; a short one costs nothing."""

from dataclasses import replace

import numpy as np
import pytest

from tasks import pulse as module
from tasks.clusters import ClusterSpec, open_cluster
from tasks.plan import TileShape
from tasks.prepare import prepare
from tasks.pulse import Pulse, hang_up, listen, topic_of
from tasks.run import multiply
from tests.tasks.test_run import planned, store

SLABS = 10


@pytest.fixture(scope="module")
def slow():
    """A worker that takes a while for each slab and tells of each."""
    with open_cluster(ClusterSpec("local", 1, 1)) as cluster:
        cluster.run_on_workers(slow_down)
        yield cluster


def slow_down() -> None:
    from time import sleep

    from tasks import pulse, tile

    honest = tile.add_product
    tile.add_product = lambda *arguments: (sleep(0.25), honest(*arguments))
    pulse.BEAT_SECONDS = 0.0


def one_tile(folder, parts=1):
    rng = np.random.default_rng(0)
    store(folder / "A", rng.standard_normal((40, 64 * SLABS)).astype("float32"))
    store(folder / "B", rng.standard_normal((64 * SLABS, 40)).astype("float32"))
    job, problem, hardware, plan = planned(folder)
    changed = {"tile": TileShape(40, 40, 64), "grid": (1, 1, SLABS), "slots": (1, 1), "residency": "C", "workers": 1, "parts": parts}
    return job, problem, hardware, replace(plan, **changed)


@pytest.mark.parametrize("parts", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_tile_shows_progress_before_it_is_done(tmp_path, slow, parts):
    seen = []
    run = prepare(*one_tile(tmp_path, parts), slow)
    multiply(run, slow, seen.append)
    run.lease.release()
    shares = [progress.flops_done / progress.flops for progress in seen]
    before = [share for progress, share in zip(seen, shares, strict=True) if progress.tiles_done == 0]
    assert shares == sorted(shares)
    assert len({round(share * SLABS) for share in before}) >= SLABS // 2
    assert shares[-1] == 1.0
    assert all(progress.seconds_left > 0 for progress in seen if progress.flops_done < progress.flops)


def test_nothing_is_told_before_it_is_due_nor_twice_at_once(monkeypatch):
    now, told = [100.0], []
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    monkeypatch.setattr(module, "_tell", lambda topic, message: told.append((topic, message)))
    pulse = Pulse("r1", 7, (4, 20))
    for second, done in ((0.5, 1), (1.0, 2), (1.5, 3), (2.5, 4)):
        now[0] = 100.0 + second
        pulse.beat(done)
    assert told == [(topic_of("r1"), ["r1", 7, 4, 2 / 21]), (topic_of("r1"), ["r1", 7, 4, 4 / 21])]


class Messenger:
    """What of a client is used."""

    id = "client"

    def __init__(self) -> None:
        self.handlers, self.gone = {}, []

    def subscribe_topic(self, topic, handler) -> None:
        self.handlers[topic] = handler

    def unsubscribe_topic(self, topic) -> None:
        self.gone.append(topic)


def test_runs_that_share_a_topic_hear_what_is_theirs(monkeypatch):
    monkeypatch.setattr(module, "TOPICS", 1)
    client, heard = Messenger(), {"r1": [], "r2": []}
    for run, beats in heard.items():
        listen(client, run, lambda *beat, beats=beats: beats.append(beat))
    for run in ("r2", "r1", "r3"):
        client.handlers["gemmflow-0"]((0.0, (run, 5, 0, 0.5)))
    assert heard == {"r1": [(5, 0, 0.5)], "r2": [(5, 0, 0.5)]}
    hang_up(client, "r1")
    client.handlers["gemmflow-0"]((0.0, ("r1", 6, 0, 0.5)))
    client.handlers["gemmflow-0"]((0.0, ("r2", 6, 0, 0.5)))
    assert (len(heard["r1"]), len(heard["r2"]), client.gone) == (1, 2, [])
    hang_up(client, "r2")
    hang_up(client, "r2")
    assert client.gone == ["gemmflow-0"] and not module._HEARERS


def test_a_process_that_is_no_worker_tells_nobody(monkeypatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.0)
    Pulse("r1", 0, (0, 4)).beat(1)
