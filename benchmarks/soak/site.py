"""Where a soak runs: a scheduler and workers that outlive every job, as on a shared cluster, and what memory they hold.

Both are as docs/clusters.md says: workers with one thread each and no limit of Dask's, under a nanny that starts a dead one again, and
the settings for those that many jobs share.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from distributed import Client

WORKERS = 2
MARK = "GEMMFLOW_SOAK"
"""Environment variable that every process of a job inherits; none may be left when the job is over."""

_AS_THE_PAGE_SAYS = ("--nworkers", str(WORKERS), "--nthreads", "1", "--memory-limit", "0", "--no-dashboard")
SETTINGS = Path(__file__).parents[2] / "deployments/dask.yaml"
_ONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}


@dataclass(frozen=True)
class Site:
    """A running cluster."""

    folder: Path
    address: str
    scheduler: psutil.Process
    nannies: psutil.Process
    environment: dict[str, str]

    def workers(self) -> list[psutil.Process]:
        """Processes that compute, oldest first."""
        found = [process for process in self.nannies.children(recursive=True) if "spawn_main" in " ".join(process.cmdline())]
        return sorted(found, key=lambda process: process.create_time())

    def wait(self, seconds: float = 60) -> None:
        """Until all workers are there. Raises TimeoutError."""
        with Client(self.address, timeout=seconds, set_as_default=False) as client:
            client.wait_for_workers(WORKERS, timeout=seconds)

    def memory(self) -> dict[str, int]:
        """Resident bytes of each process, by what it is and its id."""
        named = [("scheduler", self.scheduler), *(("worker", worker) for worker in self.workers())]
        found = {}
        for name, process in named:
            with suppress(psutil.NoSuchProcess):
                found[f"{name} {process.pid}"] = process.memory_info().rss
        return found


@contextmanager
def site(folder: Path, environment: dict[str, str]) -> Generator[Site]:
    """Scheduler and workers on loopback; gone at the end."""
    where = folder / "scheduler.json"
    base = os.environ | environment | _ONE
    shared = base | {"DASK_CONFIG": str(SETTINGS)}
    scheduler = _dask("scheduler", ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(where), "--no-dashboard"], shared)
    nannies = _dask("worker", ["--scheduler-file", str(where), "--local-directory", str(folder / "scratch"), *_AS_THE_PAGE_SAYS], shared)
    try:
        address = _address(where)
        opened = Site(folder, address, psutil.Process(scheduler.pid), psutil.Process(nannies.pid), dict(base))
        opened.wait()
        yield opened
    finally:
        for process in (nannies, scheduler):
            process.send_signal(signal.SIGTERM)
        for process in (nannies, scheduler):
            process.wait(30)


def _dask(what: str, options: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "distributed.cli.dask_" + what, *options]
    return subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _address(where: Path, seconds: float = 60) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(OSError, ValueError):
            return str(json.loads(where.read_text())["address"])
        time.sleep(0.1)
    raise TimeoutError(f"the scheduler did not answer within {seconds:.0f} s")


def left_behind(mark: str) -> list[psutil.Process]:
    """Processes that a job started and that still live."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
