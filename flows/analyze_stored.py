"""`gemmflow analyze A B`: the plan for this machine, and beside it what other devices would take."""

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from flows.analyze_choice import pose
from flows.analyze_matrix import answer_about, axes, kept
from flows.analyze_question import Subject, Wanted, refuse_unless
from tasks.catalogue import Device
from tasks.catalogue.span import Span
from tasks.choice.answer import Answer
from tasks.choice.demand import Way
from tasks.choice.estimate import Estimate, Lane, bill_for
from tasks.choice.kept import Kept
from tasks.choice.matrix_job import MatrixJob
from tasks.errors import BadInput
from tasks.ladder import ARITHMETICS

if TYPE_CHECKING:
    from flows.analyze import Analysis
    from tasks.job import Job
    from tasks.plan import Plan

_LANES = {"compute": ("multiply", "verify", "encode"), "storage": ("read",), "output": ("write",)}
"""Lanes of a choice, of those of a plan."""


DECIDED = {"a", "b", "out", "plan", "cluster", "workers", "priority", "precision", "max_error", "dtype_out", "store"}
"""Options of a job that the places or the choice stand for."""


@dataclass(frozen=True)
class Stored:
    """A job on stored matrices and its plan."""

    job: "Job"
    analysis: "Analysis"
    out: str = "OUT"
    """As the caller named it."""

    def answer(self, subject: Subject, wanted: Wanted, here: Device | None, today: date) -> Answer:
        """The plan among what other devices would take; raises BadInput."""
        demand = self.demand(subject)
        local = here is not None and self.job.cluster == "local"
        ready = (planned(self.analysis.plan, here),) if here is not None and local else ()
        question = pose(demand, wanted, here if local else None, ready)
        found = answer_about(
            question, wanted, today, axes(self.job.dtype_out == "auto"), (self.job.a, self.job.b, self.out, *_options(self.job))
        )
        if question.ready and demand.kept.form != ("triangle" if self.analysis.problem.symmetry == "triangle" else "dense"):
            return replace(found, warnings=(f"this machine's plan stores all of the product, not {demand.kept.words}", *found.warnings))
        return found

    def demand(self, subject: Subject) -> MatrixJob:
        """What is asked of other devices: the same product, as exact."""
        plan, problem = self.analysis.plan, self.analysis.problem
        stored = Kept("triangle") if problem.symmetry == "triangle" else kept(subject.keep)
        if stored.form == "triangle" and problem.symmetry == "none":
            raise BadInput("--keep triangle: only A Aᵀ and Aᵀ A have a triangle that stands for the rest, and A B is neither: leave it out")
        if self.analysis.sampled is not None:
            stored = replace(stored, ratio=self.analysis.sampled.compressed.ratio)
        return MatrixJob(
            shape=plan.shape,
            inputs=(problem.a.dtype, problem.b.dtype),
            output=plan.dtype_out,
            max_error=plan.max_error or None,  # 0 where integers are exact, as they then are elsewhere
            precision=None if self.job.precision == "auto" else self.job.precision,
            symmetric=problem.symmetry != "none",
            kept=stored,
            added=None if problem.add is None else problem.add.dtype.name,
            scaled=self.job.alpha != 1.0,
        )


def _options(job: "Job") -> list[str]:
    """What was said of the job, as the command line has it, but for what the choice decides."""
    found: list[str] = []
    for name, value in job.model_dump(exclude_defaults=True, exclude=DECIDED).items():
        option = f"--{name.replace('_', '-')}"
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        found += [option] if value is True else [option, text]
    return found


def refuse_subject(subject: Subject) -> None:
    """Raise BadInput where an option speaks of a shape or a model, and there is none."""
    if subject.symmetric:
        raise BadInput("--symmetric is for --shape: of stored matrices it is known, where A is given twice with --transpose-b")
    refuse_unless(subject, "stored matrices", ("keep",))


def planned(plan: "Plan", here: Device) -> Estimate:
    """The plan as an option; the interval is what earlier runs allow."""
    predicted = plan.predicted
    low, high = predicted.seconds_interval or (predicted.seconds, predicted.seconds)
    seconds = Span(predicted.seconds, min(low, predicted.seconds), max(high, predicted.seconds), "measured")
    lanes = tuple(Lane(name, Span.sure(sum(predicted.lanes.get(lane, 0.0) for lane in own))) for name, own in _LANES.items())
    row = ARITHMETICS[plan.arithmetic]
    way = Way(row.name, row.compute, len(row.taken))
    return Estimate(here, 1, way=way, lanes=lanes, seconds=seconds, bill=bill_for(here, 1))
