from pathlib import Path

import pytest

from flows.agent import runs
from flows.agent.report import state_of, status_of
from flows.agent.runs import Run
from flows.agent.store import Store
from flows.samples import Sample, write_sample
from tests.flows.agent.test_runs import a_request

BEGUN = {"pid": 1, "at": 0.0, "replaced": ""}


@pytest.fixture
def run(store: Store, root: Path) -> Run:
    return runs.submit(store, a_request(store, root))


def test_a_run_goes_through_its_states(run: Run) -> None:
    assert state_of(run) == "interrupted"  # nobody started it
    held = run.take()
    assert held is not None and state_of(run) == "waiting"
    run.note("begun", BEGUN)
    assert state_of(run) == "running"
    progress = {"tiles_done": 1, "tiles": 4, "share": 0.25, "seconds": 2.0, "seconds_left": 6.0, "at": 0.0}
    run.note("progress", progress)
    status = status_of(run)
    assert status.progress is not None and (status.progress.share, status.progress.seconds_left) == (0.25, 6.0)
    assert status.error is None and status.tiles_kept is None and "wait_seconds" in status.next
    run.stop("cancelled")
    assert state_of(run) == "running" and "ending" in status_of(run).next
    import os

    os.close(held)
    assert state_of(run) == "cancelled"


@pytest.mark.parametrize(("why", "fix"), [("cancelled", "under a new idempotency_key"), ("time_limit", "with higher limits")])
def test_a_run_that_was_stopped_says_how_to_go_on(run: Run, why: runs.Why, fix: str) -> None:
    run.note("begun", BEGUN)
    run.stop(why)
    status = status_of(run)
    assert status.state == why and status.error is not None and status.error.code == why and fix in status.error.fix
    assert status.tiles_kept == 0 and "start again" in status.next


def test_a_run_that_was_killed_goes_on_with_its_key(run: Run) -> None:
    run.note("begun", BEGUN)
    status = status_of(run)
    assert status.state == "interrupted" and status.error is not None and "same idempotency_key" in status.error.fix


def test_a_run_that_failed_says_why(run: Run) -> None:
    run.note("ended", {"state": "failed", "error": {"code": "refused", "cause": "full", "fix": "free space"}, "seconds": 1.0, "at": 0.0})
    status = status_of(run)
    assert status.state == "failed" and status.error is not None and status.error.fix == "free space"


def test_a_run_that_was_killed_after_its_product_was_complete_is_finished(run: Run, root: Path) -> None:
    run.note("begun", BEGUN)
    write_sample(root / "C.zarr", Sample((20, 20), 1))
    status = status_of(run)
    assert status.state == "finished" and status.report is None and status.error is None


def test_an_older_product_at_out_is_none_of_the_run(run: Run, root: Path) -> None:
    write_sample(root / "C.zarr", Sample((20, 20), 1))
    from flows.traces import run_id_at

    run.note("begun", {**BEGUN, "replaced": run_id_at(str(root / "C.zarr"))})
    assert status_of(run).state == "interrupted"


def test_the_report_is_shortened(run: Run) -> None:
    run.note("report", {"schema": 1, "job": {}, "measured": {"seconds": 1.0, "workers": [{}] * 99}, "warnings": ["w"]})
    run.note("ended", {"state": "finished", "error": None, "seconds": 1.0, "at": 0.0})
    assert status_of(run).report == {"measured": {"seconds": 1.0}, "warnings": ["w"]}
