"""Schedules that fire together or while nobody serves, and what Prefect's own commands do to a run that is served."""

import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from storage import read_certificate
from tests.faults.servers import Server
from tests.faults.test_prefect import begun, job, named, state, submit, whole
from tests.faults.world import TILES, World
from tests.flows.prefect_api import PREFECT_YAML, ROOT, prefect, request
from tests.flows.processes import Command, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(300)]

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@pytest.fixture
def server(tmp_path: Path, processes: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Commands are recorded there."""
    server = Server(tmp_path / "server")
    server.start()
    named(processes, server, monkeypatch)
    yield server
    server.close()


def serve(world: World, server: Server, name: str = "multiply", seconds: float = 0.15) -> Command:
    """Returns when the deployment is served; a tile takes so long at least."""
    command = world.start(line=("serve",), seconds=seconds)
    wait_until(lambda: deployment(server, name) or command.process.poll() is not None, 90)
    return command


def deploy(world: World, name: str, **changed: object) -> None:
    """Register one deployment of prefect.yaml, and its pool, with other schedules or limits."""
    content = yaml.safe_load(PREFECT_YAML.read_text())
    entry = next(entry for entry in content["deployments"] if entry["name"] == name) | changed
    content |= {"deployments": [entry]}
    file = world.folder / "prefect.yaml"
    file.write_text(yaml.safe_dump(content))
    done = world.run(line=("deploy", "--file", str(file)))
    assert done.code == 0, done


def daily(when: datetime, slugs: tuple[str, ...], parameters: dict[str, object]) -> list[dict[str, object]]:
    """Schedules for prefect.yaml that fire at this time, and daily from then on."""
    timing = {"interval": 86400, "anchor_date": when.isoformat(), "timezone": "UTC", "active": True}
    return [timing | {"slug": slug, "parameters": parameters} for slug in slugs]


def pool_worker(world: World, server: Server, **tricks: object) -> Command:
    """Prefect's own worker of the pool `gemmflow`; returns when it asks the server for runs."""
    environment = world.environment(**{"seconds": 0.15, **tricks})
    environment["PYTHONPATH"] += f"{os.pathsep}{ROOT}"
    command = Command(["worker", "start", "--pool", "gemmflow", "--type", "process"], world.folder, environment, "prefect")
    world.commands.append(command)
    wait_until(lambda: online(server) or command.process.poll() is not None, 90)
    assert command.process.poll() is None, command.end()
    return command


def online(server: Server) -> list[dict]:
    """Workers of the pool that the server has heard of lately."""
    return [one for one in request(f"{server.url}/work_pools/gemmflow/workers/filter", {}) if one["status"] == "ONLINE"]


def deployment(server: Server, name: str = "multiply") -> dict:
    try:
        return request(f"{server.url}/deployments/name/{name}/{name}")
    except OSError:
        return {}


def schedule(server: Server, name: str, when: datetime, slugs: tuple[str, ...], parameters: dict[str, object]) -> None:
    """Schedules of a deployment that fire at this time, and daily from then on."""
    timing = {"interval": 86400, "anchor_date": when.isoformat(), "timezone": "UTC"}
    body = [{"schedule": timing, "active": True, "slug": slug, "parameters": parameters} for slug in slugs]
    request(f"{server.url}/deployments/{deployment(server, name)['id']}/schedules", body)


def runs(server: Server, until: datetime) -> list[dict]:
    """Flow runs that were due by then."""
    found = request(f"{server.url}/flow_runs/filter", {})
    return [run for run in found if datetime.fromisoformat(run["expected_start_time"]) <= until]


def test_two_schedules_fire_together_for_one_out(processes: World, server: Server) -> None:
    serve(processes, server, seconds=0.4)
    when = datetime.now(UTC) + timedelta(seconds=30)
    schedule(server, "multiply", when, ("one", "two"), {"job": job(processes)})
    ended = lambda: [run for run in runs(server, when) if run["state_type"] in FINAL]  # noqa: E731
    wait_until(lambda: len(ended()) == 2, 150)
    done, refused = sorted(ended(), key=lambda run: run["state_type"])
    assert (done["state_type"], refused["state_type"]) == ("COMPLETED", "FAILED")
    message = refused["state"]["message"]
    assert "is being written by process" in message or "another run of" in message, message
    whole(processes)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_schedule_that_was_missed_is_made_up_for_under_its_own_date(processes: World, server: Server, how: signal.Signals) -> None:
    serving = serve(processes, server, "batch")
    when = (datetime.now(UTC) + timedelta(seconds=50)).replace(microsecond=0)
    file = processes.data / "nightly.yaml"
    entry = job(processes) | {"out": "C-{scheduled:%Y-%m-%dT%H-%M-%S}.zarr"}
    file.write_text(yaml.safe_dump({"timezone": "UTC", "jobs": [entry]}))
    schedule(server, "batch", when, ("nightly",), {"jobs": str(file)})
    wait_until(lambda: runs(server, when), 35)
    serving.process.send_signal(how)  # it takes a run ten seconds early
    assert datetime.now(UTC) < when - timedelta(seconds=10)
    serving.end(30)
    time.sleep(max(0.0, (when - datetime.now(UTC)).total_seconds()) + 5)
    serve(processes, server, "batch")
    wait_until(lambda: [run for run in runs(server, when) if run["state_type"] in FINAL], 120)
    (run,) = runs(server, when)
    assert run["state_type"] == "COMPLETED", run["state"]
    assert [path.name for path in processes.data.glob("C-*")] == [f"C-{when:%Y-%m-%dT%H-%M-%S}.zarr"]


SHIPPED, TOGETHER = {"limit": 1, "collision_strategy": "ENQUEUE"}, {"limit": 2, "collision_strategy": "ENQUEUE"}


@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    ("limit", "said"),
    [(SHIPPED, r"C\.zarr exists"), (TOGETHER, r"is being written by process|another run of")],
    ids=["one waits for the other", "at once"],
)
def test_two_schedules_of_a_work_pool_fire_together_for_one_out(limit: dict, said: str, processes: World, server: Server) -> None:
    deploy(processes, "multiply-pool", schedules=[], concurrency_limit=limit)
    pool_worker(processes, server, seconds=0.4)
    when = (datetime.now(UTC) + timedelta(seconds=60)).replace(microsecond=0)
    deploy(processes, "multiply-pool", schedules=daily(when, ("one", "two"), {"job": job(processes)}), concurrency_limit=limit)
    assert datetime.now(UTC) < when
    ended = lambda: [run for run in runs(server, when) if run["state_type"] in FINAL]  # noqa: E731
    wait_until(lambda: len(ended()) == 2, 200)
    done, refused = sorted(ended(), key=lambda run: run["state_type"])
    assert (done["state_type"], refused["state_type"]) == ("COMPLETED", "FAILED")
    assert {run["work_pool_name"] for run in ended()} == {"gemmflow"}
    assert re.search(said, refused["state"]["message"]), refused["state"]
    whole(processes)


