"""Prefect's server is away for longer than Prefect's own runner would wait: serving goes on, and so does what it started."""

import os
import signal
import time

import pytest

from tests.faults.servers import Server
from tests.faults.test_prefect import begun, state, submit, whole
from tests.faults.test_schedules import FINAL, deployment, serve, server  # noqa: F401 - a fixture
from tests.faults.world import World
from tests.flows.prefect_api import request
from tests.flows.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(200)]

IMPATIENT = {"PREFECT_CLIENT_MAX_RETRIES": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
"""Prefect's runner would give up after some fifteen seconds, not minutes."""

AWAY_SECONDS = 20.0


def test_serving_outlives_its_server(processes: World, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    for name, value in IMPATIENT.items():
        monkeypatch.setenv(name, value)
    serving = serve(processes, server)
    run = submit(processes, server)
    begun(processes, serving)
    server.kill()
    time.sleep(AWAY_SECONDS)
    assert serving.process.poll() is None
    server.start()
    wait_until(lambda: state(server, run)["type"] in FINAL, 60)
    assert state(server, run)["type"] == "COMPLETED", state(server, run)
    whole(processes)
    url = f"{server.url}/deployments/{deployment(server, 'clean')['id']}/create_flow_run"
    again = request(url, {"parameters": {"place": str(processes.data)}, "state": {"type": "SCHEDULED"}})["id"]
    wait_until(lambda: state(server, again)["type"] in FINAL, 60)
    assert state(server, again)["type"] == "COMPLETED", state(server, again)
    os.killpg(serving.process.pid, signal.SIGINT)
    code, output, errors = serving.end(20)
    assert (code, errors) == (0, "") and "Traceback" not in output
