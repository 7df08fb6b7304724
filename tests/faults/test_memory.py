"""Workers that somebody started with a memory limit, and that are killed for it: `dask worker --memory-limit`, as Dask's nanny does it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from distributed import Client

from flows import upkeep
from tasks.checkup import Ask
from tests.faults.world import TILES, World
from tests.flows.prefect_api import free_port
from tests.flows.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LIMIT = "1200MiB"
"""Of a worker, which holds a third of it when it begins."""


@contextmanager
def limited(world: World, hog: object) -> Iterator[str]:
    """The address of a scheduler with two workers whose nannies kill them at 95 % of the limit."""
    port = free_port()
    address, environment = f"tcp://127.0.0.1:{port}", os.environ | world.environment(hog=hog) | {"PYTHONSAFEPATH": "1"}
    # As `marked` does, they carry no mark: they are not of the command.
    limits = ("--nworkers", "1", "--nthreads", "1", "--memory-limit", LIMIT, "--local-directory", str(world.scratch))
    with ExitStack() as stack:
        for line in (
            ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"),
            *[("worker", address, "--host", "127.0.0.1", "--no-dashboard", *limits)] * 2,
        ):
            process = subprocess.Popen([sys.executable, "-m", "dask", *line], env=environment, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        with Client(address, timeout=60, set_as_default=False) as client:
            wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == 2, 60)
        yield address


def test_tiles_of_a_worker_that_is_killed_for_its_memory_go_to_others(processes: World) -> None:
    with limited(processes, hog=5) as address:
        done = processes.run("--cluster", address)
    assert done.code == 0 and processes.struck == ["hog 5"]
    assert processes.computed()[5] == 2
    assert sum(processes.computed().values()) <= TILES + 4
    assert upkeep.verify(processes.out, Ask(full=True)).sound


def test_workers_that_are_killed_again_and_again_end_the_run_with_one_line(processes: World) -> None:
    with limited(processes, hog="always") as address:
        began = time.monotonic()
        done = processes.run("--cluster", address)
        assert time.monotonic() - began < 120
    assert done.code == 1 and "Traceback" not in done.errors
    assert re.search(
        r"tile \d+ lost its worker [4-9] times(, last t\S+)?; .* for their memory, .*--memory-limit 0\), or run with a smaller --memory",
        done.line,
    ), done.line
