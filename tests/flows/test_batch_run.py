import threading
import time

import pytest

from flows.batch_entry import Entry
from flows.batch_result import Result
from flows.batch_run import run_jobs
from flows.batch_share import Share
from flows.session import Session, open_session
from tasks.job import make_job
from tests.flows import fakes

ALONE = Share(1, 2**30, 2, stated=True)


def entry(name: str, *needs: int, priority: int = 0) -> Entry:
    return Entry(name=name, job=make_job(a="/a", b="/b", out=f"/{name}", priority=priority), needs=frozenset(needs))


def at_once(slots: int) -> Share:
    return Share(slots, 2**30, 1, stated=True)


def done(entry: Entry) -> Result:
    return Result(entry.name, 0, 0.1, "", state="done")


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_results_come_in_the_order_of_the_file_and_failures_stop_only_who_waits(slots: int) -> None:
    entries = (entry("one"), entry("two"), entry("three", 1), entry("four", 2), entry("five", priority=9))

    def attempt(entry: Entry) -> Result:
        return Result(entry.name, 3, 0.1, "too small") if entry.name == "two" else done(entry)

    heard: list[tuple[str, int]] = []
    results = run_jobs(entries, at_once(slots), attempt, [lambda result, count: heard.append((result.name, count))])
    assert [(result.name, result.state, result.exit_code) for result in results] == [
        ("one", "done", 0),
        ("two", "failed", 3),
        ("three", "skipped", 3),
        ("four", "skipped", 3),
        ("five", "done", 0),
    ]
    assert results[2].message == "not started: it reads the product of job 2 (two), which is not there"
    assert results[3].message == "not started: it reads the product of job 3 (three), which is not there"
    assert [count for _, count in heard] == [1, 2, 3, 4, 5]
    if slots == 1:
        assert heard[0][0] == "five"


def test_never_more_at_once_than_allowed_and_never_before_what_a_job_needs() -> None:
    lock, running, most, over = threading.Lock(), set[str](), [0], set[str]()

    def attempt(entry: Entry) -> Result:
        with lock:
            assert all(f"j{needed}" in over for needed in entry.needs)
            running.add(entry.name)
            most[0] = max(most[0], len(running))
        time.sleep(0.02)
        with lock:
            running.remove(entry.name)
            over.add(entry.name)
        return done(entry)

    entries = tuple(entry(f"j{number}", *({number - 1} if number % 5 == 4 else ())) for number in range(20))
    assert all(result.exit_code == 0 for result in run_jobs(entries, at_once(3), attempt))
    assert most[0] == 3


def test_each_slot_has_workers_of_its_own_and_its_share_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = fakes.FakeClusters()
    monkeypatch.setattr("flows.pool.open_cluster", clusters)
    together, sessions = threading.Barrier(2, timeout=10), dict[int, Session]()

    def attempt(entry: Entry) -> Result:
        with open_session() as session, session.pool.cluster("local", fakes.plan()):
            sessions[threading.get_ident()] = session
            if entry.name in ("one", "two"):
                together.wait()
        return done(entry)

    with open_session() as outer:
        run_jobs((entry("one"), entry("two"), entry("three")), at_once(2), attempt)
        assert outer not in sessions.values() and {session.cores for session in sessions.values()} == {1}
    assert len(clusters.opened) == 2 and all(cluster.closed for cluster in clusters.opened)


def test_one_at_a_time_shares_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters, sessions = fakes.FakeClusters(), list[Session]()
    monkeypatch.setattr("flows.pool.open_cluster", clusters)

    def attempt(entry: Entry) -> Result:
        with open_session() as session, session.pool.cluster("local", fakes.plan()):
            sessions.append(session)
        return done(entry)

    with open_session() as outer:
        run_jobs((entry("one"), entry("two")), ALONE, attempt)
        assert sessions == [outer, outer] and not clusters.opened[0].closed
    assert len(clusters.opened) == 1


@pytest.mark.parametrize("slots", [1, 3])
def test_an_interruption_ends_every_slot_and_starts_no_other_job(slots: int) -> None:
    cleaned: list[str] = []

    def attempt(entry: Entry) -> Result:
        try:
            if entry.name == "j0":
                time.sleep(0.1)
                raise KeyboardInterrupt
            while True:
                time.sleep(0.01)
        finally:
            cleaned.append(entry.name)

    entries = tuple(entry(f"j{number}", priority=-number) for number in range(6))
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(entries, at_once(slots), attempt)
    assert sorted(cleaned) == [f"j{number}" for number in range(slots)]
    assert time.monotonic() - started < 5
