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
from flows.server import Service, TemporaryServer, one_start_at_a_time, prefect_home
from flows.session import open_session
from flows.signals import stopping
from flows.traces import take_traces
from tasks.job import Job
from tasks.prepare import check_room
from tasks.resume import describe, find_unfinished

if TYPE_CHECKING:
    from tasks.plan import Plan
    from tasks.report import Report
    from tasks.survey import Problem

CONSOLE_LEVEL = "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"
"""Environment variable: what Prefect writes to the terminal. Its own records keep every log."""

DRAIN_SECONDS = 2.0
"""How long the last events and logs may take to reach the server."""

RETRIES = 2
"""Of a request to the temporary server. Prefect would try for a minute, three times a run; on this host who does not answer is dead."""

Approve = Callable[["Problem", "Plan"], None]


def run_job(job: Job, direct: bool, approve: Approve | None = None) -> "Report":
    """Run one job within the open session, or in one of its own; `approve` sees the plan first and may raise."""
    with open_session() as session:

        def look(problem: "Problem", plan: "Plan") -> None:
            unfinished = find_unfinished(job)
            check_room(job, problem, plan, unfinished.tiles if unfinished else None)
            take_traces(job.out)
            session.warn(describe(unfinished))
            if approve is not None:
                approve(problem, plan)

        job, plan = look_ahead(job, look)
        session.pool.open_ahead(job.cluster, plan)
        if direct:
            return run_directly(job)
        session.keep(prefect_api)
        return run_with_prefect(job, plan)


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
            session.notify(f"the result is complete, but Prefect could not record it ({type(error).__name__})")
            return session.report


@contextmanager
def prefect_api() -> Generator[None]:
    """A Prefect API for the flows inside: that of the flow around, that of PREFECT_API_URL, or a temporary one."""
    if os.environ.get("PREFECT_API_URL") or _inside_a_flow():
        import_prefect()
        with prefect_settings():
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


def start_server(service: Service = Service()) -> TemporaryServer:  # noqa: B008 - frozen
    """A server that answers; Prefect is imported while it starts."""
    home = prefect_home()
    home.mkdir(parents=True, exist_ok=True)
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
    with settings.temporary_settings(updates):
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
        for queue in (EventsWorker, APILogWorker):
            queue.drain_all(timeout=DRAIN_SECONDS)

    thread = threading.Thread(target=send, daemon=True)  # in a notebook's own thread Prefect would answer with a coroutine
    thread.start()
    thread.join(DRAIN_SECONDS)
