"""The stages in ONE table, as plain functions (`--direct`) or as Prefect tasks: the same work either way.

A row says how Prefect sees a stage. Nothing is cached by Prefect: it cannot know that a Zarr array was deleted. Only `measure`
is tried again, because it opens short-lived clusters and writes nothing; a stage that writes is gone on with by the next run.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from flows.sending import Sender
from tasks.errors import GemmflowError

if TYPE_CHECKING:
    from prefect import Task
    from prefect.client.schemas.objects import State, TaskRun

    from tasks.cluster import Cluster
    from tasks.hardware import Hardware
    from tasks.job import Job
    from tasks.outcome import Certificate, Outcome, Progress
    from tasks.plan import Plan
    from tasks.prepare import Run
    from tasks.publish import Stored
    from tasks.report import Clock, Report
    from tasks.survey import Problem

PRODUCTS = "gemmflow-multiply"
"""The tag of what multiplies: a limit of that name holds for all products on a server."""

Function = Callable[..., object]
Observer = Callable[["Progress"], None]


@dataclass(frozen=True)
class Stages:
    """The work, in order."""

    survey: "Callable[[Job], Problem]"
    measure: "Callable[[Job, Problem], Hardware]"
    plan: "Callable[[Job, Problem, Hardware], Plan]"
    prepare: "Callable[[Job, Problem, Hardware, Plan, Cluster], Run]"
    multiply: "Callable[[Run, Cluster, Observer], Outcome]"
    verify: "Callable[[Run, Outcome], Certificate]"
    publish: "Callable[[Run, Outcome, Certificate], Stored]"
    report: "Callable[[Run, Outcome, Certificate, Stored, Clock], Report]"


@dataclass(frozen=True)
class Row:
    """How one stage is found and how Prefect runs it."""

    name: str
    function: str
    """module:function, imported when it is first called: a wrong path is refused before Dask is loaded."""
    tags: tuple[str, ...] = ()
    """For concurrency limits; each costs a request to the server, so only what is worth limiting has one."""
    retries: int = 0
    shown_by: str = ""
    """Function of `flows.artifacts` that wraps the stage to show its result in Prefect."""


STAGES = (
    Row("survey", "tasks.survey:survey"),
    Row("measure", "tasks.calibrate:measure", retries=1),
    Row("plan", "tasks.following:follow_or_plan", shown_by="with_plan_table"),
    Row("prepare", "tasks.prepare:prepare"),
    Row("multiply", "tasks.run:multiply", tags=(PRODUCTS,), shown_by="with_progress"),
    Row("verify", "tasks.verify:verify"),
    Row("publish", "tasks.publish:publish"),
    Row("report", "tasks.report:make_report", shown_by="with_report"),
)
"""In the order of the work."""


def direct_stages() -> Stages:
    """The stages as plain functions."""
    return _typed({row.name: _lazy(row.function) for row in STAGES})


def prefect_stages(plain: Stages | None = None) -> Stages:
    """The stages as Prefect tasks; imports Prefect."""
    plain = plain or direct_stages()
    functions: dict[str, Function] = {field.name: getattr(plain, field.name) for field in fields(plain)}
    from flows.recording import one_try  # noqa: PLC0415 - imports Prefect

    sender = Sender(one_try)
    return _typed({row.name: _as_task(row, functions[row.name], sender) for row in STAGES})


def _typed(functions: dict[str, Function]) -> Stages:
    return Stages(**cast("dict[str, Any]", functions))  # the table's paths say what pyright cannot see; a test compares both


def _as_task(row: Row, function: Function, sender: Sender) -> Function:
    from prefect import Task  # noqa: PLC0415 - Prefect takes a second to import, and --direct never needs it
    from prefect.cache_policies import NO_CACHE  # noqa: PLC0415

    from flows.limited import Limited  # noqa: PLC0415

    shown = getattr(import_module("flows.artifacts"), row.shown_by)(function, sender) if row.shown_by else function

    def task(work: Callable[[], None]) -> "Task[[], None]":
        return Task(
            work,
            name=row.name,
            tags=row.tags,
            retries=row.retries,
            retry_condition_fn=_is_worth_another_try,
            cache_policy=NO_CACHE,
            persist_result=False,
        )

    return lambda *values: Limited(lambda: shown(*values), row.tags).run(task)


def _is_worth_another_try(task: "Task[..., object]", run: "TaskRun", state: "State[object]") -> bool:
    """Errors of ours are answers: asking again gives the same one."""
    del task, run
    return not isinstance(state.result(raise_on_failure=False), GemmflowError)


def _lazy(where: str) -> Function:
    module, _, name = where.partition(":")

    def call(*args: object) -> object:
        return getattr(import_module(module), name)(*args)

    return call
