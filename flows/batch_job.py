"""One job of a batch, from its share of the machine to what became of it. Whatever it meets is its result, not the batch's end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flows.analyze import is_measured
from flows.batch_result import Kept, Result
from flows.engine import look
from flows.multiply import run_stages
from flows.session import open_session
from flows.signals import stopping
from flows.stages import direct_stages
from flows.steps import Tell, tell_nobody
from tasks.errors import GemmflowError, TooLittleMemory
from tasks.job import Job
from tasks.made import is_made
from tasks.resident import let_go

if TYPE_CHECKING:
    from flows.batch_entry import Entry
    from flows.batch_share import Share
    from tasks.hardware import Hardware
    from tasks.plan import Plan
    from tasks.report import Report
    from tasks.survey import Problem

COMPLETE = "there already, from the same inputs"

Compute = Callable[["Entry"], "Report"]


@dataclass(frozen=True)
class How:
    """How the jobs of a batch are run."""

    compute: Compute
    """Runs one, with or without Prefect."""
    share: "Share"
    again: bool = False
    """Also compute, and replace, what is complete."""


def attempt(entry: "Entry", how: How) -> Result:
    """Run a job. Only an interruption is raised."""
    started = time.monotonic()
    try:
        made = is_made(entry.job)
        if made and not how.again:
            return Result(entry.name, 0, time.monotonic() - started, COMPLETE, state="complete", out=entry.job.out)
        job = entry.job.model_copy(update={"overwrite": True}) if made else entry.job
        kept = Kept.of(how.compute(entry.model_copy(update={"job": how.share.of(job)})))
        let_go()
    except Exception as error:  # whatever one job meets, the next one is tried, unless somebody wants an end
        if stopping():
            raise
        ours = isinstance(error, GemmflowError)
        message = str(error) if ours else f"unexpected {type(error).__name__}: {error}"
        if isinstance(error, TooLittleMemory):
            message += how.share.advice(entry.job)
        return Result(entry.name, error.exit_code if ours else 1, time.monotonic() - started, message, out=entry.job.out)
    return Result(entry.name, 0, time.monotonic() - started, "", kept, "done", entry.job.out)


def run_planned_once(entry: "Entry", tell: Tell = tell_nobody) -> "Report":
    """The stages without Prefect, in one pass: the plan is looked at when it is made, and made once. `tell` hears of every step."""
    stages = direct_stages()

    def plan(job: Job, problem: "Problem", hardware: "Hardware") -> "Plan":
        made = stages.plan(job, problem, hardware)
        look(job, problem, made)
        if session.approve is not None:
            session.approve(problem, made)
        return made

    with open_session() as session:
        if not is_measured(entry.job.cluster):
            session.notify("measuring what this machine can do: once, for some seconds")
        return run_stages(entry.job, replace(stages, plan=plan), tell=tell)
