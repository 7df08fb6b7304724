"""A job that names a plan's file, and what that plan was made for: what the job leaves out is the plan's, what it says must agree.

gemmflow multiply A B OUT --plan P                      everything else as P was made
gemmflow multiply A B OUT --plan P --max-error 1e-3     refused, unless P was made for 1e-3
"""

from collections.abc import Callable, Iterator
from typing import cast

from storage import locate
from tasks.errors import BadInput, TooLittleMemory
from tasks.job import Job, make_job
from tasks.plan import Plan
from tasks.plan_file import OWN, PlanFile, read_plan_file, written_to
from tasks.units import format_bytes

FREE = frozenset({*OWN, "cluster", "memory"})
"""Fields that may differ from what the plan was made for: memory may be more, and another cluster is judged by its workers."""

PATHS = ("a", "b", "add")

DECIDED: dict[str, Callable[[Plan], object]] = {
    "precision": lambda plan: plan.arithmetic,
    "workers": lambda plan: plan.workers,
    "chunk": lambda plan: plan.chunk,
    "shard": lambda plan: plan.shard,
    "dtype_out": lambda plan: plan.dtype_out,
    "max_error": lambda plan: plan.max_error,
}
"""What a plan made of fields that may have been left to it: to ask for just that is no contradiction."""


def as_planned(job: Job) -> Job:
    """The job with what its plan was made for; the same one where it names no plan.

    Raises BadInput where an option contradicts the plan, TooLittleMemory where it gives less memory, and as `read_plan_file` does.
    """
    if job.plan is None:
        return job
    file = read_plan_file(job.plan)
    require_memory(job, file.plan)
    planned = planned_job(job, file)
    said = job.model_fields_set - FREE
    require_agreement(job, file, [name for name in said if getattr(job, name) is not None])
    return planned


def planned_job(job: Job, file: PlanFile) -> Job:
    """What the plan was made for, with the job's own place, cluster and urgency."""
    own = {name: getattr(job, name) for name in OWN}
    if "cluster" in job.model_fields_set:
        own["cluster"] = job.cluster
    try:
        return make_job(**{**file.job, **own})
    except BadInput as error:
        raise BadInput(f"{job.plan}: {error}") from error


def require_memory(job: Job, plan: Plan) -> None:
    """Raise TooLittleMemory where the job allows less than the plan may use."""
    if job.memory is not None and job.memory < plan.memory_limit:
        raise TooLittleMemory(
            f"memory is {format_bytes(job.memory)} but {job.plan} was made for {format_bytes(plan.memory_limit)}: "
            "give at least that, or analyze again with less"
        )


def require_agreement(job: Job, file: PlanFile, names: list[str]) -> None:
    """Raise BadInput, naming the first difference, unless these fields are what the plan was made for, or what it decided."""
    if (difference := next(_differences(job, file, names), "")) != "":
        raise BadInput(f"{job.plan} {difference}: leave that out, or analyze again with --save-plan")


def _differences(job: Job, file: PlanFile, names: list[str]) -> Iterator[str]:
    if written_to(job) != file.writes:
        yield f"was made for an OUT among {file.writes}, but {job.out} is among {written_to(job)}"
    planned = planned_job(job, file)
    for name in (name for name in Job.model_fields if name in names):
        asked, was = getattr(job, name), getattr(planned, name)
        if not (asked == was or _is_decided(name, asked, file.plan) or (name in PATHS and _is_same_place(asked, was))):
            planned_as = DECIDED[name](file.plan) if name in DECIDED and was in (None, "auto") else was
            yield f"was made for {name.replace('_', '-')} {_shown(planned_as)}, not {_shown(asked)}"


def _is_decided(name: str, asked: object, plan: Plan) -> bool:
    return name in DECIDED and DECIDED[name](plan) == asked


def _is_same_place(asked: str | None, was: str | None) -> bool:
    return asked is not None and was is not None and locate(asked).key == locate(was).key


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, cast("tuple[object, ...]", value)))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
