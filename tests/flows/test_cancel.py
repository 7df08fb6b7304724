"""A run that is cancelled in Prefect ends within ten seconds, leaves no process, keeps its tiles; a retry goes on from them."""

import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from storage import read_certificate
from tests.flows.processes import wait_until
from tests.flows.test_approval import state
from tests.flows.test_serve import api, request  # noqa: F401 - a fixture

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(250)]

SIZE = 8000
ENDED = ("CANCELLED", "FAILED", "CRASHED", "COMPLETED")


@pytest.fixture
def job(tmp_path: Path) -> dict[str, object]:
    """One that takes longer than it may take to cancel it, in many tiles; of 5000 rows a quiet machine was done first."""
    rng = np.random.default_rng(0)
    for name in "AB":
        np.save(tmp_path / f"{name}.npy", rng.standard_normal((SIZE, SIZE)))
    return {
        "a": str(tmp_path / "A.npy"),
        "b": str(tmp_path / "B.npy"),
        "out": str(tmp_path / "C.zarr"),
        "chunk": [250, 250],
        "memory": "900MiB",
        "workers": 1,
    }


def tiles(folder: Path) -> int:
    return sum(path.read_bytes().count(b'"tile"') for path in folder.glob("C.zarr*/*/journal"))


def workers() -> set[int]:
    return {process.pid for process in psutil.process_iter(["cmdline"]) if "tasks.worker" in (process.info["cmdline"] or ())}


@pytest.mark.alone
def test_cancel_and_retry(api: str, tmp_path: Path, job: dict[str, object]) -> None:  # noqa: F811
    before = workers()
    deployment = request(f"{api}/deployments/name/multiply/multiply")
    run = request(f"{api}/deployments/{deployment['id']}/create_flow_run", {"parameters": {"job": job}, "state": {"type": "SCHEDULED"}})[
        "id"
    ]
    wait_until(lambda: tiles(tmp_path) > 3 or state(api, run)["type"] in ENDED, 120)
    assert state(api, run)["type"] == "RUNNING"
    request(f"{api}/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    started = time.monotonic()
    wait_until(lambda: state(api, run)["type"] in ENDED and workers() <= before, 60)
    assert time.monotonic() - started < 12
    assert state(api, run)["type"] == "CANCELLED"
    assert tiles(tmp_path) > 3 and not (tmp_path / "C.zarr").exists()
    (left,) = (path.parent.name.rpartition(".")[0] for path in tmp_path.glob("C.zarr*/*/journal"))
    request(f"{api}/flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True})
    wait_until(lambda: state(api, run)["type"] in ENDED, 150)
    assert state(api, run)["type"] == "COMPLETED"
    assert read_certificate(tmp_path / "C.zarr")["run_id"] == left  # another run would have another one
