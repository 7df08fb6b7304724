"""Runs to look at: small matrices are multiplied by the deployments that are served, one run after the other.

Everything is written into a temporary folder, which goes when the server ends; Prefect keeps the records of the runs.
"""

import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from uuid import UUID

from flows.samples import Sample, write_sample
from flows.show import tell

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

WAIT_SECONDS = 300.0
"""How long a deployment may take to be registered, or a run to end."""
LOOK_SECONDS = 0.3
EDGE, CHUNK = 1024, 256
TAGS = ("gemmflow", "sample")

Asked = tuple[str, dict[str, object]]
"""A deployment and the parameters of a run."""


@contextmanager
def sample_runs() -> Generator[None]:
    """Ask for them within the block, once the deployments are there. Uses the API of Prefect's settings."""
    with tempfile.TemporaryDirectory(prefix="gemmflow-samples-", ignore_cleanup_errors=True) as folder:
        Thread(target=copy_context().run, args=(_ask, Path(folder)), name="sample runs", daemon=True).start()
        yield


def asked(folder: Path) -> list[Asked]:
    """The runs, in order: one as usual, one to more digits, one that its plan refuses, a batch."""
    job = {"a": str(folder / "A.zarr"), "b": str(folder / "B.zarr")}
    return [
        ("multiply/multiply", {"job": {**job, "out": str(folder / "C.zarr")}}),
        ("multiply/multiply", {"job": {**job, "out": str(folder / "exact.zarr"), "max_error": 1e-12}}),
        ("multiply/multiply", {"job": {**job, "out": str(folder / "refused.zarr"), "memory": "128MiB"}}),
        ("batch/batch", {"jobs": str(folder / "samples.yaml")}),
    ]


def write_inputs(folder: Path) -> None:
    """Two matrices, and a batch of two jobs over them."""
    for name, seed in (("A", 1), ("B", 2)):
        write_sample(folder / f"{name}.zarr", Sample((EDGE, EDGE), seed, chunk=CHUNK))
    jobs = [f"- {{a: {folder}/A.zarr, b: {folder}/{b}.zarr, out: {folder}/batch-{b}.zarr}}" for b in "AB"]
    (folder / "samples.yaml").write_text("\n".join(jobs) + "\n")


def _ask(folder: Path) -> None:
    from prefect.client.orchestration import get_client  # noqa: PLC0415

    try:
        write_inputs(folder)
        with get_client(sync_client=True) as client:
            for deployment, parameters in asked(folder):
                run = client.create_flow_run_from_deployment(_identity(client, deployment), parameters=parameters, tags=TAGS)
                _wait(client, run.id)
    except Exception as error:  # noqa: BLE001 - without samples the server still serves
        tell(f"no more sample runs ({type(error).__name__}: {error})")


def _identity(client: "SyncPrefectClient", deployment: str) -> UUID:
    from prefect.exceptions import ObjectNotFound  # noqa: PLC0415

    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            return client.read_deployment_by_name(deployment).id
        except ObjectNotFound:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_SECONDS)


def _wait(client: "SyncPrefectClient", run: UUID) -> None:
    """Until it has ended: each has the machine for itself, the first to measure it."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        state = client.read_flow_run(run).state
        if state is not None and state.is_final():
            return
        time.sleep(LOOK_SECONDS)
