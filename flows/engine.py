"""Run a job: look ahead, open workers and Prefect side by side, run the stages, leave nothing behind.

    survey, measure, plan          refuses what cannot work before anything starts
      |-- worker processes start
      |-- Prefect server starts, Prefect is imported        (not with --direct)
    the flow: all stages, in order

Prefect is embedded: its own home, its own server for as long as the run takes, no logs on the terminal, no telemetry.
Where PREFECT_API_URL is set, that server is used instead and left alone.
"""

import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from flows.analyze import plan_job
from flows.multiply import run_directly
from flows.server import Service, TemporaryServer, one_start_at_a_time, prefect_home, shown
from flows.session import open_session
from flows.signals import stopping
from flows.traces import take_traces
from tasks.as_planned import as_planned
from tasks.errors import BadInput
from tasks.hardware import available_memory
from tasks.job import Job
from tasks.prepare import check_room
from tasks.resume import describe, to_go_on_with
from tasks.units import format_bytes

if TYPE_CHECKING:
    from tasks.plan import Plan
    from tasks.report import Report
    from tasks.survey import Problem

CONSOLE_LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
"""Environment variable: what Prefect writes to the terminal. Its own records keep every log."""

DRAIN_SECONDS = 5.0
"""How long the last events and logs may take to reach the server; that none is there takes 3.5 s to find out."""

RETRIES = 2
"""Of a request to the temporary server. Prefect would try for a minute, three times a run; on this host who does not answer is dead."""

Approve = Callable[["Problem", "Plan"], None]


def run_job(job: Job, direct: bool, approve: Approve | None = None) -> "Report":
    """Run one job within the open session, or in one of its own; `approve` sees the plan first and may raise."""
    with open_session() as session:
        job = session.place(as_planned(job))

        def agree(problem: "Problem", plan: "Plan") -> None:
            look(job, problem, plan)
            if job.plan is not None and "://" not in job.cluster and not session.pool.is_open:
                session.warn(short_of_memory(plan, available_memory()))
            if approve is not None:
                approve(problem, plan)

        job, plan = look_ahead(job, agree)
        session.pool.open_ahead(job.cluster, plan)
        if direct:
            return run_directly(job)
        session.keep(prefect_api)
        return run_with_prefect(job, plan)


def look(job: Job, problem: "Problem", plan: "Plan") -> None:
    """What is to be known before a plan is followed: room for its product, what lies there, what an earlier run left.

    Raises Refused where there is no room.
    """
    unfinished = to_go_on_with(job, problem)
    check_room(job, problem, plan, unfinished.tiles if unfinished else None)
    take_traces(job.out)
    with open_session() as session:
        session.warn(describe(unfinished))


def short_of_memory(plan: "Plan", free: int) -> str:
    """One line that says that less is free than a plan of a file takes; empty where enough is."""
    needed = plan.predicted.peak_memory_bytes
    if needed <= free:
        return ""
    return f"this plan takes {format_bytes(needed)} of memory and {format_bytes(free)} are free: end something, or analyze again"


def look_ahead(job: Job, approve: Approve | None = None) -> "tuple[Job, Plan]":
    """The plan, made before anything starts, and the job with its memory stated: open workers change what is free."""
    analysis = plan_job(job)
    if approve is not None:
        approve(analysis.problem, analysis.plan)
    return job.model_copy(update={"memory": analysis.plan.memory_limit}), analysis.plan


def run_with_prefect(job: Job, plan: "Plan") -> "Report":
    """The flow, tagged by where and how it computes. A Prefect that fails after the report was made takes nothing back."""
    from prefect import tags  # noqa: PLC0415

    from flows import workflow  # noqa: PLC0415

    with open_session() as session, tags("gemmflow", job.cluster.partition(":")[0], plan.arithmetic):
        session.report = None
        try:
            return workflow.multiply_flow(job)
        except Exception as error:
            if session.report is None or stopping():
                raise
            session.notify(unrecorded(error))
            return session.report


