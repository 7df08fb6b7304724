"""`gemmflow analyze` about a product: of stored matrices, whose plan on this machine is made, or of a shape alone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, cast, get_args

from flows.analyze_choice import Change, Question, pose, variations
from flows.analyze_question import Subject, Wanted
from tasks.choice.answer import Answer
from tasks.choice.kept import Form, Kept
from tasks.choice.matrix_answer import matrix_answer
from tasks.choice.matrix_job import MatrixJob
from tasks.errors import BadInput
from tasks.job import OutputType
from tasks.ladder import ARITHMETICS
from tasks.number_types import is_integer, result_type
from tasks.units import parse_count

if TYPE_CHECKING:
    from tasks.catalogue import Device

ALLOWED = ("max_error", "precision", "dtype_out")
"""Options of a job that say something about a product without matrices."""


def analyze_shape(subject: Subject, options: Mapping[str, object], wanted: Wanted, here: "Device | None", today: date) -> Answer:
    """The answer about a product of this shape; raises BadInput."""
    question = pose(_job(subject, options), wanted, here)
    return answer_about(question, wanted, today, axes(options.get("dtype_out", "auto") == "auto"))


def answer_about(
    question: Question[MatrixJob],
    wanted: Wanted,
    today: date,
    axes: Mapping[str, Change[MatrixJob]],
    places: tuple[str, ...] = ("A", "B", "OUT"),
) -> Answer:
    """Ranking, variations and words."""
    found = variations(question, wanted.vary, axes)
    return replace(matrix_answer(question.demand, question.ranking(), question.site, today, places), variations=found)


def refuse_others(options: Mapping[str, object], allowed: tuple[str, ...], what: str) -> None:
    """Raise BadInput where an option of a job was given that says nothing here."""
    for name in options:
        if name not in allowed:
            shown = name.upper() if name in ("a", "b", "out") else f"--{name.replace('_', '-')}"
            raise BadInput(f"{shown} says nothing about {what}")


def kept(text: str) -> Kept:
    """What ``--keep`` says; raises BadInput."""
    name, _, amount = text.partition(":")
    if name in ("all", "triangle"):
        if amount:
            raise BadInput(f"--keep {text}: {name} takes no number")
        return Kept("dense" if name == "all" else "triangle")
    if name not in ("top", "above") or not amount:
        raise BadInput(f"--keep {text}: say all, triangle, top:100 or above:0.001")
    try:
        return Kept(cast("Form", name), float(amount))
    except ValueError:
        raise BadInput(f"--keep {text}: {amount!r} is no number") from None


def _job(subject: Subject, options: Mapping[str, object]) -> MatrixJob:
    refuse_others(options, ALLOWED, "a shape: leave it out, or give A and B")
    assert subject.shape is not None
    precision, error, output = options.get("precision", "auto"), options.get("max_error"), options.get("dtype_out", "auto")
    if output not in get_args(OutputType):
        raise BadInput(f"--dtype-out {output}: a product is stored as one of {', '.join(get_args(OutputType))}")
    job = MatrixJob(
        shape=subject.shape,
        inputs=(subject.dtype, subject.dtype),
        max_error=None if error is None else _number("--max-error", error),
        precision=None if precision == "auto" else str(precision),
        symmetric=subject.symmetric,
        kept=kept(subject.keep),
        output="float64" if output == "auto" else str(output),
    )
    return _stored_as_a_run_does(job) if output == "auto" else job


def _stored_as_a_run_does(job: MatrixJob) -> MatrixJob:
    """The narrowest type, from that of the inputs, in which the error can be kept; int64 where integers are exact."""
    if all(map(is_integer, job.inputs)):
        row = ARITHMETICS[job.precision or "float64"]
        return replace(job, output="int64" if job.is_exact(row, row.devices[0]) else "float64")
    narrowest = {"float64": 2, "float16": 1 if job.max_error is None else 0}.get(result_type(job.inputs), 1)
    jobs = [replace(job, output=stored) for stored in ("float16", "float32", "float64")[narrowest:]]
    return next((one for one in jobs if one.can_be_kept), jobs[0 if job.precision else -1])


def _number(what: str, value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise BadInput(f"{what} {value}: give a positive number such as 1e-6") from None


def _edge(place: int) -> Change[MatrixJob]:
    def change(question: Question[MatrixJob], value: str) -> Question[MatrixJob]:
        shape = list(question.demand.shape)
        shape[place] = cast("int", parse_count(value))
        if question.demand.symmetric and place != 1:
            shape[0] = shape[2] = shape[place]
        return question.about(replace(question.demand, shape=tuple(shape)))

    return change


def _precision(question: Question[MatrixJob], value: str) -> Question[MatrixJob]:
    return question.about(replace(question.demand, precision=None if value == "auto" else value))


def _max_error(question: Question[MatrixJob], value: str) -> Question[MatrixJob]:
    return question.about(replace(question.demand, max_error=_number("max_error", value)))


def _keep(question: Question[MatrixJob], value: str) -> Question[MatrixJob]:
    return question.about(replace(question.demand, kept=kept(value)))


def _stored_anew(change: Change[MatrixJob], question: Question[MatrixJob], value: str) -> Question[MatrixJob]:
    changed = change(question, value)
    return replace(changed, demand=_stored_as_a_run_does(changed.demand))


AXES: Mapping[str, Change[MatrixJob]] = {
    "m": _edge(0),
    "k": _edge(1),
    "n": _edge(2),
    "precision": _precision,
    "max_error": _max_error,
    "keep": _keep,
}
"""What can be varied of a product."""


def axes(automatic: bool) -> Mapping[str, Change[MatrixJob]]:
    """The same; `automatic`: the type that the product is stored as goes with them, since nobody chose it."""
    return {name: partial(_stored_anew, change) for name, change in AXES.items()} if automatic else AXES
