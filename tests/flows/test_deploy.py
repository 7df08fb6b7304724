"""`gemmflow deploy` on a real server behind a password."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows import deploy as deploying
from flows.cli import run
from flows.deploy import check_parameters, load_flow
from flows.gpu import gpu_limit
from flows.prefect_file import Deployment
from flows.serve import SERVED
from flows.server import TemporaryServer
from tasks.errors import BadInput
from tests.flows.prefect_api import copied, prefect, request
from tests.flows.processes import Command, wait_until

pytestmark = pytest.mark.timeout(250)

POOLS = {"gemmflow": "process", "gemmflow-docker": "docker", "gemmflow-kubernetes": "kubernetes"}
UNSTABLE = ("updated", "version", "pull_steps", "last_polled", "status")
"""What `prefect deploy` writes otherwise: the time, a version of the checkout, an empty list for nothing."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporaryServer]:
    server = TemporaryServer(tmp_path_factory.mktemp("home"))
    server.wait()
    yield server
    server.stop()


@pytest.fixture
def environment(server: TemporaryServer, tmp_path: Path) -> dict[str, str]:
    return {"PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": server.auth, "PREFECT_HOME": str(tmp_path / "home")}


def gemmflow(arguments: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    command = Command(arguments, folder, environment)
    try:
        return command.end()
    finally:
        command.clean()


def registered(server: TemporaryServer) -> dict[str, dict]:
    found = request(f"{server.url}/deployments/filter", {}, server.auth)
    for deployment in found:
        deployment["schedules"] = [{**schedule, "updated": None} for schedule in deployment["schedules"]]
    return {deployment["name"]: {name: value for name, value in deployment.items() if name not in UNSTABLE} for deployment in found}


@pytest.mark.slow
@pytest.mark.server
def test_everything_is_registered_once_and_as_prefect_would(server: TemporaryServer, environment: dict[str, str], tmp_path: Path) -> None:
    file = copied(tmp_path)
    names = [entry["name"] for entry in yaml.safe_load(file.read_text())["deployments"]]
    code, output, errors = gemmflow(["deploy", "--file", str(file)], tmp_path, environment)
    assert (code, errors) == (0, "")
    assert "created work pool gemmflow-docker (docker)" in output
    assert all(f"{name.partition('-')[0]}/{name} " in output for name in names)
    assert "multiply/multiply-pool        gemmflow             default  (nightly)" in output
    first = registered(server)
    assert sorted(first) == sorted(names)
    pools = {pool["name"]: pool["type"] for pool in request(f"{server.url}/work_pools/filter", {}, server.auth)}
    assert pools == POOLS
    queues = request(f"{server.url}/work_pools/gemmflow/queues/filter", {}, server.auth)
    assert {queue["name"]: queue["priority"] for queue in queues} == {"urgent": 1, "default": 2, "upkeep": 3}

    code, again, errors = gemmflow(["deploy", "--file", str(file)], tmp_path, environment)
    assert (code, errors) == (0, "") and "created" not in again
    assert registered(server) == first
    prefect(environment, "--no-prompt", "deploy", "--prefect-file", str(file), "--all")
    assert registered(server) == first


@pytest.mark.slow
@pytest.mark.server
def test_what_was_changed_in_the_file_is_changed_there(server: TemporaryServer, environment: dict[str, str], tmp_path: Path) -> None:
    file = copied(tmp_path)
    assert gemmflow(["deploy", "--file", str(file), "--quiet"], tmp_path, environment) == (0, "", "")
    before = registered(server)["clean-pool"]["schedules"]
    queue = request(f"{server.url}/work_pools/gemmflow/queues/upkeep", auth=server.auth)
    request_no_answer(f"{server.url}/work_pools/gemmflow/queues/upkeep", {"concurrency_limit": 5}, server.auth)
    content = yaml.safe_load(file.read_text())
    (entry,) = (entry for entry in content["deployments"] if entry["name"] == "clean-pool")
    entry["schedules"][0] |= {"interval": 60.0, "active": True}
    file.write_text(yaml.safe_dump(content))
    code, output, _ = gemmflow(["deploy", "--file", str(file), "--json", "-"], tmp_path, environment)
    assert code == 0 and '"every-third-day"' in output and yaml.safe_load(output)["made"] == []
    (after,) = registered(server)["clean-pool"]["schedules"]
    assert (after["id"], after["schedule"]["interval"], after["active"]) == (before[0]["id"], 60.0, True)
    kept = request(f"{server.url}/work_pools/gemmflow/queues/upkeep", auth=server.auth)
    assert (kept["concurrency_limit"], kept["priority"]) == (5, queue["priority"])

    entry["schedules"][0]["slug"] = "often"
    file.write_text(yaml.safe_dump(content))
    code, output, _ = gemmflow(["deploy", "--file", str(file)], tmp_path, environment)
    assert code == 0 and "removed schedule every-third-day of clean/clean-pool\n" in output
    assert [schedule["slug"] for schedule in registered(server)["clean-pool"]["schedules"]] == ["often"]
    by_hand = {"schedule": {"cron": "1 1 * * *", "timezone": "UTC"}, "active": False}
    request(f"{server.url}/deployments/{after['deployment_id']}/schedules", [by_hand], server.auth)
    entry["schedules"] = []
    file.write_text(yaml.safe_dump(content))
    assert gemmflow(["deploy", "--file", str(file), "--quiet"], tmp_path, environment) == (0, "", "")
    assert registered(server)["clean-pool"]["schedules"] == []


def request_no_answer(url: str, body: object, auth: str) -> None:
    with pytest.raises(ValueError, match="Expecting value"):  # 204
        request(url, body, auth, method="PATCH")


@pytest.mark.slow
@pytest.mark.server
def test_a_wrong_password_and_a_pool_of_another_type_are_one_line(
    server: TemporaryServer, environment: dict[str, str], tmp_path: Path
) -> None:
    file = copied(tmp_path)
    code, output, errors = gemmflow(["deploy", "--file", str(file)], tmp_path, environment | {"PREFECT_API_AUTH_STRING": "gemmflow:guess"})
    assert (code, output, errors.count("\n")) == (1, "", 1)
    assert "refuses: HTTP 401, set PREFECT_API_AUTH_STRING" in errors
    content = yaml.safe_load(file.read_text())
    content["definitions"]["work_pools"]["theirs"] = {"type": "docker"}
    file.write_text(yaml.safe_dump(content))
    prefect(environment, "work-pool", "create", "theirs", "--type", "process")
    code, output, errors = gemmflow(["deploy", "--file", str(file)], tmp_path, environment)
    assert (code, output) == (2, "")
    assert errors == "gemmflow: work pool theirs has type process on the server and docker in the file: rename it in the file\n"


@pytest.mark.slow
@pytest.mark.server
def test_serve_offers_every_flow_on_a_server_that_runs(server: TemporaryServer, environment: dict[str, str], tmp_path: Path) -> None:
    command = Command(["serve"], tmp_path, environment)
    expected = {f"flows.workflow.{name}_flow" for name in SERVED}

    def served() -> bool:
        assert command.process.poll() is None, command.end()
        found = request(f"{server.url}/deployments/filter", {}, server.auth)
        return {deployment["entrypoint"] for deployment in found if not deployment["work_pool_name"]} == expected

    try:
        wait_until(served, 90)
        os.killpg(command.process.pid, signal.SIGINT)
        code, output, errors = command.end()
        assert (code, errors) == (0, "")
        assert output.startswith("serving multiply, ") and "calibrate, clean on http" in output
    finally:
        command.clean()


@pytest.mark.slow
@pytest.mark.server
def test_a_command_is_recorded_on_a_server_that_runs(
    server: TemporaryServer, environment: dict[str, str], tmp_path: Path, warm_cache: Path, small_inputs: tuple[Path, Path]
) -> None:
    line = ["multiply", str(small_inputs[0]), str(small_inputs[1]), str(tmp_path / "C.zarr"), "--quiet"]
    code, _, errors = gemmflow(line, tmp_path, environment | {"GEMMFLOW_CACHE": str(warm_cache)})
    assert (code, errors) == (0, "")
    runs = request(f"{server.url}/flow_runs/filter", {}, server.auth)
    assert [(run["name"], run["state_type"]) for run in runs if not run["deployment_id"]] == [("4x5x6 float32", "COMPLETED")]


@pytest.mark.slow
@pytest.mark.server
def test_a_run_on_gpus_holds_the_slot_of_its_host(server: TemporaryServer, environment: dict[str, str], tmp_path: Path) -> None:
    """The command is the one of deployments/README.md; what needs no GPU is run in another process, as a run would."""
    prefect(environment, "gcl", "create", gpu_limit(), "--limit", "1")
    program = f"""
from tests.flows.prefect_api import request
from flows.gpu import gpu_limit, gpu_slot
ask = lambda: request({server.url + "/v2/concurrency_limits/"!r} + gpu_limit(), auth={server.auth!r})["active_slots"]
with gpu_slot("cuda"):
    print(ask())
print(ask())
with gpu_slot("local"):
    print(ask())
"""
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "0", "0"]), done.stderr


