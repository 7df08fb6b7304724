"""Runs that Prefect starts: from its form (the same request as the form sends), and through a work pool."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows.serve import run_environment
from storage import read_certificate
from tasks.checkup import Ask
from tasks.job import Job
from tests.flows.processes import Command, wait_until

ROOT = Path(__file__).resolve().parents[2]
PREFECT_YAML = ROOT / "deployments" / "prefect.yaml"

pytestmark = pytest.mark.timeout(250)


BUSY, TRIES = 503, 10


def request(url: str, body: object = None) -> dict:
    """Prefect's answer; it says 503 when its database is busy, and its clients ask again."""
    data = None if body is None else json.dumps(body).encode()
    for tries_left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != BUSY or not tries_left:
                raise
        time.sleep(1)
    raise AssertionError


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Iterator[str]:
    """The API of `gemmflow ui`."""
    port, folder = free_port(), tmp_path_factory.mktemp("ui")
    command = Command(["ui", "--port", str(port)], folder, {"GEMMFLOW_CACHE": str(warm_cache)})
    url = f"http://127.0.0.1:{port}/api"

    def serves() -> bool:
        assert command.process.poll() is None, command.end()
        try:
            return bool(request(f"{url}/deployments/name/multiply/multiply"))
        except OSError:
            return False

    wait_until(serves, 90)
    yield url
    os.killpg(command.process.pid, signal.SIGINT)
    code, output, errors = command.end(5)
    assert (code, errors) == (0, "")
    assert output.startswith(f"Prefect: http://127.0.0.1:{port}/deployments")
    assert command.family() == []
    command.clean()


def run_to_the_end(api: str, deployment: dict, parameters: dict[str, object]) -> dict:
    run = request(f"{api}/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters, "state": {"type": "SCHEDULED"}})
    state = lambda: request(f"{api}/flow_runs/{run['id']}")["state_type"]  # noqa: E731
    wait_until(lambda: state() in ("COMPLETED", "FAILED", "CRASHED"), 120)
    return request(f"{api}/flow_runs/{run['id']}")


@pytest.mark.slow
@pytest.mark.server
def test_the_form_has_every_field_with_its_help(api: str) -> None:
    deployment = request(f"{api}/deployments/name/multiply/multiply")
    assert deployment["entrypoint"] == "flows.workflow.multiply_flow"
    schema = deployment["parameter_openapi_schema"]
    fields = schema["definitions"]["Job"]["properties"]
    assert set(fields) == set(Job.model_fields)
    assert all(field["description"] for field in fields.values())
    assert schema["definitions"]["Job"]["required"] == ["a", "b", "out"]


@pytest.mark.slow
@pytest.mark.server
def test_a_run_started_from_the_form_multiplies(api: str, tmp_path: Path, small_inputs: tuple[Path, Path]) -> None:
    deployment = request(f"{api}/deployments/name/multiply/multiply")
    job = {"a": str(small_inputs[0]), "b": str(small_inputs[1]), "out": str(tmp_path / "C.zarr")}
    run = run_to_the_end(api, deployment, {"job": job})
    assert (run["name"], run["state_type"]) == ("4x5x6 float32", "COMPLETED")
    assert read_certificate(tmp_path / "C.zarr")["plan"]["shape"] == [4, 5, 6]


@pytest.mark.slow
@pytest.mark.server
def test_a_scrub_fails_where_a_result_is_damaged_and_a_repair_mends_it(api: str, tmp_path: Path, small_inputs: tuple[Path, Path]) -> None:
    out = tmp_path / "C.zarr"
    multiply, scrub, repair = (request(f"{api}/deployments/name/{name}/{name}") for name in ("multiply", "verify", "repair"))
    run_to_the_end(api, multiply, {"job": {"a": str(small_inputs[0]), "b": str(small_inputs[1]), "out": str(out)}})
    assert set(scrub["parameter_openapi_schema"]["definitions"]["Ask"]["properties"]) == {"full", "against_inputs", "expect_root"}
    states = [run_to_the_end(api, scrub, {"out": str(out), "ask": {"full": True, "against_inputs": True}})["state_type"]]
    (out / "c/0/0").unlink()
    damaged = run_to_the_end(api, scrub, {"out": str(out)})
    states += [damaged["state_type"], run_to_the_end(api, repair, {"out": str(out)})["state_type"]]
    states += [run_to_the_end(api, scrub, {"out": str(out)})["state_type"]]
    assert states == ["COMPLETED", "FAILED", "COMPLETED", "COMPLETED"]
    assert "c/0/0" in damaged["state"]["message"]


@pytest.mark.slow
@pytest.mark.server
def test_a_form_that_is_filled_in_wrongly_is_refused_by_the_server(api: str) -> None:
    deployment = request(f"{api}/deployments/name/multiply/multiply")
    for wrong in ({"a": "A"}, {"a": "A", "b": "B", "out": "C", "workers": 0}, {"a": "A", "b": "B", "out": "C", "speed": 9}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            request(f"{api}/deployments/{deployment['id']}/create_flow_run", {"parameters": {"job": wrong}})
        assert refused.value.code in (409, 422)
        refused.value.close()


@pytest.mark.slow
@pytest.mark.server
def test_prefect_yaml_deploys_to_a_process_pool_and_a_worker_runs_it(
    api: str, tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]
) -> None:
    environment = {**run_environment(), "PREFECT_API_URL": api, "GEMMFLOW_CACHE": str(warm_cache), "PREFECT_HOME": str(tmp_path / "home")}
    prefect(environment, "work-pool", "create", "gemmflow", "--type", "process")
    prefect(environment, "--no-prompt", "deploy", "--prefect-file", str(PREFECT_YAML), "--all")
    deployment = request(f"{api}/deployments/name/multiply/multiply-pool")
    assert deployment["entrypoint"] == "flows.workflow.multiply_flow"
    assert [schedule["schedule"]["cron"] for schedule in deployment["schedules"]] == ["0 3 * * *"]
    out = tmp_path / "C.zarr"
    with subprocess.Popen([sys.executable, "-m", "prefect", "worker", "start", "--pool", "gemmflow"], env=full(environment)) as worker:
        try:
            run = run_to_the_end(api, deployment, {"job": {"a": str(small_inputs[0]), "b": str(small_inputs[1]), "out": str(out)}})
        finally:
            worker.terminate()
    assert run["state_type"] == "COMPLETED"
    assert out.exists()


def full(environment: dict[str, str]) -> dict[str, str]:
    return os.environ | environment


def prefect(environment: dict[str, str], *arguments: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], env=full(environment), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_prefect_yaml_names_flows_by_module_and_protects_the_import_path() -> None:
    deployments = yaml.safe_load(PREFECT_YAML.read_text())["deployments"]
    flows = [f"flows.workflow.{name}_flow" for name in ("multiply", "verify", "repair")]
    assert [deployment["entrypoint"] for deployment in deployments] == flows
    assert all(deployment["work_pool"]["job_variables"]["env"]["PYTHONSAFEPATH"] == "1" for deployment in deployments)
    for deployment in deployments:
        for schedule in deployment.get("schedules", []):
            parameters = schedule["parameters"]
            assert Job.model_validate(parameters["job"]) if "job" in parameters else Ask.model_validate(parameters["ask"])
            assert schedule["active"] is False
