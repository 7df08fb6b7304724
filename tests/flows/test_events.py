"""Events on a real server, and without one."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect import flow, tags

from flows.batch_summary import BatchFailed
from flows.engine import prefect_settings
from flows.events import PREFIX, telling
from flows.server import TemporaryServer
from flows.steps import Step
from flows.workflow import batch_flow, multiply_flow
from tasks.job import Job
from tests.flows.prefect_api import request
from tests.flows.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(250)]

LARGEST = 2000
"""Bytes of a payload."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TemporaryServer]:
    started = TemporaryServer(tmp_path)
    try:
        started.wait()
        with prefect_settings(PREFECT_API_URL=started.url, PREFECT_API_AUTH_STRING=started.auth, PREFECT_HOME=tmp_path):
            yield started
    finally:
        started.stop()


def events(server: TemporaryServer) -> dict[str, dict]:
    """Ours, by name."""
    body = {"filter": {"event": {"prefix": [PREFIX]}}, "limit": 50}
    return {event["event"]: event for event in request(f"{server.url}/events/filter", body, server.auth)["events"]}


def test_the_events_of_a_run_arrive_with_the_flow_run_as_resource(
    server: TemporaryServer, tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]
) -> None:
    a, b, out = (*map(str, small_inputs), str(tmp_path / "C.zarr"))
    with tags("gemmflow"):
        report = multiply_flow(Job(a=a, b=b, out=out))
    expected = {PREFIX + name for name in ("planned", "begun", "published")}
    wait_until(lambda: expected <= events(server).keys(), 30)
    found = events(server)
    (run,) = request(f"{server.url}/flow_runs/filter", {}, server.auth)
    assert {event["resource"]["prefect.resource.id"] for event in found.values()} == {f"prefect.flow-run.{run['id']}"}
    assert {event["resource"]["gemmflow.out"] for event in found.values()} == {out}
    related = [resource["prefect.resource.id"] for resource in found[PREFIX + "planned"]["related"]]
    assert related.count("prefect.tag.gemmflow") == 1
    published = found[PREFIX + "published"]
    assert published["payload"]["root"] == report.stored.root
    assert published["resource"]["gemmflow.run-id"] == published["payload"]["run_id"] == report.run.run_id
    assert all(len(json.dumps(event["payload"])) < LARGEST for event in found.values())


def told(server: TemporaryServer) -> list[dict]:
    """Events of ours that belong to jobs of a batch, oldest first."""
    body = {"filter": {"event": {"prefix": [PREFIX]}, "order": "ASC"}, "limit": 50}
    return [event for event in request(f"{server.url}/events/filter", body, server.auth)["events"] if "job" in event["payload"]]


def test_every_job_of_a_batch_tells_its_steps_under_its_name(
    server: TemporaryServer, tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]
) -> None:
    a, b = map(str, small_inputs)
    (tmp_path / "D").mkdir()
    jobs = [
        {"a": a, "b": b, "out": "C", "name": "first"},
        {"a": a, "b": b, "out": "D", "name": "second"},  # something else lies there
        {"a": "D", "b": b, "transpose_b": True, "out": "E", "name": "third"},
        {"a": a, "b": b, "out": "F", "name": "fourth"},
    ]
    (tmp_path / "nightly.yaml").write_text(yaml.safe_dump({"at_once": 2, "memory": "1GiB", "jobs": jobs}))
    with tags("gemmflow"), pytest.raises(BatchFailed):
        batch_flow(str(tmp_path / "nightly.yaml"))
    expected = {(name, PREFIX + step) for name in ("first", "fourth") for step in ("planned", "begun", "published")}
    expected |= {("second", PREFIX + "failed"), ("third", PREFIX + "failed")}
    wait_until(lambda: expected <= {(event["payload"]["job"], event["event"]) for event in told(server)}, 30)
    found = told(server)
    (run,) = request(f"{server.url}/flow_runs/filter", {}, server.auth)
    tasks = {task["name"]: task["id"] for task in request(f"{server.url}/task_runs/filter", {}, server.auth)}
    for event in found:
        name, failed = event["payload"]["job"], "state" in event["payload"]
        resource = f"prefect.flow-run.{run['id']}" if failed else f"prefect.task-run.{tasks[name]}"
        labels = {"prefect.resource.id": resource, "gemmflow.job": name, "gemmflow.out": event["payload"]["out"]}
        assert labels.items() <= event["resource"].items()
        related = [other["prefect.resource.id"] for other in event["related"]]
        assert related.count("prefect.tag.gemmflow") == 1 and len(set(related)) == len(related)
        assert failed or f"prefect.flow-run.{run['id']}" in related
        assert len(json.dumps(event["payload"])) < LARGEST
    states = {event["payload"]["job"]: event["payload"]["state"] for event in found if "state" in event["payload"]}
    assert states == {"second": "failed", "third": "skipped"}
    assert {event["payload"]["out"] for event in found if event["payload"]["job"] == "first"} == {str(tmp_path / "C")}


@pytest.mark.alone
def test_a_server_that_is_gone_costs_nothing(server: TemporaryServer) -> None:
    took: list[float] = []

    @flow(retries=0)
    def told() -> None:
        server.stop()
        started = time.monotonic()
        with telling() as tell:
            for number in range(1000):
                tell(Step("progress", "C.zarr", {"tiles_done": number}))
            took.append(time.monotonic() - started)
        took.append(time.monotonic() - started)

    with (
        prefect_settings(PREFECT_CLIENT_MAX_RETRIES=0),
        pytest.raises(Exception, match=r"connection attempts failed|Connection refused|disconnected"),
    ):
        told()
    in_the_run, with_the_end = took
    assert in_the_run < 1
    assert with_the_end < 2.5
