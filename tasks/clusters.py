"""Where tiles are computed: clusters of Dask workers, opened, used and closed.

A kind of cluster is one row of CLUSTERS. `local` and `cuda` start worker processes on this host, with one task at a time in
each and BLAS threads as the plan says; an address joins workers that somebody else started, and leaves them running.
"""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from tasks import metrics, tls
from tasks.cluster import STEP_SECONDS, Cluster
from tasks.errors import BadInput, GemmflowError
from tasks.gate import Gate
from tasks.handshake import check_workers
from tasks.in_time import in_time
from tasks.nvidia import cuda_problem, visible_devices
from tasks.processes import WorkerProcesses, worker_environment
from tasks.short_logs import SHORT_LOGS
from tasks.steady import steady_clock

if TYPE_CHECKING:
    from distributed import Client, Scheduler
    from distributed.security import Security
    from tornado.ioloop import IOLoop

P = ParamSpec("P")
R = TypeVar("R")

OPEN_SECONDS = 60.0
"""How long worker processes may take to start."""
CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer."""
WORKERS_SECONDS = 10.0
"""How long a scheduler that somebody else runs may be without workers: the only one may just be on its way back."""
CLOSE_SECONDS = 1.0
"""How long the client and the scheduler may each take to close."""

NOISY = ("distributed", "tornado.application")
"""Heads of the names of loggers that are silent while a cluster is open."""

SETTINGS: dict[str, object] = {
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.preload": [],
    "distributed.diagnostics.nvml": False,
    **SHORT_LOGS,
}
"""Dask settings of our own scheduler: it places tiles once, and serves no pages but metrics where they are wanted."""


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


@dataclass(frozen=True)
class Opened:
    """What a kind of cluster gives."""

    client: "Client"
    deaths: Callable[[], tuple[int, ...]] = tuple
    """How worker processes have ended so far that were not to."""


def open_cluster(spec: ClusterSpec, gate: Gate | None = None) -> Cluster:
    """Open the workers that `spec` names; use it as a context manager. Another thread ends the opening by shutting `gate`.

    Raises BadInput (no scheduler, no worker, no device; ClusterMismatch when a worker that somebody else started runs other
    code) and GemmflowError when a worker process does not start. One that is killed while it starts is started again.
    """
    with ExitStack() as closing:
        opened = CLUSTERS.get(spec.kind, _join_scheduler)(spec, gate or Gate(), closing)
        own = spec.kind in CLUSTERS
        if not own:
            check_workers(Cluster(spec, opened.client, own, closing))
        return Cluster(spec, opened.client, own, closing.pop_all(), opened.deaths)


def _open_local(spec: ClusterSpec, gate: Gate, closing: ExitStack) -> Opened:
    return _start_processes(WorkerProcesses([worker_environment(spec.threads)] * spec.workers, spec.memory_limit, gate), closing)


def _open_cuda(spec: ClusterSpec, gate: Gate, closing: ExitStack) -> Opened:
    devices = visible_devices()
    if spec.workers > len(devices):
        raise BadInput(f"{spec.workers} CUDA workers need a device each, and this host offers {len(devices)}")
    environments = [worker_environment(spec.threads, CUDA_VISIBLE_DEVICES=device) for device in devices[: spec.workers]]
    opened = _start_processes(WorkerProcesses(environments, spec.memory_limit, gate), closing)
    for problem in Cluster(spec, opened.client, True, closing).run_on_workers(cuda_problem).values():
        if problem is not None:
            raise BadInput(f"no CUDA device: {problem}")
    return opened


def _start_processes(processes: WorkerProcesses, closing: ExitStack) -> Opened:
    closing.callback(processes.end)
    import_module("distributed")  # while the workers load their libraries
    closing.enter_context(_silent_logs())
    loop = start_loop(closing)
    security = tls.for_own_cluster(processes.folder / tls.FOLDER)
    scheduler = _start_scheduler(loop, processes.folder, security, closing)
    closing.callback(tls.forget, scheduler.address)
    tls.bring(scheduler.address, security)
    processes.join(scheduler.address)
    client = _connect(scheduler.address, security, loop)
    closing.callback(_or_leave, client.close, CLOSE_SECONDS)
    closing.callback(processes.end)
    _wait_for_workers(scheduler, processes)
    return Opened(client, lambda: processes.deaths)


def start_loop(closing: ExitStack) -> "IOLoop":
    """An event loop in a thread of its own, until `closing` ends."""
    from distributed.utils import LoopRunner  # noqa: PLC0415

    steady_clock()
    runner = LoopRunner()
    runner.start()
    closing.callback(runner.stop)
    assert runner.loop is not None
    return runner.loop


def _start_scheduler(loop: "IOLoop", folder: Path, security: "Security | None", closing: ExitStack) -> "Scheduler":
    """A scheduler in this process; Dask puts its folder at the head of sys.path, so it must be a private one."""
    import dask.config  # noqa: PLC0415
    from distributed import Scheduler  # noqa: PLC0415
    from distributed.utils import sync  # noqa: PLC0415

    async def start() -> Scheduler:
        protocol = "tls" if security else "tcp"
        here = "127.0.0.1"
        return await Scheduler(
            host=here, port=0, protocol=protocol, security=security, dashboard=False, dashboard_address=metrics.address_of()
        )

    with _ONE_AT_A_TIME, dask.config.set(SETTINGS | metrics.routes() | {"temporary-directory": str(folder)}):
        scheduler: Scheduler = sync(loop, start)
    closing.callback(_or_leave, in_time, loop, scheduler.close, CLOSE_SECONDS)
    return scheduler


def _or_leave(close: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Close; what takes too long on a machine that is busy or stops for a while is left, and takes back nothing that was done."""
    with suppress(TimeoutError):
        close(*args, **kwargs)


