"""Analyze: the plan of a job and its predictions. Nothing is multiplied, nothing is written beside the inputs."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.session import open_session
from flows.stages import direct_stages
from tasks.hardware import host_fingerprint, recall
from tasks.job import Job, make_job

if TYPE_CHECKING:
    from tasks.hardware import Hardware
    from tasks.plan import Plan
    from tasks.survey import Problem


@dataclass(frozen=True)
class Analysis:
    """What a job needs and should take."""

    problem: "Problem"
    hardware: "Hardware"
    plan: "Plan"

    def to_text(self) -> str:
        """For the terminal."""
        from tasks.report import plan_text  # noqa: PLC0415

        return plan_text(self.plan, self.problem)

    def to_json(self) -> dict[str, object]:
        """The sections `problem` and `plan` of the report's schema."""
        from tasks.report import plan_json  # noqa: PLC0415

        return dict(plan_json(self.plan, self.problem))


def analyze(job: Job | None = None, /, **fields: object) -> Analysis:
    """Plan `job`, or the job with these fields; ``out`` may be left out.

    Raises what `multiply` would raise before it starts: BadInput and Refused.
    """
    return plan_job(job if job is not None else make_job(**with_some_out(fields)))


def plan_job(job: Job) -> Analysis:
    """Survey, measure, plan: the stages that write nothing."""
    stages = direct_stages()
    with open_session() as session:
        problem = stages.survey(job)
        if not is_measured(job.cluster):
            session.notify("measuring what this machine can do: once, for some seconds")
        hardware = stages.measure(job, problem)
        return Analysis(problem, hardware, stages.plan(job, problem, hardware))


def is_measured(cluster: str) -> bool:
    """Whether the rates of these workers are known; those of a running scheduler are asked for at once."""
    return "://" in cluster or recall(host_fingerprint("cuda" if cluster == "cuda" else "cpu")) is not None


def with_some_out(fields: dict[str, object]) -> dict[str, object]:
    """A job needs a place; who only asks gets one that does not exist."""
    if fields.get("out") is not None:
        return fields
    return fields | {"out": str(Path(tempfile.gettempdir()) / f"gemmflow-analyze-{os.getpid()}.zarr")}
