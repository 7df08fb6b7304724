"""Steps of a run as Prefect events, which automations match: the resource is the flow run, so that its own states are in the same bucket.

    event     gemmflow.run.planned, gemmflow.run.begun ...       the names of flows.steps.STEPS
    resource  prefect.flow-run.<id>, with gemmflow.run-id and gemmflow.out as labels
    related   the tags of the flow run, which Prefect leaves out where the run itself is the resource; what it adds: flow, deployment ...
    payload   the facts of the step, and out and run_id

The jobs of a batch share its flow run. Each is a task there, so that its task run is the resource, with the job's name as label
gemmflow.job and in the payload, and with its own end: failed is sent, too. The batch tells it once more, also of jobs that never began.

Each event names the one before it: the server takes them in that order, however they arrive. An end that overtook its begin would leave
a job that was done within a moment waited for, and called stuck a quarter of an hour later.

A server that does not answer costs the events, not the run.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from prefect import get_run_logger
from prefect.events import Event, emit_event
from prefect.runtime import flow_run, task_run

from flows.sending import Sender
from flows.steps import Step, Tell, tell_nobody

if TYPE_CHECKING:
    from flows.batch_result import Result

PREFIX = "gemmflow.run."
UNSENT = ("failed",)
"""Prefect says so itself, by prefect.flow-run.Failed and prefect.flow-run.Crashed: also of a run that can say nothing any more."""


LONGEST = 1000
"""Characters of a text that an event holds."""


class Events:
    """Tells the steps of the flow run that makes it, or of a job of a batch."""

    def __init__(self, sender: Sender, job: str = "", run: str | None = None) -> None:
        """`run`: the resource, where it is not the flow run."""
        self._sender, self._job = sender, {"job": job} if job else dict[str, str]()
        self._id, self._name = run or f"prefect.flow-run.{flow_run.id}", job if run else str(flow_run.name)
        tags = () if run else flow_run.tags
        self._last: Event | None = None
        self._tags = [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in tags]

    def __call__(self, step: Step) -> None:
        """Have the event sent soon."""
        self._sender.send(f"{step.name} {self._id} {self._job}", partial(self._emit, step))

    def _emit(self, step: Step) -> None:
        resource = {"prefect.resource.id": self._id, "prefect.resource.name": self._name, "gemmflow.out": step.out}
        resource |= {"gemmflow.run-id": step.run_id} if step.run_id else {}
        resource |= {f"gemmflow.{name}": value for name, value in self._job.items()}
        facts = {name: fact[:LONGEST] if isinstance(fact, str) else fact for name, fact in step.facts.items()}
        payload = {"out": step.out, "run_id": step.run_id, **self._job, **facts}
        self._last = emit_event(PREFIX + step.name, resource, related=self._tags, payload=payload, follows=self._last)


@contextmanager
def telling() -> Generator[Tell]:
    """What tells the steps of the flow run around: as events, and as lines on its page. Outside of one nobody is told."""
    if flow_run.id is None:
        yield tell_nobody
        return
    sender = Sender()
    try:
        yield _tell(Events(sender))
    finally:
        sender.settle()


def tell_of_job(name: str, sender: Sender) -> Tell:
    """What tells the steps of the job of a batch whose task is around. Outside of one nobody is told."""
    return tell_nobody if task_run.id is None else _tell(Events(sender, name, f"prefect.task-run.{task_run.id}"), unsent=())


def failures(sender: Sender) -> "Callable[[Result, int], None]":
    """A listener that tells of every job of a batch that failed, or was skipped because of one."""

    def listen(result: "Result", count: int) -> None:
        del count
        if result.exit_code:
            facts = {"state": result.state, "exit_code": result.exit_code, "message": result.message}
            Events(sender, result.name)(Step("failed", result.out, facts))

    return listen


def _tell(events: Events, unsent: tuple[str, ...] = UNSENT) -> Tell:
    """Sends, and writes on the run's page."""
    logger = get_run_logger()

    def tell(step: Step) -> None:
        if step.name not in unsent:
            events(step)
            logger.info(step.line)

    return tell
