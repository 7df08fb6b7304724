"""Hosts for tests: network namespaces with a worker or a scheduler in each, joined by a bridge, each with a cable that can be pulled.

                         bridge 10.83.N.1  (this process)
                       /        |         \\
    scheduler 10.83.N.2    worker 10.83.N.3    worker 10.83.N.4

N differs from one running test process to another. Needs the right to make namespaces; `CAN` says whether there is.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from distributed import Client

from tests.tasks.foreign import wait_until

CAN = os.geteuid() == 0 and shutil.which("ip") is not None
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
PORT = 8786


def ip(*arguments: str) -> None:
    """Raises CalledProcessError with what `ip` said."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass(frozen=True)
class Host:
    """One namespace and what runs in it."""

    name: str
    address: str
    process: subprocess.Popen[bytes]

    def cut_off(self) -> None:
        """Pull its cable: nothing arrives, and nobody is told."""
        ip("link", "set", f"{self.name}-x", "down")


@dataclass(frozen=True)
class Network:
    """A scheduler and two workers, each on a host of its own."""

    scheduler: Host
    workers: tuple[Host, ...]

    @property
    def address(self) -> str:
        """The scheduler's."""
        return f"tcp://{self.scheduler.address}:{PORT}"


@contextmanager
def network(folder: Path) -> Iterator[Network]:
    """Everything up, and the workers known to the scheduler; gone afterwards."""
    number = os.getpid() % 250 + 1
    bridge, head = f"gf{number}b", f"10.83.{number}"
    with ExitStack() as closing:
        ip("link", "add", bridge, "type", "bridge")
        closing.callback(ip, "link", "del", bridge)
        ip("address", "add", f"{head}.1/24", "dev", bridge)
        ip("link", "set", bridge, "up")
        where = f"tcp://{head}.2:{PORT}"
        scheduler = _host(closing, bridge, f"{head}.2", _scheduler(f"{head}.2"))
        workers = tuple(_host(closing, bridge, f"{head}.{last}", _worker(where, folder / str(last))) for last in (3, 4))
        with Client(where, timeout=30, set_as_default=False) as client:
            wait_until(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == len(workers), 60)
        yield Network(scheduler, workers)


def _host(closing: ExitStack, bridge: str, address: str, command: list[str]) -> Host:
    name = f"gf{address.split('.', 2)[2].replace('.', '-')}"
    ip("netns", "add", name)
    closing.callback(ip, "netns", "del", name)
    ip("link", "add", f"{name}-x", "type", "veth", "peer", "name", "eth0", "netns", name)
    closing.callback(ip, "link", "del", f"{name}-x")  # the kernel takes its time with what is left in a namespace
    ip("link", "set", f"{name}-x", "master", bridge, "up")
    ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        ip("-n", name, "link", "set", device, "up")
    process = subprocess.Popen(["ip", "netns", "exec", name, *command], env=os.environ | ENVIRONMENT, stderr=subprocess.DEVNULL)
    closing.callback(process.wait)
    closing.callback(process.kill)
    return Host(name, address, process)


def _scheduler(address: str) -> list[str]:
    return [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", address, "--port", str(PORT), "--no-dashboard", "--no-show"]


def _worker(scheduler: str, folder: Path) -> list[str]:
    fixed = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0", "--local-directory", str(folder)]
    return [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, *fixed]
