"""Runs that hold a slot of a concurrency limit, and a Prefect server that cannot renew it or has forgotten it."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field

import pytest
import yaml
from prefect import Task

from flows.batch_artifacts import TAGS
from flows.engine import prefect_settings
from flows.gpu import gpu_limit
from flows.limited import Limited
from flows.server import LEASES, ON_DISK
from tests.faults.servers import Server
from tests.faults.test_prefect import begun, state
from tests.faults.test_schedules import FINAL, deploy, job, pool_worker, server  # noqa: F401 - a fixture
from tests.faults.world import TILES, World
from tests.flows.prefect_api import ROOT, prefect, request
from tests.flows.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(400)]

IN_MEMORY = ON_DISK.replace("filesystem", "memory")
"""Prefect's default: a server that starts again has forgotten every slot."""


IMPATIENT = {"env": {"PREFECT_CLIENT_MAX_RETRIES": "1"}}
"""Prefect gives up to renew a slot after ten seconds, not minutes."""


@dataclass(frozen=True)
class Outage:
    """A server that is away for so many seconds, and a run whose sixteen tiles take longer than that."""

    storage: str
    seconds: float
    tile_seconds: float
    run: dict[str, object] = field(default_factory=dict)


CASES = {"forgotten": Outage(IN_MEMORY, 0, 6.0), "not renewed": Outage(ON_DISK, 20, 9.0, IMPATIENT)}


@pytest.mark.parametrize("outage", CASES.values(), ids=CASES)
def test_a_run_outlives_the_slot_that_its_server_lost(
    processes: World,
    server: Server,  # noqa: F811
    outage: Outage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(LEASES, outage.storage)
    server.kill()
    server.start()
    deploy(processes, "multiply-pool", schedules=[])
    working = pool_worker(processes, server, tile=(256, 256, 256), seconds=outage.tile_seconds, renewed=1)
    run = start(server, job(processes), outage.run)
    begun(processes, working)
    assert slots(server) == 1
    server.kill()
    time.sleep(outage.seconds)
    server.start()
    waiting = start(server, small(processes))
    time.sleep(8)
    assert state(server, run)["type"] == "RUNNING" and not processes.out.exists()
    assert state(server, waiting)["type"] == "SCHEDULED" and slots(server) == 1
    wait_until(lambda: state(server, run)["type"] in FINAL, 120)
    assert state(server, run)["type"] == "COMPLETED", state(server, run)
    wait_until(lambda: state(server, waiting)["type"] in FINAL, 150)
    assert state(server, waiting)["type"] == "COMPLETED", state(server, waiting)
    assert slots(server) == 0


def small(world: World) -> dict[str, object]:
    """Another job, of one tile."""
    return job(world) | {"a": str(world.b), "b": str(world.a), "out": str(world.data / "D.zarr")}


def start(server: Server, what: dict[str, object], how: dict[str, object] | None = None) -> str:  # noqa: F811
    """Start a run of the deployment; returns its id."""
    url = f"{server.url}/deployments/{deployment(server)['id']}/create_flow_run"
    return request(url, {"parameters": {"job": what}, "state": {"type": "SCHEDULED"}, "job_variables": how or {}})["id"]


def slots(server: Server) -> int:  # noqa: F811
    """How many of the deployment's slots are taken."""
    return deployment(server)["global_concurrency_limit"]["active_slots"]


def deployment(server: Server) -> dict:  # noqa: F811
    return request(f"{server.url}/deployments/name/multiply/multiply-pool")


HOLDER = """
from flows.gpu import gpu_slot
with gpu_slot("cuda"):
    print("held", flush=True)
    input()
print("over", flush=True)
"""


@pytest.mark.parametrize("back", [True, False], ids=["started again", "gone"])
def test_a_slot_of_gpus_is_given_back_to_a_server_that_started_again(server: Server, back: bool) -> None:  # noqa: F811
    environment = {"PREFECT_API_URL": server.url, "PREFECT_CLIENT_MAX_RETRIES": "1", "PYTHONPATH": str(ROOT)}
    prefect(environment, "gcl", "create", gpu_limit(), "--limit", "1")
    taken = lambda: request(f"{server.url}/v2/concurrency_limits/{gpu_limit()}")["active_slots"]  # noqa: E731
    program = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(program, env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n" and taken() == 1
        server.kill()
        if back:
            server.start()
            assert taken() == 1
        said, _ = holder.communicate("\n", timeout=120)
    assert (holder.returncode, said) == (0, "over\n")
    assert not back or taken() == 0


def test_a_limit_that_cannot_be_asked_for_holds_up_nothing(server: Server) -> None:  # noqa: F811
    """Its database is locked by somebody else, so it answers 503."""
    done: list[int] = []
    settings = {"PREFECT_API_URL": server.url, "PREFECT_CLIENT_MAX_RETRIES": 0, "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore"}
    with prefect_settings(**settings), server.locked():
        result = Limited(lambda: done.append(1) or 7, TAGS).run(lambda work: Task(work, tags=TAGS, retries=0))
    assert (result, done) == (7, [1])


@pytest.mark.parametrize("command", ["multiply", "batch"])
def test_a_product_without_a_slot_waits_in_line_and_says_so(processes: World, server: Server, command: str) -> None:  # noqa: F811
    limit = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(processes.folder / "home")}
    prefect(limit, "concurrency-limit", "create", *TAGS, "1")
    prefect(limit, "gcl", "update", f"tag:{TAGS[0]}", "--active-slots", "1")
    file = processes.data / "jobs.yaml"
    file.write_text(yaml.safe_dump({"jobs": [job(processes)]}))
    lines = {"multiply": tuple(part for part in processes.line if part != "--direct"), "batch": ("batch", str(file))}
    waiting = processes.start(line=lines[command])
    assert waiting.process.stderr is not None
    said = next(line for line in waiting.process.stderr if "waiting for a slot" in line)
    assert said.endswith("waiting for a slot of the limit gemmflow-multiply: others that have one are at work\n")
    assert not processes.out.exists() and sum(processes.computed().values()) == 0
    prefect(limit, "gcl", "update", f"tag:{TAGS[0]}", "--active-slots", "0")
    assert processes.end(waiting).code == 0
    assert processes.out.exists() and sum(processes.computed().values()) == TILES
    assert request(f"{server.url}/v2/concurrency_limits/tag:{TAGS[0]}")["active_slots"] == 0
