"""What one worker process of a local cluster does: load the libraries, join the scheduler, end with its driver.

The process is started before the scheduler exists, so that loading overlaps; the scheduler's address is the first line on
standard input. Standard input stays open as long as the driver lives: its end, for whatever reason, is the end of the worker.
"""

import asyncio
import os
import shutil
import signal
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

SETTINGS: dict[str, object] = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.preload": [],
    "distributed.worker.profile.enabled": False,
    "distributed.diagnostics.nvml": False,
}
"""Dask settings of a worker: nothing is loaded, sampled or served that a tile does not need, and nothing it holds goes to disk."""

REMOVALS = 40
"""How often the cluster's folder is tried to be removed."""

ABSENT = 2
"""How often in a row it must be found gone."""

DEATH_SECONDS = 10
"""A worker that cannot reach its scheduler for so long ends."""

LAST_SECONDS = 5.0
"""How long a worker without a scheduler waits for the end of its driver; then it ends, and the driver starts another one."""


def main() -> None:
    """Run one worker; arguments: its name, its folder in the cluster's, and Dask's limit of held results in bytes (0: none)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    name, folder, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    load_libraries()
    address = sys.stdin.readline().strip()
    ending = threading.Thread(target=_end_with_driver, args=(folder,), daemon=True)
    ending.start()
    if address:
        asyncio.run(_serve(address, name, folder, limit))
    ending.join(LAST_SECONDS)  # the scheduler goes away with its driver: leave the time to remove the folder


def load_libraries() -> None:
    """Import what tiles and the protocol need, so that the first tile does not pay for it."""
    import torch  # noqa: PLC0415

    import_module("distributed")
    import_module("tasks.tile")
    import_module("tasks.blas").load()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


async def _serve(address: str, name: str, folder: Path, limit: int) -> None:
    import dask.config  # noqa: PLC0415
    from distributed import Worker  # noqa: PLC0415

    from tasks.metrics import address_of, routes  # noqa: PLC0415
    from tasks.short_logs import SHORT_LOGS  # noqa: PLC0415
    from tasks.steady import steady_clock  # noqa: PLC0415
    from tasks.tls import FOLDER, for_worker  # noqa: PLC0415

    dask.config.set(SETTINGS | SHORT_LOGS | routes())
    steady_clock()
    worker = Worker(
        address,
        security=for_worker(folder.parent / FOLDER, address),
        name=name,
        nthreads=1,
        host="127.0.0.1",
        memory_limit=limit,
        local_directory=str(folder),
        dashboard_address=address_of(int(name) + 1),
        death_timeout=DEATH_SECONDS,
    )
    async with worker:
        await worker.finished()


def _end_with_driver(folder: Path) -> None:
    """Wait for the end of standard input, then remove the whole cluster's folder, since nobody else may be left to do it."""
    sys.stdin.buffer.read()
    absent = 0
    for _ in range(REMOVALS):  # its other workers remove it at the same moment, and Dask's own threads may make it again
        shutil.rmtree(folder.parent, ignore_errors=True)
        absent = 0 if folder.parent.exists() else absent + 1
        if absent == ABSENT:
            break
        time.sleep(0.05)
    os._exit(0)


if __name__ == "__main__":
    main()
