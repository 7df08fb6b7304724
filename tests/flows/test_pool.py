import signal
import threading
import time

import pytest

from flows import pool as pool_module
from flows.pool import ClusterPool
from tasks.clusters import ClusterSpec
from tasks.errors import BadInput, Refused, WorkersLost
from tasks.gate import Gate
from tests.flows.fakes import FakeCluster, FakeClusters, plan


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> FakeClusters:
    fake = FakeClusters()
    monkeypatch.setattr(pool_module, "open_cluster", fake)
    return fake


def test_runs_that_want_the_same_workers_share_them(clusters: FakeClusters) -> None:
    pool = ClusterPool()
    for memory in (2**30, 2**31):
        with pool.cluster("local", plan(memory=memory)):
            pass
    assert len(clusters.opened) == 1
    pool.close()
    assert clusters.opened[0].closed


@pytest.mark.parametrize(("kind", "other"), [("local", plan(workers=1)), ("cuda", plan()), ("local", plan(memory=2**29))])
def test_other_workers_or_a_smaller_memory_open_anew(clusters: FakeClusters, kind: str, other) -> None:
    pool = ClusterPool()
    with pool.cluster("local", plan()):
        pass
    with pool.cluster(kind, other):
        assert [cluster.closed for cluster in clusters.opened] == [True, False]
    pool.close()


def test_a_cluster_opened_ahead_is_the_one_that_is_used(clusters: FakeClusters) -> None:
    pool = ClusterPool()
    pool.open_ahead("local", plan())
    with pool.cluster("local", plan()) as cluster:
        assert cluster is clusters.opened[0]
    assert len(clusters.opened) == 1
    pool.close()


def test_opening_ahead_what_is_open_keeps_it(clusters: FakeClusters) -> None:
    pool = ClusterPool()
    for _ in range(2):
        pool.open_ahead("local", plan())
        with pool.cluster("local", plan()):
            pass
    assert len(clusters.opened) == 1
    pool.close()


def test_an_error_of_opening_is_raised_where_the_workers_are_used(clusters: FakeClusters) -> None:
    clusters.error = BadInput("no scheduler answers")
    pool = ClusterPool()
    pool.open_ahead("local", plan())
    with pytest.raises(BadInput, match="no scheduler"), pool.cluster("local", plan()):
        pass
    clusters.error = None
    with pool.cluster("local", plan()):
        assert len(clusters.opened) == 1
    pool.close()


@pytest.mark.parametrize(("error", "closed"), [(WorkersLost("dead"), True), (KeyboardInterrupt(), True), (Refused("no room"), False)])
def test_workers_of_a_run_that_broke_are_not_used_again(clusters: FakeClusters, error: BaseException, closed: bool) -> None:
    pool = ClusterPool()
    with pytest.raises(type(error)), pool.cluster("local", plan()):
        raise error
    assert clusters.opened[0].closed is closed
    pool.close()


def test_closing_does_not_wait_for_workers_that_nobody_wants_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()

    def open_slowly(spec: ClusterSpec, gate: Gate) -> FakeCluster:
        begun.set()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            gate.check()
            time.sleep(0.01)
        return FakeCluster(spec)

    monkeypatch.setattr(pool_module, "open_cluster", open_slowly)
    pool = ClusterPool()
    pool.open_ahead("local", plan())
    assert begun.wait(10)
    began = time.monotonic()
    pool.close()
    assert time.monotonic() - began < 5


def test_a_signal_while_workers_are_waited_for_leaves_nothing_half_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else this process ended before the opening thread had removed the workers' folder, with the keys of their certificates."""
    waited, cleaned = threading.Event(), threading.Event()

    def opening(spec: ClusterSpec, gate: Gate) -> FakeCluster:
        del spec
        waited.set()
        while not gate._shut:
            time.sleep(0.01)
        time.sleep(0.3)  # until the workers have ended
        cleaned.set()
        raise WorkersLost("ended while it started")

    def strike() -> None:
        waited.wait()
        time.sleep(0.2)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    monkeypatch.setattr(pool_module, "open_cluster", opening)
    monkeypatch.setattr(pool_module, "preload", lambda: None)
    pool = ClusterPool()
    threading.Thread(target=strike).start()
    with pytest.raises(KeyboardInterrupt), pool.cluster("local", plan()):
        pass
    pool.close()
    assert cleaned.is_set()
