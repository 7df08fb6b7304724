"""One cluster, kept open between runs and opened ahead of the first one.

Worker processes take seconds to start. A command that knows its plan opens them while Prefect starts (`open_ahead`); a batch
keeps them as long as its jobs want the same workers and no smaller memory: a process keeps some of the memory it once used.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from time import sleep

from storage import preload
from tasks.cluster import Cluster
from tasks.clusters import ClusterSpec, open_cluster
from tasks.errors import BadInput, Refused
from tasks.gate import Gate
from tasks.plan import Plan

STEP_SECONDS = 0.01
"""From one look whether the workers are open to the next."""


class ClusterPool:
    """At most one open cluster. `close` it in every case."""

    def __init__(self) -> None:
        self._spec: ClusterSpec | None = None
        self._memory = 0
        self._cluster: Cluster | None = None
        self._error: BaseException | None = None
        self._opening = False
        """Whether a thread is at it. `Thread.join` would not do: one that a signal interrupts takes the thread for ended ever after."""
        self._gate = Gate()

    @property
    def is_open(self) -> bool:
        """Whether workers are there, or about to be: what they hold is not free, and is theirs to use."""
        return self._spec is not None

    def open_ahead(self, kind: str, plan: Plan) -> None:
        """Start to open the workers of `plan`, unless they are open; what goes wrong is raised when they are used."""
        if self._spec == spec_of(kind, plan) and plan.memory_limit >= self._memory:
            return
        self.close()
        self._spec, self._memory = spec_of(kind, plan), plan.memory_limit
        self._gate = Gate()
        self._opening = True
        threading.Thread(target=self._open, args=(self._spec, self._gate), name="open cluster", daemon=True).start()

    @contextmanager
    def cluster(self, kind: str, plan: Plan) -> Generator[Cluster]:
        """The workers of `plan`, open; they stay open unless the block fails while running."""
        self.open_ahead(kind, plan)
        self._memory = plan.memory_limit
        cluster = self._wait()
        try:
            yield cluster
        except (BadInput, Refused):
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers, those too that are just being opened."""
        self._gate.shut()
        self._await_opening()
        cluster, self._cluster, self._spec, self._error = self._cluster, None, None, None
        if cluster is not None:
            cluster.close()

    def _open(self, spec: ClusterSpec, gate: Gate) -> None:
        try:
            self._cluster = open_cluster(spec, gate)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks for the workers
            self._error = error
        finally:
            self._opening = False

    def _await_opening(self) -> None:
        while self._opening:
            sleep(STEP_SECONDS)

    def _wait(self) -> Cluster:
        preload()
        self._await_opening()
        if self._cluster is not None:
            return self._cluster
        assert self._error is not None
        error, self._spec = self._error, None
        raise error


def spec_of(kind: str, plan: Plan) -> ClusterSpec:
    """The workers that a plan counts on."""
    return ClusterSpec(kind, plan.workers, plan.threads_per_worker)
