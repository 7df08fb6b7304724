"""What a batch shows in Prefect: a task for each job that is computed, a bar of jobs, the summary as a table."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from prefect import Task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE

from flows.artifacts import MINIMUM_SECONDS
from flows.batch_job import Compute
from flows.batch_summary import Summary, table_rows
from flows.events import tell_of_job
from flows.gpu import gpu_slot
from flows.limited import Limited
from flows.sending import Sender
from flows.stages import PRODUCTS

if TYPE_CHECKING:
    from flows.batch_entry import Entry
    from flows.batch_result import Result
    from flows.steps import Tell
    from tasks.report import Report


TAGS = (PRODUCTS,)


def as_task(compute: "Callable[[Entry, Tell], Report]", sender: Sender) -> Compute:
    """The same as a Prefect task, which sends its steps, with the slot that a run of its own would take."""

    def run(entry: "Entry") -> "Report":
        def task(work: Callable[[], None]) -> "Task[[], None]":
            named = lambda: entry.name  # noqa: E731
            return Task(work, name="job", task_run_name=named, tags=TAGS, cache_policy=NO_CACHE, persist_result=False, retries=0)

        with gpu_slot(entry.job.cluster):  # before the tag's, as in a run of its own
            return Limited(lambda: compute(entry, tell_of_job(entry.name, sender)), TAGS).run(task)

    return run


class BatchBar:
    """A listener that moves a bar in Prefect, at most once a second and at the end."""

    def __init__(self, name: str, jobs: int, sender: Sender) -> None:
        self._name, self._jobs, self._sender = name, jobs, sender
        self._shown_at = 0.0
        self._id: UUID | None = None

    def __call__(self, result: "Result", count: int) -> None:
        """Show that one more job has ended."""
        now = time.monotonic()
        if count == self._jobs or now - self._shown_at >= MINIMUM_SECONDS:
            self._shown_at = now
            self._sender.send("progress", lambda: self._show(result, count))

    def _show(self, result: "Result", count: int) -> None:
        share, words = 100.0 * count / self._jobs, f"{self._name}: {count} of {self._jobs} jobs, last {result.name}: {result.state}"
        if self._id is None:
            found = create_progress_artifact(share, key="gemmflow-batch-progress", description=words)
            self._id = found if isinstance(found, UUID) else None
        else:
            update_progress_artifact(self._id, share, description=words)


def send_summary(summary: Summary, sender: Sender) -> None:
    """The table of all jobs; what is still to be sent gets a moment."""
    words = f"{summary.name}, {summary.scheduled:%Y-%m-%d %H:%M %Z}: {summary.line}"
    sender.send("summary", lambda: create_table_artifact(table_rows(summary.results), key="gemmflow-batch", description=words))
    sender.settle()
