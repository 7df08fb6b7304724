"""One question, whatever it is about: stored matrices, a shape or a transformer."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from flows.analyze import plan_job
from flows.analyze_question import Subject, Wanted, refuse_unless
from flows.options import Unbuilt
from tasks.as_planned import as_planned
from tasks.errors import BadInput

if TYPE_CHECKING:
    from flows.analyze import Analysis
    from tasks.catalogue import Device
    from tasks.choice.answer import Answer
    from tasks.job import Job


@dataclass(frozen=True)
class Found:
    """The answer, and before it the plan of this machine where there is one."""

    answer: "Answer"
    analysis: "Analysis | None" = None
    """The plan of this machine, for stored matrices."""
    brief: bool = False
    """Whether a line about other devices is enough below the plan."""

    def to_json(self) -> dict[str, object]:
        """The sections of a plan, and those of the answer."""
        return {**(self.analysis.to_json() if self.analysis else {}), **self.answer.to_json()}

    def save(self, place: str) -> None:
        """Write the plan to a file; raises BadInput where there is none, GemmflowError where it cannot be written."""
        if self.analysis is None:
            raise BadInput(f"--save-plan {place}: only a job on stored matrices has a plan that can be run: give A and B")
        self.analysis.save(place)

    def to_text(self) -> str:
        """For the terminal."""
        if self.analysis is None:
            return self.answer.to_text()
        return f"{self.analysis.to_text().rstrip()}\n\n{self.answer.line() if self.brief else self.answer.choice_text()}"


def find_out(job: Unbuilt, subject: Subject, wanted: Wanted, sample: bool = False) -> Found:
    """The answer, within the open session; raises what `flows.analyze` raises, and BadInput where the question makes no sense."""
    today = datetime.now(UTC).date()
    if subject.model is not None and subject.shape is not None:
        raise BadInput("--model and --shape are two questions: ask one")
    if sample and (subject.model is not None or subject.shape is not None):
        raise BadInput("--sample looks at stored matrices: give A and B, or leave it out")
    if subject.model is not None:
        refuse_unless(subject, "a model", ("model", "tokens", "batch", "sequence", "mode", "recompute"))
        from flows.analyze_model import analyze_model  # noqa: PLC0415 - only what this question needs: it answers within a second

        return Found(analyze_model(subject, job.given, wanted, _here(wanted), today))
    if subject.shape is not None:
        refuse_unless(subject, "a shape", ("shape", "dtype", "symmetric", "keep"))
        from flows.analyze_matrix import analyze_shape  # noqa: PLC0415

        return Found(analyze_shape(subject, job.given, wanted, _here(wanted), today))
    if not {"a", "b"} <= job.given.keys():
        lacking = "B" if "a" in job.given else "A and B"
        raise BadInput(f"{lacking} missing: give A and B, or --shape M,K,N for a product, or --model FILE --tokens N for a transformer")
    return _stored(job, subject, wanted, sample)


def _stored(given: Unbuilt, subject: Subject, wanted: Wanted, sample: bool) -> Found:
    from flows.analyze_stored import Stored, refuse_subject  # noqa: PLC0415

    refuse_subject(subject)
    job = as_planned(cast("Job", given.build()))
    analysis = plan_job(job, sample)
    answered = Stored(job, analysis, str(given.given.get("out", "OUT"))).answer(subject, wanted, _here(wanted), datetime.now(UTC).date())
    return Found(answered, analysis, brief=wanted == Wanted() and subject == Subject())


def _here(wanted: Wanted) -> "Device | None":
    from tasks.catalogue import this_machine  # noqa: PLC0415

    return this_machine(wanted.price_here)


def asked_about(job: "Job | None") -> Unbuilt:
    """A job, or that there is none, as a command line gives it."""
    given = {} if job is None else job.model_dump(exclude_unset=True)
    return Unbuilt(given, lambda: cast("Job", job))