@pytest.mark.parametrize(("secret", "told"), [("", ""), ("me:se@cret@", "***@")])
def test_without_a_server_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], secret: str, told: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"http://{secret}127.0.0.1:1/api")
    assert run(["deploy", "--file", str(copied(tmp_path))]) == 2
    assert capsys.readouterr().err == (
        f"gemmflow: no Prefect server answers at http://{told}127.0.0.1:1/api: start one with gemmflow ui, or set PREFECT_API_URL\n"
    )


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [('cron: "0 3 * * *"', 'cron: "61 3 * * *"', "Invalid cron"), ("multiply_flow", "multiplied_flow", "there is no flows.workflow.mult")],
)
def test_what_is_wrong_in_a_file_is_said_though_no_server_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], right: str, wrong: str, complaint: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    file = copied(tmp_path)
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))
    assert run(["deploy", "--file", str(file)]) == 2
    assert complaint in capsys.readouterr().err


def test_an_unknown_type_of_pool_is_found_before_the_server_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copied(tmp_path)
    file.write_text(file.read_text().replace("type: docker", "type: dockr"))
    assert run(["deploy", "--file", str(file)]) == 2
    error = capsys.readouterr().err
    assert "work_pools.gemmflow-docker.type: Input should be 'process', 'docker' or 'kubernetes', not 'dockr'" in error
    assert error.count("\n") == 1


