"""The process of a run: ``python -m flows.agent.child FOLDER LOCK`` does what `FOLDER/request.json` says, and writes
how it goes beside it.

It needs no server. A thread looks four times a second whether the run is to end, because somebody asked or its time is over; it then
ends as with Ctrl-C: finished tiles are kept.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.agent.faults import AgentError, fault_of
from flows.agent.runs import Run, is_complete, slot
from flows.agent.store import Document, Store, write
from flows.signals import end_descendants, interruptible, stopping
from flows.traces import run_id_at
from tasks.errors import GemmflowError
from tasks.job import make_job
from tasks.moment import now
from tasks.outcome import Progress

if TYPE_CHECKING:
    from tasks.report import Report

LOOK_SECONDS = 0.25
"""Between two looks whether the run is to end, or whether it may begin."""
PROGRESS_SECONDS = 1.0

PLAN = "plan.json"
"""File of the plan, in the folder of its run."""

ANALYZE_AGAIN = "analyze the job again, and submit the new plan under a new idempotency_key"


def main() -> None:
    """Run, unless that is over. The lock that says that this process lives is open under the number given."""
    run, lock = Run(Path(sys.argv[1])), int(sys.argv[2])
    os.set_inheritable(lock, False)
    if run.document("ended") is None:
        with interruptible():
            try:
                _conduct(run)
            finally:
                end_descendants()


def _conduct(run: Run) -> None:
    """From the wait for a place to the last word. Where nobody asked for the end, there is none: the same request goes on from here."""
    began = time.time()
    try:
        with _place(run):
            began = time.time()
            run.note("begun", {"pid": os.getpid(), "at": began, "replaced": _replaced(run)})
            with _watched(run):
                report = execute(run)
            run.note("report", report.to_json())
        state, fault = "finished", None
    except BaseException as error:  # noqa: BLE001 - whatever happens, the caller is told
        traceback.print_exc()
        stop = run.document("stop") if stopping() or isinstance(error, KeyboardInterrupt | _Asked) else {"why": "failed"}
        if stop is None:
            return
        state, fault = ("finished", None) if is_complete(run) else (str(stop["why"]), fault_of(error) if stop["why"] == "failed" else None)
    ended: Document = {"state": state, "error": fault.model_dump() if fault else None, "seconds": time.time() - began, "at": time.time()}
    run.note("ended", ended)


def execute(run: Run) -> "Report":
    """Run the plan that was shown, as `gemmflow multiply --plan` does: nothing is decided again, all that it rests on is looked at.

    Prefect records the run where PREFECT_API_URL names a server; the run's own record is its folder. Raises AgentError where the plan
    cannot be followed any more.
    """
    from flows.engine import run_job  # noqa: PLC0415 - what it loads takes a second, and a run may have to wait first
    from flows.session import Session, open_session  # noqa: PLC0415

    kept, place = run.request.kept, run.folder / PLAN
    write(place, kept.plan)
    try:
        with open_session(Session(started=now(), observers=(_Observer(run),))):
            return run_job(make_job(**{**kept.job, "plan": str(place)}), direct=not os.environ.get("PREFECT_API_URL"))
    except GemmflowError as error:
        raise in_agents_words(error, place) from error


def in_agents_words(error: GemmflowError, place: Path) -> Exception:
    """The error; where it speaks of the plan's file, which agents do not see, of the plan and what an agent can do."""
    if str(place) not in str(error):
        return error
    fault = fault_of(error)
    return AgentError(fault.code, fault.cause.replace(str(place), "the plan"), ANALYZE_AGAIN)


class _Asked(Exception):
    """Somebody asked the run to end before it began."""


class _Observer:
    """Writes how far the run is."""

    def __init__(self, run: Run) -> None:
        self._run, self._next = run, 0.0

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PROGRESS_SECONDS
        share = progress.flops_done / progress.flops if progress.flops else 1.0
        document: Document = {
            "tiles_done": progress.tiles_done,
            "tiles": progress.tiles,
            "share": min(1.0, max(0.0, share)),
            "seconds": progress.seconds,
            "seconds_left": max(0.0, progress.seconds_left),
            "at": time.time(),
        }
        self._run.note("progress", document, durable=False)


@contextmanager
def _place(run: Run) -> Generator[None]:
    """Wait until fewer runs than may go on at once do."""
    store, at_once = Store(run.folder.parents[1]), run.request.at_once
    while True:
        for number in range(at_once):
            with slot(store, number) as free:
                if run.document("stop") is not None:
                    raise _Asked
                if free:
                    yield
                    return
        time.sleep(LOOK_SECONDS)


def _replaced(run: Run) -> str:
    """The run whose result lay at OUT before; that of an earlier process of this run, where it was begun before."""
    before = run.document("begun")
    return str(before["replaced"]) if before else run_id_at(run.request.kept.out)


@contextmanager
def _watched(run: Run) -> Generator[None]:
    """Within the block the run is ended when somebody asks for that, or its time is over."""
    over, left = time.monotonic() + run.request.limit_seconds, threading.Event()

    def look() -> None:
        while run.document("stop") is None:
            if left.wait(LOOK_SECONDS):
                return
            if time.monotonic() > over:
                run.stop("time_limit")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        left.set()


if __name__ == "__main__":
    main()
