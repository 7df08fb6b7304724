"""How a stored result was made, read from its own certificate: the job, the plan, the proof."""

from dataclasses import dataclass, replace
from math import inf
from typing import cast

from pydantic import TypeAdapter, ValidationError

from storage import AnyStaging
from storage.assess import Assessment
from tasks.errors import BadInput
from tasks.job import Job, make_job
from tasks.outcome import Certificate
from tasks.plan import Plan
from tasks.recipe import Recipe, make_recipe, on_rung
from tasks.resume import read_plan
from tasks.survey import Problem, open_problem, with_occupancy

_CERTIFICATE = TypeAdapter(Certificate)


@dataclass(frozen=True)
class Origin:
    """What a result says about the run that made it."""

    run_id: str
    job: Job
    plan: Plan
    certificate: Certificate
    inputs: dict[str, str]
    """Stamps of the inputs then."""

    def problem(self) -> Problem:
        """The inputs as they are now; raises BadInput where one is missing or no longer has the shape or type that it had."""
        job = self.job
        problem = replace(open_problem(job), symmetry=self.plan.symmetry)
        if problem.shape != self.plan.shape or problem.b.shape[0] != self.plan.shape[1]:
            raise BadInput(f"{job.a} and {job.b} give a product of another shape than {job.out} has: restore the inputs")
        return with_occupancy(problem)

    def recipes(self, problem: Problem, staging: "AnyStaging") -> tuple[Recipe, ...]:
        """How its tiles were computed, one for each arithmetic; where the certificate names none, any of the plan's may have been used."""
        planned, used = make_recipe(self.job, problem, self.plan, staging), self.certificate.arithmetics
        rungs = [rung for rung, one in enumerate(self.plan.rungs) if not used or one.arithmetic in used]
        return tuple(on_rung(planned, self.plan, rung) for rung in rungs or range(len(self.plan.rungs)))


def origin_of(found: Assessment, out: str) -> Origin:
    """Where a result comes from, its job now naming `out`; raises BadInput where its certificate does not say."""
    try:
        said = found.certificate
        proof = {"promised": inf, "measured": inf, **cast("dict[str, object]", said["certificate"])}
        return Origin(
            run_id=str(said["run_id"]),
            job=make_job(**{**cast("dict[str, object]", said["job"]), "out": out}),
            plan=read_plan(said["plan"]),
            certificate=_CERTIFICATE.validate_python(proof),
            inputs=cast("dict[str, str]", said["inputs"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise BadInput(f"{out} does not say how it was made ({type(error).__name__}): compute it again with --overwrite") from error
