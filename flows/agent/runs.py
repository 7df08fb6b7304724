"""Runs on disk: a folder each, named by the key under which it was submitted, so that the same key is the same run whoever asks.

    request.json    what was submitted; the folder appears with it, whole, or not at all
    lock            held from the start of its process to that one's end
    plan.json       the file of its plan, which is what runs
    begun.json      its process, and what lay at OUT before
    progress.json   how far it is, once a second at most
    stop.json       that it is to end, and why; the first reason stays
    report.json     of a product that is complete
    ended.json      how it ended; missing where the process was killed
    log             what it said

Whoever starts the process holds the lock and hands it over, so starting a run twice is harmless, and whether it lives is never in doubt.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from flows.agent.faults import AgentError
from flows.agent.kept import Kept
from flows.agent.store import Document, Store, read, write, write_once
from flows.traces import run_id_at
from storage.sync import sync_folder

NEW = ".new-"
NEW_SECONDS = 3600.0
"""After which a folder that never became a run is removed."""
ENDED_SECONDS = 90 * 86400.0
"""After which what is known of a run that ended is removed; its product stays."""
TRIES = 20

_HANDLE = re.compile(r"run-[0-9a-f]{32}")

Why = Literal["cancelled", "time_limit"]


class Request(BaseModel):
    """What was submitted."""

    model_config = ConfigDict(frozen=True)

    key: str
    plan_id: str
    kept: Kept
    max_seconds: float
    """After which the run is ended."""
    max_usd: float | None
    at_once: int
    """Runs of this store that may go on at the same time."""
    submitted_at: float
    """Seconds since the epoch."""

    @property
    def limit_seconds(self) -> float:
        """When the run is ended: when its time is over, or its money."""
        price = self.kept.usd_per_hour
        return self.max_seconds if not price or self.max_usd is None else min(self.max_seconds, self.max_usd / price * 3600)

    def asks_as(self, other: "Request") -> bool:
        """Whether both want the same."""
        return (self.plan_id, self.max_seconds, self.max_usd) == (other.plan_id, other.max_seconds, other.max_usd)


@dataclass(frozen=True)
class Run:
    """The folder of a run."""

    folder: Path

    @property
    def handle(self) -> str:
        """Its name, for the caller."""
        return self.folder.name

    @property
    def request(self) -> Request:
        """What was submitted."""
        return Request.model_validate(read(self.folder / "request.json"))

    def document(self, name: str) -> Document | None:
        """What stands in one of its files, such as begun; None where it is not there yet."""
        return read(self.folder / f"{name}.json")

    def note(self, name: str, document: Mapping[str, object], durable: bool = True) -> None:
        """Write one of its files."""
        write(self.folder / f"{name}.json", document, durable)

    def stop(self, why: Why) -> bool:
        """Ask the run to end; False where somebody did before."""
        return write_once(self.folder / "stop.json", {"why": why, "at": time.time()})

    @property
    def is_alive(self) -> bool:
        """Whether its process lives."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _lock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    def take(self) -> int | None:
        """Hold the run: a descriptor that does so until its last copy is closed, in whatever process; None where another one does."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(TRIES):  # whoever asks whether the run lives holds it for a moment
            if _lock(descriptor, fcntl.LOCK_EX):
                return descriptor
            time.sleep(0.01)
        os.close(descriptor)
        return None


def submit(store: Store, request: Request) -> Run:
    """The run of a request, which is recorded unless it was before. Raises AgentError where the key belongs to another request."""
    _sweep(store)
    run = Run(store.runs / handle_of(request.key))
    if not run.folder.is_dir():
        _record(store, run, request)
    if not run.request.asks_as(request):
        cause = f"idempotency_key {request.key[:80]!r} was used for another plan or other limits, by run {run.handle}"
        raise AgentError("key_reused", cause, "give a new key for a new run, or ask for the same again")
    return run


def find(store: Store, handle: str) -> Run:
    """The run of a handle. Raises AgentError where there is none."""
    run = Run(store.runs / handle)
    if not _HANDLE.fullmatch(handle) or not run.folder.is_dir():
        raise AgentError("unknown_handle", f"{handle[:80]!r} is no run of this server", "give the handle that submit returned")
    return run


def handle_of(key: str) -> str:
    """The handle that a key stands for."""
    return f"run-{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:32]}"


def all_runs(store: Store) -> list[Run]:
    """Every run, by handle."""
    return [Run(folder) for folder in sorted(store.runs.iterdir()) if _HANDLE.fullmatch(folder.name)]


def is_complete(run: Run) -> bool:
    """Whether the product lies at OUT, whatever its process could still say."""
    begun = run.document("begun")
    return begun is not None and run_id_at(run.request.kept.out) not in ("", begun["replaced"])


@contextlib.contextmanager
def slot(store: Store, number: int) -> Generator[bool]:
    """Hold one of the slots within the block: whether it was free."""
    descriptor = os.open(store.slots / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _record(store: Store, run: Run, request: Request) -> None:
    aside = Path(tempfile.mkdtemp(dir=store.runs, prefix=NEW))
    write(aside / "request.json", request.model_dump())
    try:
        aside.rename(run.folder)  # fails where the other one is there: no folder replaces one that is not empty
    except OSError:
        shutil.rmtree(aside)
        if not run.folder.is_dir():
            raise
    sync_folder(str(store.runs))


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(store: Store) -> None:
    ended = ((run.folder, run.folder / "ended.json", ENDED_SECONDS) for run in all_runs(store))
    for folder, sign, seconds in (*((aside, aside, NEW_SECONDS) for aside in store.runs.glob(f"{NEW}*")), *ended):
        with contextlib.suppress(OSError):
            if sign.stat().st_mtime < time.time() - seconds:
                shutil.rmtree(folder)
