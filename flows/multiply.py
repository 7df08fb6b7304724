"""The workflow: what happens to a job, from its headers to its report.

`multiply` runs it for Python callers; `flows.workflow.multiply_flow` is the same for Prefect.
"""

import time
from typing import TYPE_CHECKING

from flows.session import open_session
from flows.stages import Stages, direct_stages
from tasks.job import Job, make_job

if TYPE_CHECKING:
    from tasks.report import Report


def multiply(job: Job | None = None, /, *, direct: bool = False, **fields: object) -> "Report":
    """Multiply as `job` says, or as its fields say: ``multiply(a="A.zarr", b="B.zarr", out="C.zarr", memory="4GiB")``.

    Runs as a Prefect flow, on the server that PREFECT_API_URL names or else on a temporary one; with `direct`, without Prefect.
    Raises GemmflowError: BadInput and Refused before anything is written, NotCertified when the result misses its error.
    """
    from flows.engine import run_job  # noqa: PLC0415 - the engine knows this module

    return run_job(job if job is not None else make_job(**fields), direct)


def run_stages(job: Job, stages: Stages) -> "Report":
    """The stages, in order, within the open session."""
    from tasks.diary import note  # noqa: PLC0415 - needed last
    from tasks.prepare import end  # noqa: PLC0415 - loads Dask
    from tasks.report import Clock  # noqa: PLC0415 - needed last

    with open_session() as session:
        problem = stages.survey(job)
        hardware = stages.measure(job, problem)
        plan = stages.plan(job, problem, hardware)
        with session.pool.cluster(job.cluster, plan) as cluster:
            run = stages.prepare(job, problem, hardware, plan, cluster)
            try:
                outcome = stages.multiply(run, cluster, session.observe)
                certificate = stages.verify(run, outcome)
                stored = stages.publish(run, outcome, certificate)
            finally:
                end(run)
        clock = Clock(startup_seconds=run.started_at - session.started, seconds=time.time() - run.started_at)
        session.started = time.time()
        session.report = stages.report(run, outcome, certificate, stored, clock)
        note(session.report)
        return session.report


def run_directly(job: Job) -> "Report":
    """The stages without Prefect."""
    return run_stages(job, direct_stages())
