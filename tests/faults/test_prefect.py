"""Prefect's server vanishes, starts again or cannot write while a run goes on: the run finishes, and what can be recorded is."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows import upkeep
from flows.approval import LOOK_SECONDS
from flows.stages import STAGES
from tasks.checkup import Ask
from tests.faults.servers import Server
from tests.faults.world import TILES, World
from tests.flows.prefect_api import request
from tests.flows.processes import Command, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]

KEYS = {"gemmflow-plan", "gemmflow-links", "gemmflow-progress", "gemmflow-report"}

PREFECT_LOOKS = 10
"""Seconds from one look for an answer to the next, of Prefect's."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.close()


def start(world: World) -> Command:
    """The multiplication through Prefect, some five seconds of it."""
    return world.start(line=tuple(part for part in world.line if part != "--direct"), seconds=0.15)


def begun(world: World, command: Command) -> Command:
    """The same when a few tiles are done."""
    wait_until(lambda: len(world.recorded()) > 3 or command.process.poll() is not None, 120)
    assert command.process.poll() is None
    return command


def named(world: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on commands are recorded on this server."""
    monkeypatch.setenv("PREFECT_API_URL", server.url)
    monkeypatch.setenv("PREFECT_HOME", str(world.folder / "home"))


def whole(world: World) -> None:
    assert upkeep.verify(world.out, Ask(full=True)).sound
    assert world.beside() == [] and sum(world.computed().values()) == TILES


def test_the_own_server_vanishes(processes: World) -> None:
    command = begun(processes, start(processes))
    [own] = [process for process in command.family() if any("api_process.py" in part for part in process.cmdline())]
    own.kill()
    ended = time.monotonic()
    done = processes.end(command)
    assert time.monotonic() - ended < 60
    assert done.code == 0 and done.report["measured"]["tiles"] == TILES
    assert done.line == "the result is complete, but Prefect could not record it (ConnectError)"
    whole(processes)


def test_a_server_of_somebody_else_vanishes_for_good(processes: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    named(processes, server, monkeypatch)
    request(f"{server.url}/concurrency_limits/", {"tag": "gemmflow-multiply", "concurrency_limit": 1})
    command = begun(processes, start(processes))
    server.kill()
    ended = time.monotonic()
    done = processes.end(command, 200)
    assert time.monotonic() - ended < 120
    assert done.code == 0 and done.report["measured"]["tiles"] == TILES
    assert done.line.endswith(f"(ConnectError): no answer from {server.url}, where the run may stay Running for ever")
    assert "Traceback" not in done.errors and "rror logging" not in done.errors
    whole(processes)


def test_a_server_that_starts_again_hears_everything(processes: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    named(processes, server, monkeypatch)
    command = begun(processes, start(processes))
    server.kill()
    wait_until(processes.out.exists, 60)
    server.start()
    done = processes.end(command)
    assert done.code == 0 and "could not" not in done.errors
    run = server.latest()
    assert run["state_type"] == "COMPLETED"
    wait_until(lambda: server.tasks(run["id"]) == {row.name: "COMPLETED" for row in STAGES}, 20)
    shown = server.artifacts(run["id"])
    assert set(shown) == KEYS and float(shown["gemmflow-progress"]) == 100 and "certified" in shown["gemmflow-report"]
    whole(processes)


def test_a_served_run_waits_for_the_server_with_its_end(processes: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    named(processes, server, monkeypatch)
    serving = processes.start(line=("serve",), seconds=0.15)
    run = submit(processes, server)
    begun(processes, serving)
    server.kill()
    wait_until(processes.out.exists, 60)
    time.sleep(80)  # longer than Prefect would go on asking: it would call the run failed then
    server.start()
    wait_until(lambda: state(server, run)["type"] in ("COMPLETED", "FAILED", "CRASHED"), 60)
    assert state(server, run)["type"] == "COMPLETED"
    assert "certified" in server.artifacts(run)["gemmflow-report"]
    whole(processes)


def test_a_program_that_waits_for_an_answer_waits_for_the_server_too(
    processes: World, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(processes, server, monkeypatch)
    monkeypatch.setenv("PREFECT_CLIENT_MAX_RETRIES", "1")  # else a minute of tries; none at all fails where the server is busy
    program = Command([json.dumps(job(processes))], processes.folder, processes.environment(), "tests.faults.program")
    processes.commands.append(program)
    wait_until(lambda: paused(server) or program.process.poll() is not None, 60)
    run = server.latest()["id"]
    server.kill()
    time.sleep(PREFECT_LOOKS + 6)  # and one try more
    server.start()
    time.sleep(LOOK_SECONDS + 2)  # it has seen that nobody answered
    assert program.process.poll() is None and state(server, run)["type"] == "PAUSED"
    assert request(f"{server.url}/flow_runs/{run}/resume", {"run_input": {"proceed": True}})["status"] == "ACCEPT"
    done = processes.end(program)
    assert done.code == 0, done.errors
    assert state(server, run)["type"] == "COMPLETED"
    whole(processes)


def paused(server: Server) -> bool:
    """Whether the question is there."""
    found = request(f"{server.url}/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}}})
    return bool(found) and bool(request(f"{server.url}/flow_runs/{found[0]['id']}/input/filter", {"prefix": "paused-"}))


@pytest.mark.parametrize("seconds", [10, pytest.param(1000, marks=pytest.mark.alone)])
def test_a_database_that_somebody_else_locks(processes: World, server: Server, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    named(processes, server, monkeypatch)
    command = begun(processes, start(processes))
    began = time.monotonic()
    with server.locked():
        wait_until(lambda: time.monotonic() - began > seconds or command.process.poll() is not None, 250)
    done = processes.end(command, 200)
    assert time.monotonic() - began < 120
    assert done.code == 0 and done.report["measured"]["tiles"] == TILES
    assert "Traceback" not in done.errors
    if seconds < 60:
        assert server.latest()["state_type"] == "COMPLETED"
    whole(processes)


def submit(world: World, server: Server) -> str:
    """Start a run of the served deployment; returns its id."""
    wait_until(lambda: deployment(server), 90)
    url = f"{server.url}/deployments/{deployment(server)['id']}/create_flow_run"
    return request(url, {"parameters": {"job": job(world)}, "state": {"type": "SCHEDULED"}})["id"]


def job(world: World) -> dict[str, object]:
    fixed = {"chunk": [128, 128], "memory": "1GiB", "durability": "process", "codec": "blosc-zstd"}
    return {"a": str(world.a), "b": str(world.b), "out": str(world.out)} | fixed


def deployment(server: Server) -> dict:
    try:
        return request(f"{server.url}/deployments/name/multiply/multiply")
    except OSError:
        return {}


def state(server: Server, run: str) -> dict:
    return request(f"{server.url}/flow_runs/{run}")["state"]
