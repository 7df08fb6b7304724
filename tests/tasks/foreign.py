"""Workers that somebody else started: plain Dask workers whose import path begins with a folder of the test."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from tasks.cluster import Cluster

SCRIPT = """
import asyncio, sys
from distributed import Worker
from distributed.security import Security

async def main():
    security = Security(require_encryption=True, tls_ca_file=sys.argv[3], tls_worker_cert=sys.argv[4], tls_worker_key=sys.argv[5])
    fixed = dict(nthreads=1, host="127.0.0.1", memory_limit=0)
    async with Worker(sys.argv[1], security=security, local_directory=sys.argv[2], **fixed) as worker:
        await worker.finished()

asyncio.run(main())
"""


@contextmanager
def foreign_worker(cluster: Cluster, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of `cluster` that looks for packages in `path` first; it is the only one that a test may blame."""
    before = cluster.workers
    held = cluster.client.security
    certificates = [held.tls_ca_file, held.tls_client_cert, held.tls_client_key]
    command = [sys.executable, "-P", "-c", SCRIPT, cluster.address, str(path / "scratch"), *certificates]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(path)}, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(cluster.workers) > len(before))
        yield process
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: cluster.workers == before)


def wait_until(condition, seconds: float = 30.0) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, f"still not so after {seconds:.0f} s"
        sleep(0.02)