def _wait_for_workers(scheduler: "Scheduler", processes: WorkerProcesses) -> None:
    deaths, deadline = 0, monotonic() + OPEN_SECONDS
    while len(scheduler.workers) < len(processes.members):
        processes.check()
        if len(processes.deaths) > deaths:
            deaths, deadline = len(processes.deaths), monotonic() + OPEN_SECONDS
        if monotonic() > deadline:
            raise GemmflowError(f"{len(scheduler.workers)} of {len(processes.members)} workers started within {OPEN_SECONDS:.0f} s")
        sleep(0.01)


def _join_scheduler(spec: ClusterSpec, gate: Gate, closing: ExitStack) -> Opened:
    del gate  # nothing is started
    metrics.serve(closing)
    closing.enter_context(_silent_logs())
    loop = start_loop(closing)
    deadline = monotonic() + WORKERS_SECONDS
    while not (there := identify(spec.kind, loop, CONNECT_SECONDS)["workers"]) and monotonic() < deadline:
        sleep(STEP_SECONDS)
    if not there:
        raise BadInput(f"the scheduler at {spec.kind} has no workers: start some with `dask worker {spec.kind}`")
    client = _connect(spec.kind, tls.for_scheduler(spec.kind), loop)
    closing.callback(_or_leave, client.close, CLOSE_SECONDS)
    return Opened(client)


def _connect(address: str, security: "Security | None", loop: "IOLoop") -> "Client":
    """A client; Dask's setting of what it keeps of its messages counts while it is made."""
    import dask.config  # noqa: PLC0415
    from distributed import Client  # noqa: PLC0415

    with _ONE_AT_A_TIME, dask.config.set(SHORT_LOGS):
        return Client(address, security=security, timeout=CONNECT_SECONDS, set_as_default=False, loop=loop)


def identify(address: str, loop: "IOLoop", seconds: float) -> dict[str, object]:
    """What answers at `address` within `seconds`, asked before a client is made: a client that never connected takes 20 s to go away.

    Raises BadInput where nothing does, or no scheduler; a client would wait for ever for something that takes the call and is silent.
    """
    from distributed.comm.core import FatalCommClosedError  # noqa: PLC0415
    from distributed.core import rpc  # noqa: PLC0415
    from distributed.security import Security  # noqa: PLC0415

    security = tls.for_scheduler(address) or Security()

    async def ask() -> dict[str, object]:
        async with rpc(address, timeout=seconds, connection_args=security.get_connection_args("client")) as server:
            return cast("dict[str, object]", await server.identity())

    try:
        identity = in_time(loop, ask, seconds)
    except FatalCommClosedError:
        raise BadInput(f"the scheduler at {address} has other certificates: set {tls.TLS} to a folder with those that it has") from None
    except OSError:
        raise BadInput(f"no scheduler answers at {address} within {seconds:g} s: check the address, and that it runs") from None
    except ValueError as error:
        raise BadInput(f"{address} is no address of a scheduler ({error}): use tcp://host:port") from None
    except Exception:  # noqa: BLE001 - whatever Dask makes of the bytes of a foreign protocol, MemoryError included
        raise BadInput(f"what answers at {address} is no Dask scheduler: check the host and the port") from None
    if identity["type"] != "Scheduler":
        raise BadInput(f"a {str(identity['type']).lower()} answers at {address}: give the address of its scheduler")
    return identity


@contextmanager
def _silent_logs() -> Generator[None]:
    """Keep Dask from writing to the terminal while any cluster is open: what matters of it becomes an error of ours."""
    with _ONE_AT_A_TIME:
        _SILENT.clusters += 1
        for logger in [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith(NOISY)]:
            _SILENT.levels.setdefault(logger, logger.level)
            logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        with _ONE_AT_A_TIME:
            _SILENT.clusters -= 1
            while not _SILENT.clusters and _SILENT.levels:
                logger, level = _SILENT.levels.popitem()
                logger.setLevel(level)


@dataclass
class _Silent:
    """What is silent now, for all open clusters."""

    clusters: int = 0
    levels: dict[logging.Logger, int] = field(default_factory=dict[logging.Logger, int])
    """As they were before the first of them."""


_SILENT = _Silent()
_ONE_AT_A_TIME = threading.Lock()
"""Held for a moment where several threads open clusters: Dask's settings and loggers belong to the process."""


Opener = Callable[[ClusterSpec, Gate, ExitStack], Opened]

CLUSTERS: dict[str, Opener] = {"local": _open_local, "cuda": _open_cuda}
"""Kinds of cluster by name; anything with :// is the address of a running scheduler."""