@pytest.mark.timeout(500)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_schedule_that_a_work_pool_missed_is_made_up_for_under_its_own_date(
    how: signal.Signals, processes: World, server: Server
) -> None:
    file = processes.data / "nightly.yaml"
    entry = job(processes) | {"out": "C-{scheduled:%Y-%m-%dT%H-%M-%S}.zarr"}
    file.write_text(yaml.safe_dump({"timezone": "UTC", "jobs": [entry]}))
    deploy(processes, "batch-pool", schedules=[])
    working = pool_worker(processes, server)
    when = (datetime.now(UTC) + timedelta(seconds=60)).replace(microsecond=0)
    deploy(processes, "batch-pool", schedules=daily(when, ("nightly",), {"jobs": str(file)}))
    wait_until(lambda: runs(server, when), 20)
    working.process.send_signal(how)
    working.end(30)
    assert datetime.now(UTC) < when
    time.sleep((when - datetime.now(UTC)).total_seconds() + 5)
    assert [run["state_type"] for run in runs(server, when)] == ["SCHEDULED"]
    pool_worker(processes, server)
    wait_until(lambda: [run for run in runs(server, when) if run["state_type"] in FINAL], 150)
    (run,) = runs(server, when)
    assert run["state_type"] == "COMPLETED", run["state"]
    assert [path.name for path in processes.data.glob("C-*")] == [f"C-{when:%Y-%m-%dT%H-%M-%S}.zarr"]


@pytest.mark.alone
def test_prefects_commands_cancel_and_retry_a_run(processes: World, server: Server) -> None:
    serving = serve(processes, server, seconds=0.4)
    run = submit(processes, server)
    begun(processes, serving)
    environment = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(processes.folder / "home")}
    prefect(environment, "flow-run", "cancel", run)
    cancelled = time.monotonic()
    wait_until(lambda: state(server, run)["type"] == "CANCELLED" and len(serving.family()) == 1, 30)
    assert time.monotonic() - cancelled < 12
    kept, folder = len(processes.recorded()), processes.staging
    assert kept > 3 and folder is not None and not (folder / "holder").exists() and not processes.out.exists()
    prefect(environment, "flow-run", "retry", run)
    wait_until(lambda: state(server, run)["type"] in FINAL[:3], 120)
    assert state(server, run)["type"] == "COMPLETED"
    assert read_certificate(processes.out)["run_id"] == folder.name.partition(".")[0]
    assert sum(processes.computed().values()) <= TILES + 4


def test_a_paused_schedule_starts_nothing_and_lets_a_run_go_on(processes: World, server: Server) -> None:
    serving = serve(processes, server)
    run = submit(processes, server)
    begun(processes, serving)
    when = datetime.now(UTC) + timedelta(seconds=100)  # the server looks for new schedules once a minute
    schedule(server, "multiply", when, ("soon",), {"job": job(processes)})
    wait_until(lambda: len(runs(server, when)) == 2, 80)
    environment = {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(processes.folder / "home")}
    (found,) = deployment(server)["schedules"]
    prefect(environment, "deployment", "schedule", "pause", "multiply/multiply", found["id"])
    wait_until(lambda: state(server, run)["type"] in FINAL, 60)
    assert state(server, run)["type"] == "COMPLETED"
    time.sleep(max(0.0, (when - datetime.now(UTC)).total_seconds()) + 5)
    assert [run["state_type"] for run in runs(server, when)] == ["COMPLETED"]
    prefect(environment, "deployment", "schedule", "resume", "multiply/multiply", found["id"])
    assert deployment(server)["schedules"][0]["active"]
    whole(processes)
