"""What surrounds the runs of one command or call: when it began, which workers and which Prefect are open, who watches.

The session is a context variable, so that a flow needs no parameter that Prefect's form could not show. A run that Prefect
starts by itself, without a session, gets one of its own.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.pool import ClusterPool
from tasks.cluster_file import is_file
from tasks.described import described
from tasks.job import Job
from tasks.moment import now
from tasks.outcome import Progress

if TYPE_CHECKING:
    from flows.batch_summary import Summary
    from flows.engine import Approve
    from tasks.hardware import Hardware
    from tasks.report import Report

Observer = Callable[[Progress], None]


def say_nothing(text: str) -> None:
    """For who wants no words."""
    del text


@dataclass
class Session:
    """Shared by the runs of one command."""

    started: float = field(default_factory=now)
    """Seconds since the epoch: the start of the process, or of the call. Each run after the first starts anew."""
    observers: tuple[Observer, ...] = ()
    notify: Callable[[str], None] = say_nothing
    """Says a word to the person who waits."""
    approve: "Approve | None" = None
    """Sees each plan of a batch before its job starts, and may raise."""
    cores: int = 0
    """How many the runs may use; 0: all."""
    pool: ClusterPool = field(default_factory=ClusterPool)
    report: "Report | None" = None
    """Of the latest run; None until its result is published."""
    summary: "Summary | None" = None
    """Of the latest batch; None until its last job has ended."""
    _entered: dict[str, ExitStack] = field(default_factory=dict[str, ExitStack])
    _clusters: ExitStack = field(default_factory=ExitStack)
    """Those that cluster files describe."""
    _addresses: dict[str, str] = field(default_factory=dict[str, str])
    """By the name of the file."""
    _opening: threading.Lock = field(default_factory=threading.Lock)
    _lender: "Session | None" = None
    """Who opens what cluster files describe, where this session has it from another one."""

    def beside(self, cores: int) -> "Session":
        """A session for runs beside others of this one: with workers of its own on this host, and only the same clusters elsewhere."""
        return Session(notify=self.notify, cores=cores, _lender=self)

    def share(self, hardware: "Hardware", cluster: str) -> "Hardware":
        """The part of the workers' hardware that the runs may use: of this host the session's cores, elsewhere all."""
        from tasks.sharing import with_cores  # noqa: PLC0415 - where it is needed, its imports are there

        return with_cores(hardware, self.cores) if self.cores and cluster == "local" else hardware

    def place(self, job: Job) -> Job:
        """The job on workers that are there: what a cluster file describes is opened, once, until the session ends."""
        return job.model_copy(update={"cluster": self.address_of(job.cluster)}) if is_file(job.cluster) else job

    def address_of(self, cluster: str) -> str:
        """Kind or address of a cluster, opened first where a file describes it. Raises as `described` does."""
        if not is_file(cluster):
            return cluster
        if self._lender is not None:
            return self._lender.address_of(cluster)
        with self._opening:
            if cluster not in self._addresses:
                self._addresses[cluster] = self._clusters.enter_context(described(cluster, self.notify))
            return self._addresses[cluster]

    def keep(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        """Enter `make()` once, and leave it when the session ends."""
        if make.__name__ not in self._entered:
            with ExitStack() as stack:
                stack.enter_context(make())
                self._entered[make.__name__] = stack.pop_all()

    def close(self) -> None:
        """End everything that is open."""
        with ExitStack() as stack:
            stack.push(self._clusters)
            stack.callback(self.pool.close)
            for entered in self._entered.values():
                stack.push(entered)

    def warn(self, text: str) -> None:
        """Say it, where there is something to say."""
        if text:
            self.notify(text)

    def observe(self, progress: Progress) -> None:
        """Tell everybody who watches."""
        for observer in self.observers:
            observer(progress)


_SESSION: ContextVar[Session | None] = ContextVar("gemmflow session", default=None)


@contextmanager
def open_session(session: Session | None = None) -> Generator[Session]:
    """The session that is open already; else `session`, which ends with the block."""
    known = _SESSION.get()
    if known is not None:
        yield known
        return
    with within(session or Session()) as fresh:
        yield fresh


@contextmanager
def within(session: Session) -> Generator[Session]:
    """This session, whatever is open around it; it ends with the block."""
    token = _SESSION.set(session)
    try:
        yield session
    finally:
        _SESSION.reset(token)
        session.close()
