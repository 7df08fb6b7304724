import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from flows.agent import runs
from flows.agent.faults import AgentError
from flows.agent.runs import Request, Run
from flows.agent.store import Store
from tests.flows.agent.agents import a_plan


def a_request(store: Store, root: Path, **more: Any) -> Request:
    given = {"key": "k", "plan_id": "plan-" + "0" * 32, "max_seconds": 60.0, "max_usd": None, "at_once": 1, "submitted_at": time.time()}
    return Request(**{**given, "kept": a_plan(store, root), **more})


def test_the_same_key_is_the_same_run(store: Store, root: Path) -> None:
    first = runs.submit(store, a_request(store, root))
    assert runs.submit(store, a_request(store, root)) == first == runs.find(store, first.handle)
    assert runs.submit(store, a_request(store, root, key="other")) != first
    assert len(runs.all_runs(store)) == 2
    assert first.request.kept.out == str(root / "C.zarr")


@pytest.mark.parametrize("change", [{"plan_id": "plan-" + "1" * 32}, {"max_seconds": 61.0}, {"max_usd": 1.0}])
def test_a_key_serves_one_request(store: Store, root: Path, change: dict[str, Any]) -> None:
    first = runs.submit(store, a_request(store, root))
    with pytest.raises(AgentError) as refused:
        runs.submit(store, a_request(store, root, **change))
    assert refused.value.fault.code == "key_reused" and first.handle in refused.value.fault.cause


def test_of_many_that_submit_at_once_one_makes_the_run(store: Store, root: Path) -> None:
    barrier, found, refused = threading.Barrier(8), [], []

    def submit(number: int) -> None:
        request = a_request(store, root, plan_id=f"plan-{number % 2}{'0' * 31}")
        barrier.wait()
        try:
            found.append(runs.submit(store, request).request.plan_id)
        except AgentError:
            refused.append(number)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(refused) == 4 and len(set(found)) == 1
    assert [path.name for path in store.runs.iterdir()] == [runs.handle_of("k")]


@pytest.mark.parametrize("handle", ["", "run-" + "0" * 32, "../plans", "run-\0", "/etc", "x" * 9999, "run-" + "0" * 32 + "/.."])
def test_a_handle_that_is_none(store: Store, handle: str) -> None:
    with pytest.raises(AgentError, match="no run of this server"):
        runs.find(store, handle)


@pytest.mark.parametrize("key", ["a/../b", "\ud800", "\0", "ключ", " "])
def test_a_key_may_be_any_text(store: Store, root: Path, key: str) -> None:
    assert runs.handle_of(key) == runs.handle_of(key) != runs.handle_of(key + "x")
    assert Run(store.runs / runs.handle_of(key)).folder.parent == store.runs


def test_who_holds_the_lock_lives_even_in_another_process(store: Store, root: Path) -> None:
    run = runs.submit(store, a_request(store, root))
    assert not run.is_alive
    held = run.take()
    assert held is not None and run.is_alive and run.take() is None
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        time.sleep(30)
        os._exit(0)
    os.close(held)
    assert run.is_alive
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert not run.is_alive


def test_the_first_reason_to_stop_stays(store: Store, root: Path) -> None:
    run = runs.submit(store, a_request(store, root))
    assert run.stop("cancelled") and not run.stop("time_limit")
    assert (run.document("stop") or {})["why"] == "cancelled"


@pytest.mark.parametrize(
    ("price", "usd", "limit"), [(None, None, 60), (None, 5.0, 60), (3600.0, 5.0, 5), (1.0, 5.0, 60), (3600.0, None, 60)]
)
def test_money_is_a_limit_of_time(store: Store, root: Path, price: float | None, usd: float | None, limit: float) -> None:
    assert a_request(store, root, kept=a_plan(store, root, usd_per_hour=price), max_usd=usd).limit_seconds == pytest.approx(limit)


def test_a_slot_is_one_runs_at_a_time(store: Store) -> None:
    with runs.slot(store, 0) as first, runs.slot(store, 0) as second, runs.slot(store, 1) as third:
        assert (first, second, third) == (True, False, True)


def test_what_ended_long_ago_is_forgotten(store: Store, root: Path) -> None:
    old, other = (runs.submit(store, a_request(store, root, key=key)) for key in ("old", "other"))
    for run in (old, other):
        run.note("ended", {"state": "finished"})
    os.utime(old.folder / "ended.json", (1, 1))
    runs.submit(store, a_request(store, root, key="new"))
    assert not old.folder.exists() and other.folder.exists()


def test_a_folder_that_never_became_a_run_is_removed(store: Store, root: Path) -> None:
    aside = store.runs / f"{runs.NEW}x"
    aside.mkdir()
    runs.submit(store, a_request(store, root))
    assert aside.is_dir()
    os.utime(aside, (1, 1))
    runs.submit(store, a_request(store, root))
    assert not aside.exists()
