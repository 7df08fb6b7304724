"""The Prefect flows: multiply, batch, analyze, verify, repair, calibrate, clean. Their parameters are values, so Prefect's forms show,
explain and check every field.

Entrypoints: ``flows.workflow.multiply_flow`` and so on. (Importing this module imports Prefect.)
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import cast

from prefect import flow
from prefect.context import TagsContext
from prefect.runtime import flow_run
from pydantic import TypeAdapter

from flows import upkeep
from flows.analyze_about import asked_about, find_out
from flows.analyze_artifacts import send_answer
from flows.analyze_question import Subject, Wanted
from flows.approval import require_approval
from flows.batch import run_here
from flows.batch_artifacts import BatchBar, as_task, send_summary
from flows.batch_file import read_batch
from flows.batch_job import run_planned_once
from flows.batch_summary import BatchFailed
from flows.cancelled import cancellable
from flows.chores import Measuring, Mending, Out, Place, Stale
from flows.events import failures, telling
from flows.gpu import gpu_slot
from flows.multiply import run_stages
from flows.recording import SERVED_SECONDS, await_server, one_try, patient
from flows.sending import Sender
from flows.signals import still_interruptible
from flows.slot import kept_slot, renew_often
from flows.stages import prefect_stages
from flows.steps import repaired
from storage import expanded
from tasks.as_planned import as_planned
from tasks.asking import AskAbove
from tasks.checkup import Ask
from tasks.errors import DamageFound, GemmflowError
from tasks.hardware import Hardware
from tasks.job import Job, make_job
from tasks.report import Report
from tasks.survey import survey

renew_often()  # now: Prefect renews the slot of a run before it calls the flow


@contextmanager
def in_prefect() -> Generator[None]:
    """Within the block signals are ours, no slot that is lost ends the run, and whoever cancels the run ends it.

    At its end, the server hears of it, should it be away.
    """
    with still_interruptible(), patient(SERVED_SECONDS), kept_slot(), cancellable():
        try:
            yield
        except Exception:
            await_server()
            raise
        await_server()


def run_name() -> str:
    """The product as people say it: ``16384x16384x16384 float32``; plain ``multiply`` where the inputs cannot be read."""
    given = flow_run.parameters["job"]
    try:
        return survey(as_planned(given if isinstance(given, Job) else make_job(**given))).title
    except GemmflowError:
        return "multiply"


@flow(name="multiply", flow_run_name=run_name, persist_result=False, retries=0)
def multiply_flow(job: Job, ask_above: AskAbove = AskAbove()) -> Report:  # noqa: B008 - frozen
    """Multiply two matrices that need not fit in memory, to a stated and certified accuracy, and store the product.

    A plan above the limits of `ask_above` waits for an answer in Prefect before anything is written.
    """
    # Tasks would inherit the tags of the flow run, and each tag of a task is a request to the server for a concurrency slot.
    job = as_planned(job)
    with in_prefect(), TagsContext(current_tags=set()), gpu_slot(job.cluster), telling() as tell:
        return run_stages(job, prefect_stages(), partial(require_approval, ask_above), tell)


def batch_name() -> str:
    """The file and the time for which it runs: ``batch nightly 2026-01-31 03:00``."""
    when = _scheduled(flow_run.parameters.get("scheduled"))
    return f"batch {Path(str(flow_run.parameters['jobs'])).stem} {when:%Y-%m-%d %H:%M}"


@flow(name="batch", flow_run_name=batch_name, persist_result=False, retries=0)
def batch_flow(jobs: str, scheduled: datetime | None = None, again: bool = False) -> dict[str, object]:
    """Run a file of jobs, each a task; one failure stops no other, and the run fails at its end where one did. Made for a schedule.

    Args:
        jobs: YAML file: a list of jobs, or a mapping with jobs, defaults, at_once, memory, name and timezone.
        scheduled: Time for which the batch runs, for names such as 'scores-{scheduled:%Y-%m-%d}.zarr': 2026-01-31T03:00 does that
            night's work afterwards. Default: that for which Prefect scheduled the run.
        again: Run all jobs: also those whose OUT is complete, made by the same job from the same inputs, and replace these.
    """
    with in_prefect(), TagsContext(current_tags=set()):
        batch, sender = read_batch(expanded(jobs), _scheduled(scheduled)), Sender(one_try)
        bar = BatchBar(batch.name, len(batch.entries), sender)
        summary = run_here(batch, again, as_task(run_planned_once, sender), bar, failures(sender))
        send_summary(summary, sender)
        if summary.exit_code:
            raise BatchFailed(summary)
        return summary.to_json()


def _scheduled(given: object) -> datetime:
    """The time that was asked for, or else that for which Prefect scheduled the run."""
    if given is None:
        return flow_run.scheduled_start_time
    return given if isinstance(given, datetime) else datetime.fromisoformat(str(given))


@flow(name="verify", flow_run_name="verify {out}", persist_result=False, retries=0)
def verify_flow(out: Out, ask: Ask = Ask()) -> dict[str, object]:  # noqa: B008 - frozen
    """Check a stored result against its manifest; the run fails where a file is damaged, and names it. Worth a schedule."""
    with in_prefect():
        checked = upkeep.verify(out, ask)
        if not checked.sound:
            raise DamageFound(checked.line)
        return checked.to_json()


@flow(name="repair", flow_run_name="repair {out}", persist_result=False, retries=0)
def repair_flow(out: Out, mending: Mending = Mending()) -> dict[str, object]:  # noqa: B008 - frozen
    """Compute again, from A and B, the tiles of a stored result that are damaged, and nothing else."""
    with in_prefect(), gpu_slot(mending.cluster or "local"), telling() as tell:
        done = upkeep.repair(out, mending)
        if done.damages:
            tell(repaired(done))
        return done.to_json()


@flow(name="analyze", persist_result=False, retries=0)
def analyze_flow(job: Job | None = None, subject: Subject = Subject(), wanted: Wanted = Wanted()) -> dict[str, object]:  # noqa: B008 - frozen
    """Say what a job needs, how long it takes and what it costs, here and on other devices; nothing is multiplied.

    Args:
        job: Stored matrices, whose plan is made; leave it out to ask about a subject.
        subject: The shape of a product that need not exist, or a model and its tokens.
        wanted: What matters in the choice of devices.
    """
    with in_prefect():
        found = find_out(asked_about(job), subject, wanted)
        send_answer(found, Sender(one_try))
        return found.to_json()


@flow(name="calibrate", flow_run_name="calibrate {measuring.cluster}", persist_result=False, retries=0)
def calibrate_flow(measuring: Measuring = Measuring()) -> dict[str, object]:  # noqa: B008 - frozen
    """Measure afresh what workers on the host of the run can do, and remember it there for every plan. The host must be idle otherwise."""
    from tasks.calibrate import calibrate  # noqa: PLC0415 - loads Dask

    with in_prefect(), gpu_slot(measuring.cluster):
        return cast("dict[str, object]", TypeAdapter(Hardware).dump_python(calibrate(measuring.cluster), mode="json"))


@flow(name="clean", flow_run_name="clean {place}", persist_result=False, retries=0)
def clean_flow(place: Place, stale: Stale = Stale()) -> dict[str, list[str]]:  # noqa: B008 - frozen
    """Remove unfinished runs that nobody goes on with, of one product or of every product in a folder. What is written to now is kept."""
    with in_prefect():
        return upkeep.clean_stale(place, stale)