def unrecorded(error: BaseException) -> str:
    """That a result is complete and Prefect does not know."""
    where = os.environ.get("PREFECT_API_URL")
    left = f": no answer from {where}, where the run may stay Running for ever" if where else ""
    return f"the result is complete, but Prefect could not record it ({type(error).__name__}){left}"


@contextmanager
def prefect_api() -> Generator[None]:
    """A Prefect API for the flows inside: that of the flow around, that of PREFECT_API_URL, or a temporary one.

    Raises BadInput where none answers at PREFECT_API_URL.
    """
    api, inside = os.environ.get("PREFECT_API_URL"), _inside_a_flow()
    if api or inside:
        import_prefect()
        with prefect_settings():
            if api and not inside:
                _require_answer(api)
            yield
        return
    server = start_server()
    settings = {
        "PREFECT_API_URL": server.url,
        "PREFECT_API_AUTH_STRING": server.auth,
        "PREFECT_HOME": server.home,
        "PREFECT_CLIENT_MAX_RETRIES": RETRIES,
    }
    try:
        with prefect_settings(**settings):
            yield
    finally:
        server.stop()


def _require_answer(api: str) -> None:
    from flows.recording import answers  # noqa: PLC0415 - imports Prefect

    if not answers():
        way_out = "start it, unset PREFECT_API_URL for one of this run's own, or run with --direct"
        raise BadInput(f"no Prefect server answers at {shown(api)}, which PREFECT_API_URL names: {way_out}")


def start_server(service: Service = Service()) -> TemporaryServer:  # noqa: B008 - frozen
    """A server that answers; Prefect is imported while it starts. Raises BadInput where its folder cannot be made."""
    home = prefect_home()
    try:
        home.mkdir(parents=True, exist_ok=True)
        if "PREFECT_HOME" not in os.environ:  # ours: records that the server shows for a password only are for nobody else to read
            home.chmod(0o700)
    except OSError as error:
        why = f"the folder {home} of Prefect's records cannot be made ({error.strerror})"
        raise BadInput(f"{why}: name another one in GEMMFLOW_CACHE or PREFECT_HOME, or run with --direct") from error
    with one_start_at_a_time(home):
        server = TemporaryServer(home, service)
        try:
            import_prefect()
            server.wait()
        except BaseException:
            server.stop()
            raise
    return server


def import_prefect() -> None:
    """Import Prefect with a silent console and our home; its settings are read once, at import."""
    ours = {
        "PREFECT_HOME": str(prefect_home()),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        CONSOLE_LEVEL: "CRITICAL",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    }
    added = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(added)
    try:
        import_module("prefect.main")
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def prefect_settings(**values: object) -> Generator[None]:
    """Prefect's settings within the block; what is queued for the server is sent at its end."""
    from prefect import settings  # noqa: PLC0415

    # The thread that sends heartbeats ends up to a second after its flow; a run on a terminal needs none.
    updates = {settings.PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} | {getattr(settings, name): value for name, value in values.items()}
    from flows.recording import COMMAND_SECONDS, OWN_SECONDS, patient  # noqa: PLC0415 - imports Prefect

    ours = "PREFECT_API_AUTH_STRING" in values
    with settings.temporary_settings(updates), patient(OWN_SECONDS if ours else COMMAND_SECONDS):
        try:
            yield
        finally:
            drain()


def _inside_a_flow() -> bool:
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext  # noqa: PLC0415

    return FlowRunContext.get() is not None


def drain() -> None:
    """Send what is still queued; a server that stopped before would be asked for minutes when this process ends."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    def send() -> None:
        for end in (EventsWorker.drain_all, APILogWorker.drain_all):
            threading.Thread(target=end, args=(DRAIN_SECONDS,), daemon=True).start()

    thread = threading.Thread(target=send, daemon=True)  # in a notebook's own thread Prefect would answer with a coroutine
    thread.start()
    thread.join(DRAIN_SECONDS)
