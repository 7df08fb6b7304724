"""One writer at a time: heartbeats that name what they replace."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from storage import CorruptData, Refused, TakenOver
from storage import object_lease as module
from storage.object_lease import ObjectLease, Seen, read_lease, require_conditional_writes, require_free_lease
from storage.objects import ObjectStore
from tests.object_server import Fault, Proxy

Flaky = tuple[ObjectStore, Proxy]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.1)
    yield


def seen_at(home: ObjectStore) -> Seen:
    seen = read_lease(home)
    assert seen is not None
    return seen


def test_a_holder_that_moves_is_not_disturbed(s3: ObjectStore) -> None:
    assert require_free_lease(s3) is None
    with ObjectLease.take(s3, "run1"):
        with pytest.raises(Refused, match=r"is being written by process \d+ on \S+ \(run run1\)"):
            require_free_lease(s3, standstill=30, look=0.05)
        with pytest.raises(Refused, match="another run was started"):
            ObjectLease.take(s3, "run2")
    seen = require_free_lease(s3)
    assert seen is not None and seen.claim.released


def test_a_holder_that_stands_still_is_taken_over_and_finds_out(s3: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 3600.0)
    old = ObjectLease.take(s3, "run1")
    seen = require_free_lease(s3, standstill=0.2, look=0.05)
    assert seen is not None
    new = ObjectLease.take_over(s3, seen)
    assert (new.claim.run_id, new.claim.epoch) == ("run1", 2)
    with pytest.raises(TakenOver):
        old.confirm()
    assert old.lost.is_set()
    old.release()
    new.confirm()
    assert seen_at(s3).claim.token == new.claim.token
    new.release()


def test_of_those_who_take_over_one_is_first(s3: ObjectStore) -> None:
    ObjectLease.take(s3, "run1").release()
    seen = seen_at(s3)
    won: list[ObjectLease] = []

    def claim() -> None:
        try:
            won.append(ObjectLease.take_over(s3, seen))
        except Refused:
            return

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].release()


def test_a_process_of_this_host_that_is_gone_is_taken_over_at_once(s3: ObjectStore) -> None:
    code = (
        "import os; from storage.object_lease import ObjectLease; from storage.objects import object_store\n"
        f"ObjectLease.take(object_store({s3.url!r}), 'run1'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    seen = require_free_lease(s3, standstill=60)
    assert seen is not None and not seen.claim.released
    ObjectLease.take_over(s3, seen).release()


def test_answers_that_get_lost_do_not_lose_the_lease(flaky: Flaky) -> None:
    store, proxy = flaky
    with ObjectLease.take(store, "run1") as lease:
        for _ in range(5):
            proxy.fail(Fault(lost=True))
            lease.confirm()
        proxy.fail(*[Fault(lost=True)] * 4)  # one request may meet them all, and is tried six times
        for _ in range(3):
            lease.confirm()
        assert not lease.lost.is_set()


def test_a_store_that_is_away_for_a_while_does_not_lose_the_lease(flaky: Flaky) -> None:
    store, proxy = flaky
    with ObjectLease.take(store, "run1") as lease:
        proxy.fail(*[Fault(status=403, code="AccessDenied")] * 3)
        while proxy.faults:
            assert not lease.lost.wait(0.05)
        lease.confirm()
        assert lease.claim.holder.counter >= 1


def test_a_damaged_lease_is_named(s3: ObjectStore) -> None:
    s3.put("lease", b"{}")
    with pytest.raises(CorruptData, match="lease is damaged"):
        read_lease(s3)


def test_a_claim_holds_no_secret(s3: ObjectStore) -> None:
    with ObjectLease.take(s3, "run1"):
        content = s3.read("lease").content
    assert b"hidden-value" not in content
    assert replace(seen_at(s3).claim, released=True) == seen_at(s3).claim


@pytest.mark.parametrize("header", ["if-none-match", "if-match"])
def test_a_service_that_ignores_conditions_is_refused(flaky: Flaky, header: str) -> None:
    store, proxy = flaky
    require_conditional_writes(store)
    proxy.ignored = frozenset([header])
    with pytest.raises(Refused, match="this service ignores If-None-Match or If-Match"):
        require_conditional_writes(store)
    assert not list(store.list())
