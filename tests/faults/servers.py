"""A Prefect server that can be killed and started again, on the same port and with the same database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flows.server import Service, TemporaryServer
from tests.flows.prefect_api import free_port, request


@dataclass
class Server:
    """Open to every user of this host, with all services, as `gemmflow ui` has it."""

    home: Path
    port: int = field(default_factory=free_port)
    running: TemporaryServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        self.home.mkdir(exist_ok=True)
        self.running = TemporaryServer(self.home, Service(self.port, ui=True))
        self.running.wait()

    def kill(self) -> None:
        """As kill -9 does."""
        assert self.running is not None
        self.running._process.kill()
        self.running.stop()
        self.running = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within the block somebody else writes to the database, and nobody else can."""
        with closing(sqlite3.connect(self.home / "prefect.db", isolation_level=None, timeout=60)) as database:
            database.execute("BEGIN EXCLUSIVE")
            yield
            database.execute("ROLLBACK")

    def latest(self) -> dict:
        """The flow run that started last."""
        return request(f"{self.url}/flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})[0]

    def tasks(self, run: str) -> dict[str, str]:
        """State of each task of a run, by its name."""
        found = request(f"{self.url}/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return {task["name"].rpartition("-")[0]: task["state_type"] for task in found}

    def artifacts(self, run: str) -> dict[str, str]:
        """What it shows, by key."""
        found = request(f"{self.url}/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}})
        return {artifact["key"]: str(artifact["data"]) for artifact in found if artifact["key"]}

    def close(self) -> None:
        if self.running is not None:
            self.running.stop()
