"""How a run is, read from its folder: what an answer says is what lies on the disk now."""

from typing import cast

from flows.agent.faults import Fault
from flows.agent.runs import Request, Run, is_complete
from flows.agent.store import Document
from flows.agent.values import GOING_ON, Progress, State, Status
from storage import GemmflowError, site_of
from tasks.job import make_job
from tasks.resume import Unfinished
from tasks.units import format_seconds
from tasks.wording import plural

REPORTED = ("problem", "measured", "error", "storage", "warnings")
LISTS = {"workers", "codecs", "rounding", "arithmetics"}
"""Parts of the report that are long and of no use to an agent."""

AGAIN = "submit the plan again under a new idempotency_key"


def status_of(run: Run) -> Status:
    """The state of a run and what belongs to it."""
    request = run.request
    state = state_of(run)
    kept = None if state in (*GOING_ON, "finished") else tiles_kept(request)
    report = run.document("report") if state == "finished" else None
    return Status(
        handle=run.handle,
        state=state,
        plan_id=request.plan_id,
        out=request.kept.out,
        progress=_progress(run.document("progress")),
        predicted_seconds=request.kept.seconds,
        limit_seconds=request.limit_seconds,
        report=_shortened(report) if report else None,
        error=_fault(run, request, state),
        tiles_kept=kept,
        next=_next(run, state, kept),
    )


def state_of(run: Run) -> State:
    """The state. Asked in this order, because a process writes its end before it lets the lock go."""
    if run.is_alive:
        return "running" if run.document("begun") else "waiting"
    ended, stop = run.document("ended"), run.document("stop")
    if ended is not None:
        return cast("State", ended["state"])
    if is_complete(run):
        return "finished"
    if stop is not None:
        return cast("State", stop["why"])
    return "interrupted"


def tiles_kept(request: Request) -> int:
    """Finished tiles beside OUT; 0 where they cannot be read."""
    try:
        left = site_of(make_job(**request.kept.job).out).left()
        return len(Unfinished(left, tuple(left.records())).tiles) if left is not None else 0
    except GemmflowError:
        return 0


def root_of(run: Run) -> str:
    """The hash that stands for the product of a run; empty where its process was killed before it could say."""
    storage = (run.document("report") or {}).get("storage")
    return str(cast("Document", storage)["root"]) if isinstance(storage, dict) else ""


def _progress(document: Document | None) -> Progress | None:
    return None if document is None else Progress.model_validate(document)


def _shortened(report: Document) -> Document:
    return {part: _without_lists(report[part]) for part in REPORTED if part in report}


def _without_lists(section: object) -> object:
    if not isinstance(section, dict):
        return section
    return {key: value for key, value in cast("Document", section).items() if key not in LISTS}


def _fault(run: Run, request: Request, state: State) -> Fault | None:
    ended = run.document("ended")
    if state == "failed" and ended is not None:
        return Fault.model_validate(ended["error"])
    limit = format_seconds(request.limit_seconds)
    causes = {
        "cancelled": ("the run was cancelled", AGAIN),
        "time_limit": (f"the run passed its limit of {limit}", f"{AGAIN}, with higher limits"),
        "interrupted": ("the process of the run was killed", "submit again with the same idempotency_key"),
    }
    return Fault(code=state, cause=causes[state][0], fix=causes[state][1]) if state in causes else None


def _next(run: Run, state: State, kept: int | None) -> str:
    if state in GOING_ON:
        ending = ", it is ending now" if run.document("stop") else ""
        return f"call status with wait_seconds until it ends{ending}"
    if state == "finished":
        return "call preview, or read the Zarr array at out"
    way = "submit again with the same idempotency_key" if state == "interrupted" else AGAIN
    return f"to go on, {way}: {plural(kept or 0, 'finished tile')} are kept" if kept else f"to start again, {way}"
