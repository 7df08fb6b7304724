"""Processes of runs: started once, by whoever comes first, and nobody's children."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import anyio
import psutil
import pytest
import zarr

from flows.agent import runs
from flows.agent.launch import start
from flows.agent.report import state_of, status_of
from flows.agent.runs import Run, slot
from flows.agent.store import Store
from flows.server import TemporaryServer
from tests.flows.agent.agents import OVER, Place, a_whole_plan
from tests.flows.agent.test_runs import a_request
from tests.flows.prefect_api import request
from tests.flows.processes import wait_until
from tests.object_fixtures import BUCKET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(250)]


@pytest.fixture
def run(store: Store, root: Path) -> Run:
    return runs.submit(store, a_request(store, root))


@pytest.fixture
def waiting(run: Run, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[psutil.Process]:
    """The process of a run that waits for a place."""
    monkeypatch.setenv("GEMMFLOW_MCP_TOKEN", "a-token-of-some-length")
    monkeypatch.setenv("GEMMFLOW_MARK", run.handle)
    with slot(store, 0) as free:
        assert free
        start(run)
        assert state_of(run) == "waiting"
        wait_until(lambda: processes_of(run), 60)
        yield processes_of(run)[0]
    run.stop("cancelled")
    wait_until(lambda: not run.is_alive, 60)


def processes_of(run: Run) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if str(run.folder) in command_of(process)]


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_run_is_nobodys_child_and_knows_no_token(waiting: psutil.Process) -> None:
    assert waiting.pid not in [child.pid for child in psutil.Process().children(recursive=True)]
    assert os.getsid(waiting.pid) == os.getpgid(waiting.pid) != os.getsid(0)
    assert "GEMMFLOW_MARK" in waiting.environ() and "GEMMFLOW_MCP_TOKEN" not in waiting.environ()


def test_a_run_that_lives_is_not_started_again(run: Run, waiting: psutil.Process) -> None:
    for _ in range(3):
        start(run)
    assert processes_of(run) == [waiting]


def test_a_run_that_waits_can_be_cancelled(run: Run, waiting: psutil.Process) -> None:
    assert run.stop("cancelled")
    wait_until(lambda: not run.is_alive, 30)
    assert state_of(run) == "cancelled" and run.document("begun") is None


def test_a_signal_that_nobody_asked_for_leaves_a_run_that_goes_on(run: Run, waiting: psutil.Process) -> None:
    waiting.send_signal(signal.SIGTERM)
    wait_until(lambda: not run.is_alive, 30)
    assert state_of(run) == "interrupted" and run.document("ended") is None
    start(run)
    assert state_of(run) == "waiting"


def test_a_job_that_cannot_run_fails_with_its_reason(store: Store, root: Path) -> None:
    run = runs.submit(store, a_request(store, root, kept=a_whole_plan(root)[1]))
    (root / "A.npy").unlink()
    start(run)
    wait_until(lambda: state_of(run) in OVER, 60)
    status = status_of(run)
    assert status.state == "failed" and status.error is not None and status.error.code == "bad_input"
    assert status.error.cause.endswith("A.npy does not exist") and status.error.fix == "check the path"
    assert "Traceback" in (run.folder / "log").read_text()
    ended = (run.folder / "ended.json").read_bytes()
    start(run)
    wait_until(lambda: not run.is_alive, 60)
    assert (run.folder / "ended.json").read_bytes() == ended


@pytest.mark.server
def test_a_run_is_recorded_in_prefect_where_a_server_is_named(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = TemporaryServer(tmp_path / "prefect")
    try:
        server.wait()
        environment = {"PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": server.auth, "PREFECT_HOME": str(tmp_path / "prefect")}
        monkeypatch.setattr(Place, "environment", {**place.environment, **environment})

        async def talk() -> None:
            async with place.stdio() as agent:
                plan_id = (await agent.plan(place.job))["plan_id"]
                handle = (await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=600))["handle"]
                assert (await agent.end(handle))["state"] == "finished"

        anyio.run(talk)
        (flow_run,) = request(f"{server.url}/flow_runs/filter", {}, server.auth)
        assert flow_run["state_type"] == "COMPLETED"
    finally:
        server.stop()


def test_a_product_goes_to_a_bucket_and_is_looked_at_there(place: Place, s3_settings: str) -> None:
    out = f"s3://{BUCKET}/agents/C.zarr"

    async def talk() -> None:
        async with place.stdio("--root", f"s3://{BUCKET}/agents") as agent:
            assert (await agent.fault("analyze", job={**place.job, "out": f"s3://{BUCKET}/other/C.zarr"}))["code"] == "outside_roots"
            plan_id = (await agent.plan({**place.job, "out": out}))["plan_id"]
            handle = (await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=600))["handle"]
            status = await agent.end(handle)
            assert status["state"] == "finished" and status["out"] == out, status
            block = (await agent.call("preview", handle=handle, rows=2, cols=2))["block"]
            assert len(block) == len(block[0]) == 2
            a, b = (zarr.open_array(place.root / f"{name}.zarr", mode="r")[:] for name in "AB")
            assert block[0][0] == pytest.approx(float(a[0] @ b[:, 0]), rel=1e-4)

    anyio.run(talk)
