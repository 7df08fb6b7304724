"""Batch: the jobs of a checked file, run on workers that stay open, each in its share of the machine, and their summary.

batch_file      read and check   <- batch_entry, batch_names, batch_places
batch_run       run              <- batch_order, batch_share, batch_job
batch_summary   what came of it  <- batch_result, batch_page, batch_artifacts
"""

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, field_validator

from flows.analyze import is_measured
from flows.batch_file import Batch, read_batch
from flows.batch_job import Compute, How, attempt, run_planned_once
from flows.batch_names import parse_time
from flows.batch_run import Listen, run_jobs
from flows.batch_share import Machine, share_of
from flows.batch_summary import Summary
from flows.engine import prefect_api
from flows.session import open_session
from flows.signals import stopping
from storage import absolute, expanded
from tasks.hardware import available_memory, usable_cores
from tasks.units import format_seconds

if TYPE_CHECKING:
    from flows.batch_result import Result


class BatchRun(BaseModel):
    """Which file of jobs, and for when."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, title="Batch")

    jobs: str
    """YAML file: a list of jobs, or a mapping with jobs, defaults, at_once, memory, name and timezone."""
    scheduled: datetime | None = None
    """Time for which the batch runs, for names such as 'scores-{scheduled:%Y-%m-%d}.zarr': 2026-01-31T03:00 does that night's work
    afterwards. Default: now."""

    again: bool = False
    """Run all jobs: also those whose OUT is complete, made by the same job from the same inputs, and replace these."""

    @field_validator("scheduled", mode="before")
    @classmethod
    def _scheduled_is_a_time(cls, value: object) -> object:
        return parse_time(value) if isinstance(value, str) else value

    def read(self) -> Batch:
        """The jobs of the file; raises as `read_batch` does."""
        return read_batch(expanded(self.jobs), self.scheduled)


def run_batch(asked: BatchRun, batch: Batch, direct: bool) -> Summary:
    """Run every job of `batch`, which is what `asked` names; only an interruption ends it early.

    A Prefect that fails after the last job takes nothing back.
    """
    with open_session() as session:
        if direct:
            return run_here(batch, asked.again, run_planned_once)
        session.keep(prefect_api)
        from prefect import tags  # noqa: PLC0415

        from flows import workflow  # noqa: PLC0415 - imports Prefect

        session.summary = None
        try:
            with tags("gemmflow"):
                workflow.batch_flow(absolute(asked.jobs), batch.scheduled, asked.again)
        except Exception as error:
            if session.summary is None or stopping():
                raise
            if not session.summary.exit_code:
                session.notify(f"every job is done, but Prefect could not record it ({type(error).__name__})")
        assert session.summary is not None
        return session.summary


def run_here(batch: Batch, again: bool, compute: Compute, *listen: Listen) -> Summary:
    """Run every job, with `again` those too that are complete, in this process and on its workers; `compute` runs one.

    Each of `listen` hears of every result.
    """
    started, slots = time.monotonic(), min(batch.at_once, len(batch.entries))
    share = share_of(slots, batch.memory, Machine(available_memory(), usable_cores()))
    with open_session() as session:
        if slots > 1:
            _measure_first(batch)
        listeners = [*listen]
        if slots > 1:
            listeners.append(_words(len(batch.entries), session.notify))
        results = run_jobs(batch.entries, share, partial(attempt, how=How(compute, share, again)), listeners)
        summary = Summary(batch.name, batch.scheduled, slots, share.memory, results, time.monotonic() - started)
        session.summary = summary
    return summary


def _measure_first(batch: Batch) -> None:
    """Measure this host while nothing else runs."""
    if any(entry.job.cluster == "local" for entry in batch.entries) and not is_measured("local"):
        from tasks.calibrate import calibrate  # noqa: PLC0415 - loads Dask

        with open_session() as session:
            session.notify("measuring what this machine can do: once, for some seconds")
        calibrate("local")


def _words(jobs: int, notify: Callable[[str], None]) -> Listen:
    """A line for each result, where several bars at once would hide each other."""

    def say(result: "Result", count: int) -> None:
        took = f" in {format_seconds(result.seconds)}" if result.seconds else ""
        words = f": {result.message}" if result.message else ""
        notify(f"job {count} of {jobs}, {result.name}: {result.state}{took}{words}")

    return say