def test_an_installed_package_needs_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(deploying, "PREFECT_FILE", tmp_path / "prefect.yaml")
    assert run(["deploy"]) == 2
    assert "name another file with --file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entrypoint", "says"),
    [
        ("flows.workflow.divide_flow", "there is no flows.workflow.divide_flow"),
        ("flows.division.flow", "there is no flows.division.flow"),
        ("flows.workflow.run_name", "is no Prefect flow"),
    ],
)
def test_an_entrypoint_that_is_no_flow_is_named(entrypoint: str, says: str) -> None:
    with pytest.raises(BadInput, match=f"some: .*{says}"):
        load_flow(deployment(entrypoint, {}))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "some, schedule daily: missing a required argument: 'place'"),
        ({"place": "/data", "speed": 9}, "unexpected keyword argument 'speed'"),
        ({"place": "/data", "stale": {"days": -1}}, "days: input should be greater than or equal to 0, not -1"),
        ({"place": ""}, "at least 1 character"),
    ],
)
def test_parameters_that_a_flow_would_refuse_are_refused_now(parameters: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_flow(deployment("flows.workflow.clean_flow", parameters))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("timing", "says"),
    [
        ({"cron": "daily at three"}, 'some, schedule daily: Invalid cron string: "daily at three"'),
        ({"cron": ""}, "some, schedule daily: Invalid cron string"),
        ({"rrule": "FREQ=NEVER"}, "some, schedule daily: Invalid RRule string"),
    ],
)
def test_a_schedule_of_no_time_is_refused_now(timing: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_flow(deployment("flows.workflow.clean_flow", {"place": "/data"}, timing))
    assert str(refused.value).startswith(says)


def test_parameters_of_a_deployment_without_schedules_are_checked_as_far_as_they_go() -> None:
    plain = {"name": "some", "description": "Some.", "entrypoint": "flows.workflow.clean_flow", "work_pool": {"name": "here"}}
    load_flow(Deployment.model_validate(plain | {"parameters": {"stale": {"days": 3}}}))
    for parameters, says in (({"speed": 9}, "some: got an unexpected keyword argument 'speed'"), ({"place": 5}, "some: .*not 5")):
        with pytest.raises(BadInput, match=says):
            load_flow(Deployment.model_validate(plain | {"parameters": parameters}))


def test_parameters_are_those_of_the_function() -> None:
    def flow(edge: int) -> int:
        return edge

    check_parameters(flow, {"edge": 3}, "here")
    with pytest.raises(BadInput, match=r"here: .*not 'wide'"):
        check_parameters(flow, {"edge": "wide"}, "here")


def deployment(entrypoint: str, parameters: dict[str, object], timing: dict[str, object] | None = None) -> Deployment:
    schedule = {"slug": "daily", "timezone": "UTC", "parameters": parameters, **(timing or {"cron": "0 3 * * *"})}
    return Deployment.model_validate(
        {"name": "some", "description": "Some.", "entrypoint": entrypoint, "work_pool": {"name": "here"}, "schedules": [schedule]}
    )
