"""Analyze: the plan of a job and its predictions. Nothing is written but the plan, where a file is named for it.

But for a sample, nothing is multiplied.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flows.session import open_session
from flows.stages import direct_stages
from tasks.as_planned import as_planned
from tasks.hardware import host_fingerprint, recall
from tasks.job import Job, make_job

if TYPE_CHECKING:
    from tasks.compressed import Sampled
    from tasks.hardware import Hardware
    from tasks.plan import Plan
    from tasks.survey import Problem


@dataclass(frozen=True)
class Analysis:
    """What a job needs and should take."""

    problem: "Problem"
    hardware: "Hardware"
    plan: "Plan"
    job: Job
    """What was asked."""
    sampled: "Sampled | None" = None
    """Blocks of the product and what they tell of its compressed bytes; None where they were not asked for."""

    def to_text(self) -> str:
        """For the terminal."""
        from tasks.report import plan_text  # noqa: PLC0415

        return plan_text(self.plan, self.problem, self.sampled.compressed.rows() if self.sampled else ())

    def to_json(self) -> dict[str, object]:
        """The sections `problem` and `plan` of the report's schema; a sample is `plan.predicted.stored`."""
        from tasks.report import plan_json  # noqa: PLC0415

        return dict(plan_json(self.plan, self.problem, self.sampled.compressed.to_json() if self.sampled else None))

    def save(self, place: str) -> None:
        """Write the plan to a file that `multiply(..., plan=place)` runs. Raises GemmflowError where it cannot be written."""
        from flows.show import require_place, write_file  # noqa: PLC0415 - the command line's
        from tasks.plan_file import plan_file, text_of  # noqa: PLC0415

        require_place("save-plan", place)
        write_file(place, text_of(plan_file(self.job, self.problem, self.hardware, self.plan)))


def analyze(job: Job | None = None, /, sample: bool = False, **fields: object) -> Analysis:
    """Plan `job`, or the job with these fields; ``out`` may be left out.

    With `sample` a few blocks of the product are computed in this process, which tell its compressed bytes.
    Raises what `multiply` would raise before it starts: BadInput and Refused; and Refused where a sample would read too much.
    """
    return plan_job(as_planned(job if job is not None else make_job(**with_some_out(fields))), sample)


def plan_job(job: Job, sample: bool = False) -> Analysis:
    """Survey, measure, plan: the stages that write nothing; and look at a sample of the product, if that is asked."""
    stages = direct_stages()
    asked = job
    with open_session() as session:
        job = session.place(job)
        problem = stages.survey(job)
        if not is_measured(job.cluster):
            session.notify("measuring what this machine can do: once, for some seconds")
        hardware = stages.measure(job, problem)
        plan = stages.plan(job, problem, hardware)
        return Analysis(problem, hardware, plan, asked, _sampled(job, problem, hardware, plan) if sample else None)


def _sampled(job: Job, problem: "Problem", hardware: "Hardware", plan: "Plan") -> "Sampled":
    from tasks.compressed import sample_product  # noqa: PLC0415 - loads torch

    return sample_product(job, problem, plan, hardware)


def is_measured(cluster: str) -> bool:
    """Whether the rates of these workers are known; those of a running scheduler are asked for at once."""
    return "://" in cluster or recall(host_fingerprint("cuda" if cluster == "cuda" else "cpu")) is not None


def with_some_out(fields: dict[str, object]) -> dict[str, object]:
    """A job needs a place; who only asks gets one that does not exist."""
    if fields.get("out") is not None:
        return fields
    return fields | {"out": str(Path(tempfile.gettempdir()) / f"gemmflow-analyze-{os.getpid()}.zarr")}
