"""A whole job by an agent, over standard input and output and over HTTP, in real processes."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import numpy as np
import psutil
import pytest
import zarr

from flows.agent.store import read
from flows.samples import Sample, write_sample
from storage import read_certificate
from tests.flows.agent.agents import Agent, Place, visit
from tests.flows.agent.test_server import LLAMA
from tests.flows.processes import wait_until

JOB = {"a": "A.zarr", "b": "B.zarr", "out": "C.zarr", "memory": "512MiB"}
"""Relative names are in the first root."""
HERE = {"m": 1000, "k": 1000, "n": 1000, "devices": ["here", "T4"]}
TOKEN = "a-token-of-some-length"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

Talk = Callable[[Agent], Awaitable[None]]


@pytest.fixture
def long(root: Path, tmp_path: Path, warm_cache: Path, large_inputs: tuple[Path, Path]) -> Iterator[Place]:
    """Matrices whose product takes several seconds, in many tiles; no process of a run is left."""
    place = Place(root, tmp_path / "state", warm_cache, large_inputs[0].parent)
    yield place
    for begun in place.state.glob("runs/*/begun.json"):
        with_children(json.loads(begun.read_text())["pid"])


def with_children(pid: int) -> None:
    """Kill a process of a run that is still there."""
    with contextlib.suppress(psutil.NoSuchProcess):  # a zombie is one, too
        if "flows.agent.child" in psutil.Process(pid).cmdline():
            for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
                process.kill()


def begun(place: Place, handle: str) -> int:
    """The process of a run whose first tiles are done."""
    folder = place.state / "runs" / handle
    wait_until(lambda: (read(folder / "progress.json") or {"tiles_done": 0})["tiles_done"], 150)
    return json.loads((folder / "begun.json").read_text())["pid"]


def ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def check(root: Path) -> None:
    a, b, c = (zarr.open_array(root / f"{name}.zarr", mode="r")[:].astype(np.float64) for name in "ABC")
    assert np.linalg.norm(a @ b - c) < 1e-6 * np.linalg.norm(a) * np.linalg.norm(b)


async def whole_path(agent: Agent, root: Path) -> None:
    assert (await agent.call("list_devices"))["devices"][0]["measured"]
    analysis = await agent.plan(JOB, usd_per_hour=36.0)
    plan = analysis["plan"]
    assert plan["job"]["out"] == str(root / "C.zarr") and plan["flops"] == 2 * 300 * 200 * 250
    assert (
        plan["usd"] == pytest.approx(plan["seconds"] / 100)
        and plan["seconds_interval"][0] <= plan["seconds"] <= plan["seconds_interval"][1]
    )
    assert {tuple(other["change"]) for other in plan["alternatives"]} == {("precision",), ("memory",)}
    assert 0 < len(plan["elsewhere"]) <= 5 and all(option["feasible"] and option["reason"] for option in plan["elsewhere"])
    assert not list(root.glob("C.zarr*"))

    submit = {"plan_id": analysis["plan_id"], "idempotency_key": "whole", "max_seconds": 600, "max_usd": 5}
    answer = await agent.call("submit", **submit)
    handle = answer["handle"]
    assert answer["state"] in ("waiting", "running"), "it is not waited for"
    status = await agent.end(handle)
    assert status["state"] == "finished", status
    assert status["report"]["error"]["kept"] and status["report"]["measured"]["tiles"] == plan["tiles"]
    stored = read_certificate(str(root / "C.zarr"))["plan"]
    assert stored["predicted"]["seconds"] == plan["seconds"] and stored["memory_limit"] == plan["memory_limit_bytes"]
    assert any(message == "running" for _, total, message in agent.progress if total == 1.0)
    check(root)

    product = zarr.open_array(root / "C.zarr", mode="r")[:]
    look = await agent.call("preview", handle=handle, row=10, col=20, rows=3, cols=4)
    assert look["block"] == product[10:13, 20:24].tolist() and look["shape"] == [300, 250]
    top = (await agent.call("preview", handle=handle, kind="top", row=7, rows=1, cols=2))["top"][0]["entries"]
    assert [entry["col"] for entry in top] == np.argsort(-product[7])[:2].tolist()
    assert (await agent.call("preview", handle=handle, kind="statistics"))["statistics"]["elements"] == 75000
    assert (await agent.fault("preview", handle=handle, rows=300, cols=250))["code"] == "too_much"

    assert (await agent.call("submit", **submit))["state"] == "finished"
    assert (await agent.call("cancel", handle=handle))["state"] == "finished"
    assert (await agent.fault("submit", **{**submit, "plan_id": analysis["plan_id"][:-1] + "g"}))["code"] == "unknown_plan"
    assert (await agent.fault("analyze", job=JOB))["cause"].endswith("C.zarr exists")


@pytest.mark.alone
def test_questions_about_what_need_not_exist_are_answered_at_once(place: Place) -> None:
    """By a process of their own, within some seconds, while a plan is made."""
    (place.root / "config.json").write_text(json.dumps(LLAMA))

    async def run() -> None:
        async with place.stdio() as agent:
            async with anyio.create_task_group() as group:
                group.start_soon(agent.plan, JOB)
                asked = time.monotonic()
                shape = await agent.call("analyze_shape", m=10**6, k=1024, n=10**6, usd_per_hour=1.0)
                model = await agent.call("analyze_model", config="config.json", tokens=10**9, mode="train")
                assert time.monotonic() - asked < 20
            assert "this machine" in {option["device"] for option in (await agent.call("analyze_shape", **HERE))["options"]}
            assert shape["options"] and "nothing of this can be submitted" in shape["next"]
            assert model["needs"]["bytes"]["optimizer"] > 0 and model["options"]
            assert (await agent.fault("analyze_model", config="A.zarr", tokens=1))["code"] == "bad_input"
            assert (await agent.call("list_devices", name="H100"))["devices"]

    anyio.run(run)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_whole_path_on_standard_input_and_output(place: Place, mode: str) -> None:
    async def run() -> None:
        async with place.stdio(mode=mode) as agent:
            await whole_path(agent, place.root)

    anyio.run(run)


def test_the_whole_path_over_http_with_a_token(place: Place) -> None:
    async def run() -> None:
        async with place.http(token=TOKEN) as (url, process):
            async with visit(url, TOKEN) as agent:
                await whole_path(agent, place.root)
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
                answer = httpx2.post(url, headers=headers, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
                assert answer.status_code == 401 and answer.json()["error"]["code"] == "unauthorized"
            page = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
            for name, value in (("Origin", "http://page.example"), ("Host", "page.example")):
                answer = httpx2.post(url, headers=page | {name: value}, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
                assert answer.status_code in (403, 421), answer.text
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert process.stdout is not None and process.stdout.read() == ""

    anyio.run(run)
    assert TOKEN not in "".join(path.read_text(errors="replace") for path in place.state.rglob("*") if path.is_file())


def flat(error: BaseException) -> list[BaseException]:
    return [part for inner in error.exceptions for part in flat(inner)] if isinstance(error, BaseExceptionGroup) else [error]


def test_two_servers_that_get_the_same_submit_at_once_run_it_once(place: Place) -> None:
    handles: list[str] = []

    async def run() -> None:
        async with place.http() as (first, _), place.http() as (second, _), visit(first) as one, visit(second, mode="legacy") as two:
            plan_id = (await one.plan(JOB))["plan_id"]

            async def submit(agent: Agent) -> None:
                answer = await agent.call("submit", plan_id=plan_id, idempotency_key="both", max_seconds=600)
                handles.append(answer["handle"])

            async with anyio.create_task_group() as group:
                for agent in (one, two) * 3:
                    group.start_soon(submit, agent)
            assert (await two.end(handles[0]))["state"] == "finished"
            assert (await one.call("status", handle=handles[0]))["state"] == "finished"

    anyio.run(run)
    assert len(handles) == 6 and len(set(handles)) == 1
    assert len(list((place.state / "runs").iterdir())) == 1
    check(place.root)


@pytest.mark.parametrize("moment", [0.0, 0.03, 0.1])
def test_a_server_that_is_killed_during_a_submit_has_started_one_run_or_none(place: Place, moment: float) -> None:
    submit: dict[str, Any] = {"idempotency_key": "k", "max_seconds": 600}

    async def begin() -> None:
        async with place.http() as (url, process), visit(url) as agent:
            submit["plan_id"] = (await agent.plan(JOB))["plan_id"]

            async def kill() -> None:
                await anyio.sleep(moment)
                os.killpg(process.pid, signal.SIGKILL)

            async with anyio.create_task_group() as group:
                group.start_soon(kill)
                await agent.call("submit", **submit)
                await anyio.sleep(1)

    async def go_on() -> None:
        async with place.stdio() as agent:
            first = await agent.call("submit", **submit)
            assert (await agent.call("submit", **submit))["handle"] == first["handle"]
            assert (await agent.end(first["handle"]))["state"] == "finished"

    with contextlib.suppress(BaseException):  # the client sees its server die, or not yet
        anyio.run(begin)
    anyio.run(go_on)
    (folder,) = (path for path in (place.state / "runs").iterdir() if path.name.startswith("run-"))
    report: Any = read(folder / "report.json")
    assert report["measured"]["tiles_resumed"] == 0
    check(place.root)


def test_a_run_survives_the_kill_of_its_server(long: Place) -> None:
    seen: dict[str, Any] = {}

    async def begin() -> None:
        async with long.http() as (url, process), visit(url) as agent:
            plan_id = (await agent.plan(long.job))["plan_id"]
            seen["submit"] = {"plan_id": plan_id, "idempotency_key": "k", "max_seconds": 600}
            seen["handle"] = (await agent.call("submit", **seen["submit"]))["handle"]
            seen["pid"] = await anyio.to_thread.run_sync(begun, long, seen["handle"])
            os.kill(seen["pid"], signal.SIGSTOP)  # lest it is done before the next server answers
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    async def go_on() -> None:
        async with long.stdio() as agent:
            try:
                status = await agent.call("status", handle=seen["handle"])
                assert status["state"] == "running" and status["progress"]["tiles"] > 1
                assert (await agent.call("submit", **seen["submit"]))["handle"] == seen["handle"]
            finally:
                os.kill(seen["pid"], signal.SIGCONT)
        async with long.stdio() as agent:  # and the end of a server that ends as it should
            status = await agent.end(seen["handle"])
            assert status["state"] == "finished" and status["report"]["measured"]["tiles_resumed"] == 0
            shares = [share for share, _, _ in agent.progress]
            assert shares == sorted(shares)

    try:
        anyio.run(begin)
    except BaseException as error:  # noqa: BLE001 - the client sees its server die
        assert "handle" in seen and "pid" in seen, flat(error)
    anyio.run(go_on)


def test_a_run_that_is_killed_goes_on_with_the_same_submit(long: Place) -> None:
    async def run() -> None:
        async with long.stdio() as agent:
            submit = {"plan_id": (await agent.plan(long.job))["plan_id"], "idempotency_key": "k", "max_seconds": 600}
            handle = (await agent.call("submit", **submit))["handle"]
            pid = await anyio.to_thread.run_sync(begun, long, handle)
            os.kill(pid, signal.SIGKILL)
            status = await agent.end(handle)
            assert status["state"] == status["error"]["code"] == "interrupted" and "same idempotency_key" in status["next"]
            await anyio.to_thread.run_sync(wait_until, lambda: not workers_of(long), 30)
            assert (await agent.call("submit", **submit))["handle"] == handle
            status = await agent.end(handle)
            assert status["state"] == "finished", status
            assert status["report"]["measured"]["tiles_resumed"] >= 1

    anyio.run(run)


def workers_of(place: Place) -> list[int]:
    """Processes that have the cache of this test in their environment and are workers."""
    found: list[int] = []
    for process in psutil.process_iter():
        try:
            if "tasks.worker" in process.cmdline() and process.environ().get("GEMMFLOW_CACHE") == str(place.cache):
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_cancel_keeps_finished_tiles_and_says_how_to_go_on(long: Place) -> None:
    async def run() -> None:
        async with long.stdio() as agent:
            submit = {"plan_id": (await agent.plan(long.job))["plan_id"], "idempotency_key": "first", "max_seconds": 600}
            handle = (await agent.call("submit", **submit))["handle"]
            pid = await anyio.to_thread.run_sync(begun, long, handle)
            status = await agent.call("cancel", handle=handle)
            assert status["state"] == status["error"]["code"] == "cancelled", status
            assert ended(pid) and status["tiles_kept"] >= 1 and "new idempotency_key" in status["next"]
            assert (await agent.call("cancel", handle=handle)) == status
            assert (await agent.call("submit", **submit))["state"] == "cancelled"
            again = (await agent.call("submit", **{**submit, "idempotency_key": "second"}))["handle"]
            assert again != handle
            done = await agent.end(again)
            assert done["state"] == "finished", done
            assert done["report"]["measured"]["tiles_resumed"] >= status["tiles_kept"]

    anyio.run(run)


def test_a_run_ends_when_its_time_is_over(place: Place) -> None:
    async def run() -> None:
        async with place.stdio() as agent:
            analysis = await agent.plan(JOB)
            request = {"plan_id": analysis["plan_id"], "idempotency_key": "k", "max_seconds": 3}
            assert (await agent.fault("submit", **{**request, "max_seconds": analysis["plan"]["seconds"] / 2}))["code"] == "over_limit"
            handle = (await agent.call("submit", **request))["handle"]
            folder = place.state / "runs" / handle
            await anyio.to_thread.run_sync(wait_until, (folder / "begun.json").exists, 60)
            pid: Any = (read(folder / "begun.json") or {})["pid"]
            os.kill(pid, signal.SIGSTOP)  # before it has loaded what it needs
            await anyio.sleep(4)
            os.kill(pid, signal.SIGCONT)
            status = await agent.end(handle)
            assert status["state"] == status["error"]["code"] == "time_limit", status
            assert ended(pid) and "higher limits" in status["error"]["fix"] and "3.0 s" in status["error"]["cause"]

    anyio.run(run)
    assert not (place.root / "C.zarr").exists()


def test_inputs_that_changed_since_the_plan_are_refused(place: Place) -> None:
    async def run() -> None:
        async with place.stdio() as agent:
            plan_id = (await agent.plan(JOB))["plan_id"]
            write_sample(place.root / "A.zarr", Sample((300, 200), 7, chunk=100))
            handle = (await agent.call("submit", plan_id=plan_id, idempotency_key="k", max_seconds=600))["handle"]
            status = await agent.end(handle)
            assert status["state"] == "failed" and status["error"]["code"] == "inputs_changed", status

    anyio.run(run)
    assert not list(place.root.glob("C.zarr*"))


def test_of_two_runs_one_waits_for_the_other(long: Place) -> None:
    async def run() -> None:
        async with long.stdio() as agent:
            first = (await agent.plan(long.job))["plan_id"]
            second = (await agent.plan({**long.job, "out": "D.zarr"}))["plan_id"]
            running = (await agent.call("submit", plan_id=first, idempotency_key="a", max_seconds=600))["handle"]
            pid = await anyio.to_thread.run_sync(begun, long, running)
            os.kill(pid, signal.SIGSTOP)  # else a fast machine is done with it
            waiting = (await agent.call("submit", plan_id=second, idempotency_key="b", max_seconds=600))["handle"]
            await anyio.sleep(5)
            assert (await agent.call("status", handle=waiting))["state"] == "waiting"
            assert (await agent.call("cancel", handle=waiting))["state"] == "cancelled"
            os.kill(pid, signal.SIGCONT)
            assert (await agent.call("cancel", handle=running))["state"] in ("cancelled", "finished")

    anyio.run(run)
    assert not list(long.root.glob("D.zarr*"))
