"""Where tiles are computed: clusters of Dask workers, opened, used and closed.

A kind of cluster is one row of CLUSTERS. `local` and `cuda` start worker processes on this host, with one task at a time in
each and BLAS threads as the plan says; an address joins workers that somebody else started, and leaves them running.
"""

import logging
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from tasks.errors import BadInput, GemmflowError, WorkersLost
from tasks.gate import Gate
from tasks.handshake import check_workers
from tasks.nvidia import cuda_problem, visible_devices
from tasks.processes import WorkerProcesses, worker_environment

if TYPE_CHECKING:
    from distributed import Client, Future, Scheduler
    from tornado.ioloop import IOLoop

P = ParamSpec("P")
R = TypeVar("R")

OPEN_SECONDS = 60.0
"""How long worker processes may take to start."""
CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer."""
CLOSE_SECONDS = 1.0
"""How long the client and the scheduler may each take to close."""

NOISY = ("distributed", "tornado.application")
"""Heads of the names of loggers that are silent while a cluster is open."""

SETTINGS: dict[str, object] = {
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.preload": [],
    "distributed.scheduler.http.routes": [],
    "distributed.diagnostics.nvml": False,
}
"""Dask settings of our own scheduler: it places tiles once and serves no pages."""


@dataclass(frozen=True)
class ClusterSpec:
    """Which workers to open."""

    kind: str
    """local, cuda, or the address of a running scheduler (tcp://host:port)."""
    workers: int = 1
    """Worker processes; a running scheduler has as many as it has."""
    threads: int = 1
    """BLAS threads of each worker."""
    memory_limit: int = 0
    """Bytes of results that Dask may hold on a worker; 0: no limit, since the plan bounds memory."""

    def __post_init__(self) -> None:
        if self.kind not in CLUSTERS and "://" not in self.kind:
            raise BadInput(f"cluster {self.kind!r} is unknown: use {', '.join(CLUSTERS)} or tcp://host:port")
        if min(self.workers, self.threads) < 1 or self.memory_limit < 0:
            raise BadInput(f"a cluster of {self.workers} workers x {self.threads} threads with {self.memory_limit} bytes is impossible")


class Cluster:
    """Open workers; `close` ends what was opened here and nothing else."""

    def __init__(self, spec: ClusterSpec, client: "Client", own: bool, closing: ExitStack) -> None:
        self.spec = spec
        self.client = client
        self.own = own
        self._closing = closing

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return str(self._identity()["address"])

    @property
    def workers(self) -> tuple[str, ...]:
        """Addresses of the workers that are alive now."""
        return tuple(sorted(cast("dict[str, object]", self._identity()["workers"])))

    def run_on_workers(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> dict[str, R]:
        """Call `function` once on every worker at the same time, as a task; returns results by worker address.

        Raises what the function raises, and WorkersLost when a worker goes away before it answered.
        """
        return self._run_on(self.workers, function, *args, **kwargs)

    def run_on_one(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` once, on the first worker. Raises what `run_on_workers` raises."""
        (answer,) = self._run_on(self.workers[:1], function, *args, **kwargs).values()
        return answer

    def close(self) -> None:
        """Close the client, and end the worker processes that were started here, within a bounded time."""
        self._closing.close()

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run_on(self, addresses: tuple[str, ...], function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> dict[str, R]:
        futures = {
            address: self.client.submit(function, *args, **kwargs, workers=[address], pure=False, allow_other_workers=False)
            for address in addresses
        }
        try:
            return {address: self._answer(address, future) for address, future in futures.items()}
        finally:
            self.client.cancel(list(futures.values()))

    def _identity(self) -> dict[str, object]:
        """What the scheduler says of itself; `Client.scheduler_info` may give another question's answer, without any worker."""
        assert self.client.scheduler is not None
        return cast("dict[str, object]", self.client.sync(self.client.scheduler.identity, n_workers=-1))

    def _answer(self, address: str, future: "Future[R]") -> R:
        while True:
            try:
                return future.result(timeout=1)
            except TimeoutError:
                if future.status == "error":
                    raise
                if address not in self.workers:
                    raise WorkersLost(f"the worker at {address} went away before it answered") from None


def open_cluster(spec: ClusterSpec, gate: Gate | None = None) -> Cluster:
    """Open the workers that `spec` names; use it as a context manager. Another thread ends the opening by shutting `gate`.

    Raises BadInput (no scheduler, no worker, no device; ClusterMismatch when a worker that somebody else started runs other
    code) and GemmflowError when a worker process does not start.
    """
    with ExitStack() as closing:
        client = CLUSTERS.get(spec.kind, _join_scheduler)(spec, gate or Gate(), closing)
        own = spec.kind in CLUSTERS
        if not own:
            check_workers(Cluster(spec, client, own, closing))
        return Cluster(spec, client, own, closing.pop_all())


def _open_local(spec: ClusterSpec, gate: Gate, closing: ExitStack) -> "Client":
    return _start_processes(WorkerProcesses([worker_environment(spec.threads)] * spec.workers, spec.memory_limit, gate), closing)


def _open_cuda(spec: ClusterSpec, gate: Gate, closing: ExitStack) -> "Client":
    devices = visible_devices()
    if spec.workers > len(devices):
        raise BadInput(f"{spec.workers} CUDA workers need a device each, and this host offers {len(devices)}")
    environments = [worker_environment(spec.threads, CUDA_VISIBLE_DEVICES=device) for device in devices[: spec.workers]]
    client = _start_processes(WorkerProcesses(environments, spec.memory_limit, gate), closing)
    for problem in Cluster(spec, client, True, closing).run_on_workers(cuda_problem).values():
        if problem is not None:
            raise BadInput(f"no CUDA device: {problem}")
    return client


def _start_processes(processes: WorkerProcesses, closing: ExitStack) -> "Client":
    closing.callback(processes.end)
    from distributed import Client  # noqa: PLC0415 - imported while the workers load their libraries

    closing.enter_context(_silent_logs())
    loop = _start_loop(closing)
    scheduler = _start_scheduler(loop, processes.folder, closing)
    processes.join(scheduler.address)
    client = Client(scheduler.address, timeout=CONNECT_SECONDS, set_as_default=False, loop=loop)
    closing.callback(client.close, CLOSE_SECONDS)
    closing.callback(processes.end)
    _wait_for_workers(scheduler, processes)
    return client


def _start_loop(closing: ExitStack) -> "IOLoop":
    from distributed.utils import LoopRunner  # noqa: PLC0415

    runner = LoopRunner()
    runner.start()
    closing.callback(runner.stop)
    assert runner.loop is not None
    return runner.loop


def _start_scheduler(loop: "IOLoop", folder: Path, closing: ExitStack) -> "Scheduler":
    """A scheduler in this process; Dask puts its folder at the head of sys.path, so it must be a private one."""
    import dask.config  # noqa: PLC0415
    from distributed import Scheduler  # noqa: PLC0415
    from distributed.utils import sync  # noqa: PLC0415

    async def start() -> Scheduler:
        return await Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address="127.0.0.1:0")

    with dask.config.set(SETTINGS | {"temporary-directory": str(folder)}):
        scheduler: Scheduler = sync(loop, start)
    closing.callback(sync, loop, scheduler.close, callback_timeout=CLOSE_SECONDS)
    return scheduler


def _wait_for_workers(scheduler: "Scheduler", processes: WorkerProcesses) -> None:
    deadline = monotonic() + OPEN_SECONDS
    while len(scheduler.workers) < len(processes.members):
        processes.check()
        if monotonic() > deadline:
            raise GemmflowError(f"{len(scheduler.workers)} of {len(processes.members)} workers started within {OPEN_SECONDS:.0f} s")
        sleep(0.01)


def _join_scheduler(spec: ClusterSpec, gate: Gate, closing: ExitStack) -> "Client":
    del gate  # nothing is started
    from distributed import Client  # noqa: PLC0415

    closing.enter_context(_silent_logs())
    loop = _start_loop(closing)
    identity = _identify(spec.kind, loop)
    if identity["type"] != "Scheduler":
        raise BadInput(f"a {str(identity['type']).lower()} answers at {spec.kind}: give the address of its scheduler")
    if not identity["workers"]:
        raise BadInput(f"the scheduler at {spec.kind} has no workers: start some with `dask worker {spec.kind}`")
    client = Client(spec.kind, timeout=CONNECT_SECONDS, set_as_default=False, loop=loop)
    closing.callback(client.close, CLOSE_SECONDS)
    return client


def _identify(address: str, loop: "IOLoop") -> dict[str, object]:
    """What answers at `address`, asked before a client is made: a client that never connected takes 20 s to go away."""
    from distributed.core import rpc  # noqa: PLC0415
    from distributed.utils import sync  # noqa: PLC0415

    async def ask() -> dict[str, object]:
        async with rpc(address, timeout=CONNECT_SECONDS) as server:
            return cast("dict[str, object]", await server.identity())

    try:
        return sync(loop, ask, callback_timeout=CONNECT_SECONDS)
    except OSError:
        raise BadInput(f"no scheduler answers at {address} within {CONNECT_SECONDS:.0f} s: check the address, and that it runs") from None
    except ValueError as error:
        raise BadInput(f"{address} is no address of a scheduler ({error}): use tcp://host:port") from None
    except Exception:  # noqa: BLE001 - whatever Dask makes of the bytes of a foreign protocol, MemoryError included
        raise BadInput(f"what answers at {address} is no Dask scheduler: check the host and the port") from None


@contextmanager
def _silent_logs() -> Generator[None]:
    """Keep Dask from writing to the terminal: what matters of it becomes an error of ours."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith(NOISY)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


Opener = Callable[[ClusterSpec, Gate, ExitStack], "Client"]

CLUSTERS: dict[str, Opener] = {"local": _open_local, "cuda": _open_cuda}
"""Kinds of cluster by name; anything with :// is the address of a running scheduler."""
