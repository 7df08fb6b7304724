"""Runs that Prefect starts: from its form (the same request as the form sends), and through a work pool."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.serve import SERVED, run_environment
from storage import read_certificate
from tasks.job import Job
from tests.flows.prefect_api import copied, free_port, request, run_to_the_end
from tests.flows.processes import Command, wait_until

pytestmark = pytest.mark.timeout(250)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, warm_cache: Path) -> Iterator[str]:
    """The API of `gemmflow ui`."""
    port, folder = free_port(), tmp_path_factory.mktemp("ui")
    command = Command(["ui", "--port", str(port)], folder, {"GEMMFLOW_CACHE": str(warm_cache)})
    url = f"http://127.0.0.1:{port}/api"

    def serves() -> bool:
        assert command.process.poll() is None, command.end()
        try:
            return bool(request(f"{url}/deployments/name/{SERVED[-1]}/{SERVED[-1]}"))
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


@pytest.mark.slow
@pytest.mark.server
def test_every_flow_is_served_and_says_so(api: str) -> None:
    deployments = request(f"{api}/deployments/filter", {})
    served = {deployment["name"]: deployment["entrypoint"] for deployment in deployments if not deployment["work_pool_name"]}
    assert served == {name: f"flows.workflow.{name}_flow" for name in SERVED}
    assert set(SERVED) - set(served) <= {"batch"}


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
def test_a_served_calibration_measures_and_a_served_cleaning_removes(api: str, tmp_path: Path, warm_cache: Path) -> None:
    calibrate, clean = (request(f"{api}/deployments/name/{name}/{name}") for name in ("calibrate", "clean"))
    (tmp_path / "C.zarr.gemmflow" / "run.1").mkdir(parents=True)
    before = {path: path.stat().st_mtime_ns for path in warm_cache.glob("*.json")}
    assert run_to_the_end(api, calibrate, {"measuring": {"cluster": "local"}})["state_type"] == "COMPLETED"
    assert {path: path.stat().st_mtime_ns for path in warm_cache.glob("*.json")} != before
    states = []
    for days in (1, 0):
        states.append(run_to_the_end(api, clean, {"place": str(tmp_path), "stale": {"days": days}})["state_type"])
        states.append(str((tmp_path / "C.zarr.gemmflow").exists()))
    assert states == ["COMPLETED", "True", "COMPLETED", "False"]


@pytest.mark.slow
@pytest.mark.server
def test_a_served_analysis_leaves_the_choice_as_a_table(api: str) -> None:
    analyze = request(f"{api}/deployments/name/analyze/analyze")
    run = run_to_the_end(api, analyze, {"subject": {"shape": [100_000, 1000, 100_000]}, "wanted": {"by": "time"}})
    assert run["state_type"] == "COMPLETED"
    artifacts = request(f"{api}/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    tables = {artifact["key"]: artifact["data"] for artifact in artifacts}
    assert set(tables) == {"gemmflow-needs", "gemmflow-choice"}
    assert len(json.loads(tables["gemmflow-choice"])) > 20


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
def test_gemmflow_deploy_fills_a_process_pool_and_a_worker_runs_a_job(
    api: str, tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]
) -> None:
    environment = {**run_environment(), "PREFECT_API_URL": api, "GEMMFLOW_CACHE": str(warm_cache), "PREFECT_HOME": str(tmp_path / "home")}
    registered = subprocess.run(
        [sys.executable, "-m", "flows", "deploy", "--file", str(copied(tmp_path)), "--quiet"], env=os.environ | environment, check=False
    )
    assert registered.returncode == 0
    deployment = request(f"{api}/deployments/name/multiply/multiply-pool")
    assert deployment["entrypoint"] == "flows.workflow.multiply_flow"
    assert [schedule["schedule"]["cron"] for schedule in deployment["schedules"]] == ["0 3 * * *"]
    out = tmp_path / "C.zarr"
    with subprocess.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "gemmflow", "--limit", "1"], env=os.environ | environment
    ) as worker:
        try:
            run = run_to_the_end(api, deployment, {"job": {"a": str(small_inputs[0]), "b": str(small_inputs[1]), "out": str(out)}})
        finally:
            worker.terminate()
    assert run["state_type"] == "COMPLETED"
    assert out.exists()
