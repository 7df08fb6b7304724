"""The workflow: what happens to a job, from its headers to its report.

`multiply` runs it for Python callers; `flows.workflow.multiply_flow` is the same for Prefect.
"""

from typing import TYPE_CHECKING

from flows.log import with_log
from flows.session import open_session
from flows.stages import Stages, direct_stages
from flows.steps import Tell, tell_nobody, told
from tasks.job import Job, make_job
from tasks.moment import now

if TYPE_CHECKING:
    from flows.engine import Approve
    from tasks.report import Report


def multiply(job: Job | None = None, /, *, direct: bool = False, **fields: object) -> "Report":
    """Multiply as `job` says, or as its fields say: ``multiply(a="A.zarr", b="B.zarr", out="C.zarr", memory="4GiB")``.

    Runs as a Prefect flow, on the server that PREFECT_API_URL names or else on a temporary one; with `direct`, without Prefect.
    Raises GemmflowError: BadInput and Refused before anything is written, NotCertified when the result misses its error.
    """
    from flows.engine import run_job  # noqa: PLC0415 - the engine knows this module

    return run_job(job if job is not None else make_job(**fields), direct)


def run_stages(job: Job, stages: Stages, approve: "Approve | None" = None, tell: Tell = tell_nobody) -> "Report":
    """The stages, in order, within the open session; `approve` sees the plan before workers are opened or anything is written.

    `tell` hears of every step; so does the log, where GEMMFLOW_LOG asks for one.
    """
    from tasks.diary import note  # noqa: PLC0415 - needed last
    from tasks.prepare import end  # noqa: PLC0415 - loads Dask
    from tasks.report import Clock  # noqa: PLC0415 - needed last

    with open_session() as session, told(job, stages, with_log(tell)) as stages:
        job = session.place(job)
        problem = stages.survey(job)
        hardware = session.share(stages.measure(job, problem), job.cluster)
        plan = stages.plan(job, problem, hardware)
        if approve is not None:
            approve(problem, plan)
        with session.pool.cluster(job.cluster, plan) as cluster:
            run = stages.prepare(job, problem, hardware, plan, cluster)
            try:
                outcome = stages.multiply(run, cluster, session.observe)
                certificate = stages.verify(run, outcome)
                stored = stages.publish(run, outcome, certificate)
            finally:
                end(run)
        clock = Clock(startup_seconds=run.started_at - session.started, seconds=now() - run.started_at)
        session.started = now()
        session.report = stages.report(run, outcome, certificate, stored, clock)
        note(session.report)
        return session.report


def run_directly(job: Job) -> "Report":
    """The stages without Prefect."""
    return run_stages(job, direct_stages())
