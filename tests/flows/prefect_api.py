"""Asking a Prefect server as its pages do, and running Prefect's own commands."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from tests.flows.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
PREFECT_YAML = ROOT / "deployments" / "prefect.yaml"

BUSY, TRIES = 503, 10


def request(url: str, body: object = None, auth: str = "", method: str | None = None) -> dict:
    """Prefect's answer; it says 503 when its database is busy, and its clients ask again."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"}
    for tries_left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if error.code != BUSY or not tries_left:
                raise
        time.sleep(1)
    raise AssertionError


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def run_to_the_end(api: str, deployment: dict, parameters: dict[str, object]) -> dict:
    run = request(f"{api}/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters, "state": {"type": "SCHEDULED"}})
    state = lambda: request(f"{api}/flow_runs/{run['id']}")["state_type"]  # noqa: E731
    wait_until(lambda: state() in ("COMPLETED", "FAILED", "CRASHED"), 120)
    return request(f"{api}/flow_runs/{run['id']}")


def prefect(environment: dict[str, str], *arguments: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def entries() -> list[dict]:
    """The deployments of prefect.yaml, anchors resolved."""
    return yaml.safe_load(PREFECT_YAML.read_text())["deployments"]


def copied(folder: Path) -> Path:
    """A prefect.yaml to be changed."""
    return Path(shutil.copy(PREFECT_YAML, folder))
