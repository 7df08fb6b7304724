"""Every command of deployments/README.md is run here, or by a test that is named here, or says why it is not."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.deploy import PREFECT_FILE
from flows.prefect_file import Limit, read_prefect_file
from flows.server import TemporaryServer
from tests.flows.prefect_api import copied, request

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", (PREFECT_FILE.parent / "README.md").read_text(), re.MULTILINE | re.DOTALL))

ELSEWHERE = {
    "gemmflow ui": "tests/flows/test_serve.py:api",
    "gemmflow ui --port 4300": "tests/flows/test_serve.py:api",
    "gemmflow serve": "tests/flows/test_deploy.py:test_serve_offers_every_flow_on_a_server_that_runs",
    "gemmflow multiply A B OUT": "tests/flows/test_deploy.py:test_a_command_is_recorded_on_a_server_that_runs",
    "prefect worker start --pool gemmflow": "tests/flows/test_serve.py:test_gemmflow_deploy_fills_a_process_pool_and_a_worker_runs_a_job",
    "prefect flow-run cancel ID": "tests/faults/test_schedules.py:test_prefects_commands_cancel_and_retry_a_run",
    "prefect flow-run retry ID": "tests/faults/test_schedules.py:test_prefects_commands_cancel_and_retry_a_run",
    "prefect deployment schedule pause multiply/multiply SCHEDULE": "tests/faults/test_schedules.py:"
    "test_a_paused_schedule_starts_nothing_and_lets_a_run_go_on",
    "prefect deployment schedule resume multiply/multiply SCHEDULE": "tests/faults/test_schedules.py:"
    "test_a_paused_schedule_starts_nothing_and_lets_a_run_go_on",
    "prefect worker start --pool gemmflow --limit 1": "tests/flows/test_serve.py:"
    "test_gemmflow_deploy_fills_a_process_pool_and_a_worker_runs_a_job",
}
"""Commands that run until somebody stops them, or need data, and who runs them."""

SERVED_BY_ONE = (("On work pools", "Limits and priorities"), ("The same with Prefect's own commands",))
"""Sections whose commands are run on one fresh server."""


def commands(section: str) -> list[tuple[str, str]]:
    """Command lines and the comments behind them."""
    lines = "".join(re.findall(r"```sh\n(.*?)```", SECTIONS[section], re.DOTALL)).splitlines()
    return [(command.strip(), comment.strip()) for command, _, comment in (line.partition("  # ") for line in lines)]


def to_run(section: str) -> list[str]:
    kept = [command for command, comment in commands(section) if not comment.startswith("not run: ")]
    return [command for command in kept if command not in ELSEWHERE and not command.startswith("export ")]


def test_a_command_is_run_or_says_why_not() -> None:
    covered = {section for sections in SERVED_BY_ONE for section in sections}
    assert {section for section in SECTIONS if to_run(section)} == covered
    assert all(comment != "not run:" for section in SECTIONS for _, comment in commands(section))


@pytest.mark.parametrize("command", ELSEWHERE)
def test_what_is_run_elsewhere_is_in_the_text_and_has_its_test(command: str) -> None:
    assert command in {line for section in SECTIONS for line, _ in commands(section)}
    file, _, name = ELSEWHERE[command].partition(":")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_the_table_is_what_the_file_says() -> None:
    rows = re.findall(r"^\| (\w+/[\w-]+) \| ([\w-]+), (\w+) \| (\d), others (wait|are dropped) \|", SECTIONS["On work pools"], re.MULTILINE)
    found: list[tuple[str, ...]] = []
    for deployment in read_prefect_file(PREFECT_FILE).deployments:
        limit, use = deployment.concurrency_limit, deployment.work_pool
        assert isinstance(limit, Limit)
        others = {"ENQUEUE": "wait", "CANCEL_NEW": "are dropped"}[limit.collision_strategy]
        flow = deployment.name.partition("-")[0]
        found.append((f"{flow}/{deployment.name}", use.name, use.work_queue_name, str(limit.limit), others))
    assert rows == found


def test_the_text_says_what_was_never_run() -> None:
    assert "were never built, started or applied" in (PREFECT_FILE.parent / "README.md").read_text()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TemporaryServer]:
    server = TemporaryServer(tmp_path / "server")
    server.wait()
    yield server
    server.stop()


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(250)
@pytest.mark.parametrize("sections", SERVED_BY_ONE, ids="-".join)
def test_the_commands_run_one_after_the_other(sections: tuple[str, ...], server: TemporaryServer, tmp_path: Path) -> None:
    file = copied(tmp_path)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PREFECT_API_URL": server.url,
        "PREFECT_API_AUTH_STRING": server.auth,
        "PREFECT_HOME": str(tmp_path / "home"),
    }
    for command in (command for section in sections for command in to_run(section)):
        line = f"{command} --file {file}" if command == "gemmflow deploy" else command.replace("deployments/prefect.yaml", str(file))
        done = subprocess.run(
            ["bash", "-c", line], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    queues = request(f"{server.url}/work_pools/gemmflow/queues/filter", {}, server.auth)
    assert sorted((queue["name"], queue["priority"]) for queue in queues) == [("default", 2), ("upkeep", 3), ("urgent", 1)]
