"""A PostgreSQL server for Prefect's records, as `compose.yaml` has one: on loopback, behind a password, gone with its test."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.flows.prefect_api import free_port
from tests.flows.processes import wait_until

USER = "postgres" if os.geteuid() == 0 else None
"""It refuses to run as root."""

PROGRAMS = ("initdb", "postgres", "pg_isready")


def programs() -> Path | None:
    """The folder of all that is needed, of the newest version; None where there is none. Debian keeps it off the path."""
    found = [*map(Path, os.environ["PATH"].split(os.pathsep)), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    return next((folder for folder in reversed(found) if all((folder / name).exists() for name in PROGRAMS)), None)


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an empty database, as PREFECT_SERVER_DATABASE_CONNECTION_URL takes it."""
    place = programs()
    assert place is not None
    folder, port, password = Path(tempfile.mkdtemp()), free_port(), secrets.token_hex(8)
    (folder / "password").write_text(password)
    if USER is not None:
        for path in (folder, folder / "password"):
            shutil.chown(path, USER)
    rights = ["--auth=scram-sha-256", "--username=prefect", f"--pwfile={folder / 'password'}"]
    fixed = {"cwd": folder, "user": USER, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    try:
        subprocess.run([place / "initdb", "--no-sync", *rights, folder / "data"], check=True, **fixed)
        command = [place / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-F"]
        with subprocess.Popen(command, **fixed) as server:
            try:
                wait_until(lambda: server.poll() is not None or ready(place, port), 30)
                assert server.poll() is None, server.stderr and server.stderr.read()
                yield f"postgresql+asyncpg://prefect:{password}@127.0.0.1:{port}/postgres"
            finally:
                server.terminate()
                server.communicate(timeout=30)
    finally:
        shutil.rmtree(folder)


def ready(place: Path, port: int) -> bool:
    return subprocess.run([place / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False).returncode == 0
