"""One run at a time on the GPUs of a host, whatever deployment or command it comes from.

The limit lives on the Prefect server, under the name of the host. Where nobody has created it, nothing waits:

    prefect gcl create gemmflow-gpu-HOST --limit 1
"""

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from tasks.cluster_file import is_file, read

LIMIT = "gemmflow-gpu-{host}"
"""Name of a host's limit."""


def gpu_limit(host: str | None = None) -> str:
    """The name of the limit of a host; default: of this one."""
    return LIMIT.format(host=host or socket.gethostname())


def takes_gpus(cluster: str) -> bool:
    """Whether workers on the GPUs of this host compute. Raises BadInput where a cluster file is wrong."""
    return (read(cluster).kind if is_file(cluster) else cluster) == "cuda"


@contextmanager
def gpu_slot(cluster: str) -> Generator[None]:
    """Wait until the GPUs of this host are free, and hold them; at once where `cluster` takes none of them.

    A run whose server is away goes on without a slot, or keeps it in its own mind; the server frees a slot that nobody renews.
    """
    if not takes_gpus(cluster):
        yield
        return
    give_back = _taken(gpu_limit())
    try:
        yield
    finally:
        with suppress(Exception):
            give_back()


def _taken(limit: str) -> Callable[[], object]:
    """Take a slot; returns how it is given back."""
    from prefect.concurrency.sync import concurrency  # noqa: PLC0415 - only who takes GPUs asks the server

    from flows.recording import is_away  # noqa: PLC0415

    slot = concurrency(limit, occupy=1)
    try:
        slot.__enter__()
    except Exception as error:
        if not is_away(error):
            raise
        return lambda: None
    return lambda: slot.__exit__(None, None, None)
