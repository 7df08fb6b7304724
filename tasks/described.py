"""Opening what a cluster file describes: a scheduler with its workers, until the block ends.

Whatever class the file names, all that is asked of it is Dask's own interface: `scheduler_address`, `scale`, `adapt`, `close`. What
was opened here is closed here; a scheduler that ran before is left alone.
"""

from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from time import monotonic, sleep
from typing import TYPE_CHECKING, Protocol, cast

from tasks import tls
from tasks.cluster import SILENT_SECONDS
from tasks.cluster_file import Adapt, ClusterFile, read
from tasks.clusters import identify, start_loop
from tasks.errors import BadInput, GemmflowError
from tasks.in_time import in_time
from tasks.units import format_seconds

if TYPE_CHECKING:
    from distributed import Client

LOOK_SECONDS = 0.2
"""How often workers are counted."""

TOLD_SECONDS = 5.0
"""How often somebody who waits is told."""

Tell = Callable[[str], None]


class Startable(Protocol):
    """What Dask's cluster classes have in common."""

    @property
    def scheduler_address(self) -> str:
        """Where the scheduler answers."""
        ...

    def scale(self, n: int) -> object:
        """Start or end workers until there are n."""
        ...

    def adapt(self, **limits: object) -> object:
        """Start and end workers as there is work."""
        ...

    def close(self) -> object:
        """End everything."""
        ...


@contextmanager
def described(cluster: str, tell: Tell) -> Generator[str]:
    """The kind or the address of the cluster that a file describes, its workers there; `tell` hears how many came so far.

    Raises BadInput where the file or its class is wrong, or nothing answers, and GemmflowError where workers do not come in time.
    """
    file = read(cluster)
    if file.kind is not None:
        yield file.kind
        return
    with ExitStack() as closing:
        address = file.address or _start(cluster, file, tell, closing)
        _wait(address, file, tell)
        yield address


def _start(cluster: str, file: ClusterFile, tell: Tell, closing: ExitStack) -> str:
    import dask.config  # noqa: PLC0415 - takes a third of a second to import

    make, settings = _class_of(cluster, str(file.cluster_class)), tls.settings()
    try:
        with dask.config.set(settings):
            started = make(**file.cluster_kwargs)
        closing.callback(_close, started, cluster, tell)
        _size(started, file.workers, file.adapt_kwargs)
        address = cast("object", started.scheduler_address)
    except (Exception, SystemExit) as error:  # whatever a foreign class raises
        raise BadInput(f"cluster {cluster}: {file.cluster_class} does not start: {_line(error)}") from error
    if not isinstance(address, str) or "://" not in address:
        raise BadInput(f"cluster {cluster}: {file.cluster_class} has the scheduler_address {address!r}, not one such as tcp://host:8786")
    closing.callback(tls.forget, address)
    tls.bring(address, getattr(started, "security", None))
    if tls.is_open(address):
        tell(f"the scheduler at {address} listens in the clear, and whoever reaches it can run code as you: see {tls.TLS}")
    return address


def _close(started: Startable, cluster: str, tell: Tell) -> None:
    """End what was started; what goes wrong then takes back nothing that was done with it."""
    try:
        started.close()
    except Exception as error:  # noqa: BLE001 - whatever a foreign class raises
        tell(f"cluster {cluster} could not be closed, see whether its workers are gone: {_line(error)}")


def _size(started: Startable, workers: int | None, adapt: Adapt | None) -> None:
    if adapt is not None:
        started.adapt(**adapt.model_dump())
    elif workers is not None:
        started.scale(workers)


def _class_of(cluster: str, name: str) -> Callable[..., Startable]:
    module, _, attribute = name.rpartition(".")
    try:
        return cast("Callable[..., Startable]", getattr(import_module(module), attribute))
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise BadInput(f"cluster {cluster} needs {name} ({error}): install {package}") from None
    except AttributeError:
        raise BadInput(f"cluster {cluster}: {module} has no {attribute}") from None


def _wait(address: str, file: ClusterFile, tell: Tell) -> None:
    """Until the scheduler has the workers that the file waits for."""
    wanted, started = file.wait.workers, monotonic()
    told = started
    with _client(address, file.wait.seconds) as client:
        while (there := _count(client)) < wanted:
            waited = monotonic() - started
            if waited > file.wait.seconds:
                raise GemmflowError(
                    f"{there} of {wanted} workers came to {address} within {format_seconds(file.wait.seconds)}: "
                    "see why they do not start, or ask for fewer or for more time (wait.workers, wait.seconds)"
                )
            if monotonic() - told > TOLD_SECONDS:
                told = monotonic()
                tell(
                    f"waiting for workers: {there} of {wanted} after {format_seconds(waited)}, at most {format_seconds(file.wait.seconds)}"
                )
            sleep(LOOK_SECONDS)


@contextmanager
def _client(address: str, seconds: float) -> Generator["Client"]:
    from distributed import Client  # noqa: PLC0415 - takes half a second to import

    with ExitStack() as closing:
        loop = start_loop(closing)
        identify(address, loop, seconds)
        yield closing.enter_context(Client(address, security=tls.for_scheduler(address), timeout=seconds, set_as_default=False, loop=loop))


def _count(client: "Client") -> int:
    assert client.scheduler is not None
    try:
        identity = client.scheduler.identity
        asked = in_time(client.loop, lambda: identity(n_workers=-1), SILENT_SECONDS)
    except OSError:  # a TimeoutError is one
        raise GemmflowError(f"the scheduler at {client.scheduler.address} does not answer any more: see why it ended") from None
    return len(cast("dict[str, dict[str, object]]", asked)["workers"])


def _line(error: BaseException) -> str:
    """What happened, and what that came of: Dask wraps the one in the other."""
    origin = error
    while origin.__cause__ is not None:
        origin = origin.__cause__
    said = [f"{type(one).__name__}: {one}".splitlines()[0] for one in (error, origin)]
    return "; ".join(dict.fromkeys(said))
