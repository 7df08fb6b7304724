"""A plan and what is shown of it; made in a process of its own (`answering`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from time import time
from typing import cast

from flows.agent.faults import fault_of
from flows.agent.kept import Kept
from flows.agent.options import Option, elsewhere
from flows.agent.values import Alternative, Shown
from flows.analyze import Analysis, plan_job
from flows.analyze_question import Subject, Wanted
from flows.analyze_stored import Stored
from flows.engine import look
from flows.session import Session, open_session
from tasks.catalogue import this_machine
from tasks.errors import GemmflowError
from tasks.job import MINIMUM_MEMORY, Job
from tasks.plan import Plan
from tasks.plan_file import plan_file
from tasks.planner import make_plan
from tasks.resume import to_go_on_with
from tasks.sample import looked_at
from tasks.schema import bytes_out
from tasks.units import format_bytes

FACTORS = (0.5, 2.0)
"""Of the memory, for alternatives."""


@dataclass(frozen=True)
class Price:
    """What the machine costs."""

    usd_per_hour: float | None
    catalogue: str | None = None
    """File with other devices' prices, of the operator's own."""

    def of(self, seconds: float) -> float | None:
        """Dollars for so long."""
        return None if self.usd_per_hour is None else seconds / 3600 * self.usd_per_hour


def plan(job: Job, price: Price) -> dict[str, object]:
    """The plan of a job: what is kept of it and what is shown. Raises as `flows.analyze` does, and Refused where its disk is full."""
    said: list[str] = []
    analysis = plan_job(job)
    with open_session(Session(notify=said.append)):
        look(job, analysis.problem, analysis.plan)
    stated = job.model_copy(update={"memory": analysis.plan.memory_limit})
    kept = Kept(
        job=stated.model_dump(mode="json"),
        plan=plan_file(job, analysis.problem, analysis.hardware, analysis.plan).to_json(),
        seconds=analysis.plan.predicted.seconds,
        usd_per_hour=price.usd_per_hour,
        version=metadata.version("gemmflow"),
        made_at=time(),
    )
    shown = show(stated, analysis, price, [*said, *analysis.plan.warnings])
    return {"kept": kept.model_dump(), "shown": shown.model_dump(mode="json")}


def show(job: Job, analysis: Analysis, price: Price, warnings: list[str]) -> Shown:
    """A plan, as an agent sees it."""
    chosen, predicted = analysis.plan, analysis.plan.predicted
    low_high = predicted.seconds_interval
    return Shown(
        job=job.model_dump(mode="json", exclude_defaults=True),
        title=analysis.problem.title,
        flops=chosen.flops,
        seconds=predicted.seconds,
        seconds_interval=low_high,
        usd=price.of(predicted.seconds),
        usd_interval=cast("tuple[float, float]", tuple(map(price.of, low_high))) if low_high and price.usd_per_hour is not None else None,
        bytes_read=predicted.bytes_read,
        bytes_out=bytes_out(chosen),
        bytes_ratio=chosen.bytes_ratio,
        peak_memory_bytes=predicted.peak_memory_bytes,
        memory_limit_bytes=chosen.memory_limit,
        arithmetic=chosen.arithmetic,
        max_error=chosen.max_error,
        error_bound=predicted.error_bound,
        workers=chosen.workers,
        tiles=chosen.tiles,
        device=chosen.device,
        slowest_lane=max(predicted.lanes, key=lambda lane: predicted.lanes[lane]),
        warnings=warnings,
        alternatives=[*arithmetics(chosen, price), *memories(job, analysis, price)],
        elsewhere=others(job, analysis, price),
    )


def others(job: Job, analysis: Analysis, price: Price) -> list[Option]:
    """Other devices for the same product, the cheapest first."""
    today, here = datetime.now(UTC).date(), this_machine(price.usd_per_hour)
    answer = Stored(job, analysis, job.out).answer(Subject(), Wanted(price_here=price.usd_per_hour, catalogue=price.catalogue), here, today)
    return elsewhere(answer.ranking, today)


def arithmetics(chosen: Plan, price: Price) -> Iterator[Alternative]:
    """The other rows of the table of arithmetics."""
    for row in chosen.choices:
        if row.arithmetic != chosen.arithmetic:
            seconds = row.seconds if row.seconds < float("inf") else None
            yield Alternative(
                change={"precision": row.arithmetic},
                seconds=seconds,
                usd=None if seconds is None else price.of(seconds),
                peak_memory_bytes=None,
                error_bound=row.bound if row.bound < float("inf") else None,
                verdict=row.verdict,
            )


def memories(job: Job, analysis: Analysis, price: Price) -> Iterator[Alternative]:
    """The same product in less memory and in more; none where an unfinished run settles that."""
    if to_go_on_with(job, analysis.problem) is not None:
        return
    for factor in FACTORS:
        memory = int(analysis.plan.memory_limit * factor)
        if memory >= MINIMUM_MEMORY:
            yield _with_memory(job.model_copy(update={"memory": memory}), analysis, price)


def _with_memory(job: Job, analysis: Analysis, price: Price) -> Alternative:
    change: dict[str, str | int] = {"memory": job.memory or 0}
    try:
        other = make_plan(job, looked_at(job, analysis.problem), analysis.hardware)
    except GemmflowError as error:
        return Alternative(change=change, seconds=None, usd=None, peak_memory_bytes=None, error_bound=None, verdict=fault_of(error).cause)
    predicted = other.predicted
    return Alternative(
        change=change,
        seconds=predicted.seconds,
        usd=price.of(predicted.seconds),
        peak_memory_bytes=predicted.peak_memory_bytes,
        error_bound=predicted.error_bound,
        verdict=f"{format_bytes(predicted.peak_memory_bytes)} at most, reads {format_bytes(predicted.bytes_read)}",
    )
