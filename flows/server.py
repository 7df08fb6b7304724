"""A Prefect server that lives as long as the command: for a run, an API on a random loopback port behind a random password;
for `gemmflow ui`, the whole server with its pages on a known port.

The socket is opened here and inherited, so a port is never taken in between and a request made too early waits instead of
failing. The server stands outside the terminal's process group: Ctrl-C reaches the run first, which can still report its end.
"""

import fcntl
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib import metadata
from pathlib import Path

from storage.keys import VARIABLE
from tasks.errors import BadInput, GemmflowError
from tasks.hardware import cache_folder

START_SECONDS = 90.0
"""The first start creates the database, which takes long on a busy machine."""
STOP_SECONDS = 2.0

LEASES, ON_DISK = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE", "prefect.server.concurrency.lease_storage.filesystem"
"""Where a server keeps the slots of concurrency limits; in memory, by default, so that one that starts again would free none."""

_PROGRAM = Path(__file__).with_name("api_process.py")


def prefect_home() -> Path:
    """Where the temporary server keeps its database: one folder per Prefect minor version, because databases do not go back."""
    named = os.environ.get("PREFECT_HOME")
    minor = ".".join(metadata.version("prefect").split(".")[:2])
    return Path(named) if named else cache_folder() / f"prefect-{minor}"


def shown(api: str) -> str:
    """An address for people and logs, without the password that it may hold.

    >>> shown("http://me:secret@host:4200/api")
    'http://***@host:4200/api'
    """
    return re.sub(r"(?<=://)[^/]*@", "***@", api)


@dataclass(frozen=True)
class Service:
    """What a server is for."""

    port: int = 0
    """On 127.0.0.1; 0: any that is free."""
    ui: bool = False
    """With pages and all background services (schedules, late runs), open to every user of this host."""


class TemporaryServer:
    """One Prefect server process. Starting returns at once; `wait` until it answers; `stop` in every case."""

    def __init__(self, home: Path, service: Service = Service()) -> None:
        self.home = home
        self._service = service
        self.auth = f"gemmflow:{secrets.token_urlsafe(16)}"
        with _listen(service.port) as listening:
            self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
            self.page = f"http://127.0.0.1:{listening.getsockname()[1]}"
            self.url = f"{self.page}/api"
            self._process = self._start(listening.fileno())

    def wait(self) -> None:
        """Block until the API answers; raises GemmflowError with the server's last words when it does not."""
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.url, seconds=1):
            time.sleep(0.02)
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise GemmflowError(f"the temporary Prefect server did not start: {self._last_words()}; --direct runs without it")

    def stop(self) -> None:
        """End the process within `STOP_SECONDS`."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _start(self, descriptor: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM), str(descriptor)],
            pass_fds=[descriptor],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
            env=self._environment(),
        )

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_API", VARIABLE))}
        common = {"PREFECT_HOME": str(self.home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_LOGGING_LEVEL": "WARNING"}
        if self._service.ui:
            pages = {"PREFECT_SERVER_UI_API_URL": self.url, "PREFECT_UI_URL": self.page}  # the second for links in notifications
            return {LEASES: ON_DISK} | inherited | common | pages | {"PREFECT__SERVER_FINAL": "1"}
        alone = {"PREFECT_SERVER_UI_ENABLED": "false", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
        return inherited | common | alone | {"PREFECT_SERVER_API_AUTH_STRING": self.auth}

    def written(self) -> str:
        """What the process has written so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _last_words(self) -> str:
        lines = self.written().strip().splitlines()
        return lines[-1].strip() if lines else f"no answer within {START_SECONDS:.0f} s"


def answers(api: str, seconds: float = 5) -> bool:
    """Whether a Prefect server answers at an API's address within so many seconds."""
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=seconds) as answer:
            return answer.status == 200
    except (urllib.error.URLError, HTTPException, OSError, ValueError):
        return False


@contextmanager
def one_start_at_a_time(home: Path) -> Generator[None]:
    """Two servers must not create the same database at once."""
    with (home / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as error:
        raise BadInput(f"port {port} cannot be used: {error.strerror}; give another one with --port") from None
