"""The answer about a product of matrices: its needs in words and numbers, and what to do about a product that is too large."""

from dataclasses import replace
from datetime import date

from tasks.choice.answer import LEFT_OUT, Answer, price_warnings
from tasks.choice.errand import errand
from tasks.choice.kept import Kept
from tasks.choice.matrix_job import MatrixJob
from tasks.choice.rank import Ranking
from tasks.choice.site import Site
from tasks.units import format_bytes, format_count, format_seconds, round_up

MUCH = 1e12
"""Bytes of a product that are named as the problem, however fast they are written."""

LITTLE = 1e9
"""Bytes of a product that are no problem, even where the job waits for them."""

PROPOSED_TOP = 100


def matrix_answer(
    job: MatrixJob,
    ranking: Ranking,
    site: Site,
    today: date,
    places: tuple[str, ...] = ("A", "B", "OUT"),
) -> Answer:
    """For a job whose ranking is known."""
    chosen = ranking.chosen
    problems = (*too_exact(job), *output_warnings(job, ranking, site))
    return Answer(
        kind="matrix",
        title=job.title,
        needs=_needs(job),
        facts=_facts(job, site),
        ranking=ranking,
        pressing=problems,
        errand=None if chosen is None else errand(chosen, job, places),
        warnings=(*LEFT_OUT, *problems, *price_warnings(ranking, today)),
    )


def too_exact(job: MatrixJob) -> list[str]:
    """Where no arithmetic on any device keeps the error: what the best one certifies."""
    if job.can_be_kept or job.max_error is None:
        return []
    name, least = job.best_bound()
    said = f"no arithmetic certifies an error of {job.max_error:g} for k = {job.shape[1]:,}"
    return [f"{said}: the best is {name} stored as {job.output} with {round_up(least)}; ask for at least that"]


def output_warnings(job: MatrixJob, ranking: Ranking, site: Site) -> list[str]:
    """Where the product is the problem: how large it is, how long it is written, and what smaller would be."""
    best = ranking.chosen or next((option for option in ranking.options if option.feasible), None)
    waits = best is not None and best.bottleneck == "output" and job.stored_bytes > LITTLE
    if job.kept.form in ("top", "above") or not (waits or job.stored_bytes > MUCH):
        return []
    top = replace(job, kept=Kept("top", min(PROPOSED_TOP, job.shape[2])))
    few = replace(job, kept=Kept("above", 1e-3))
    took = format_seconds(job.stored_bytes / site.write)
    less = [
        f"{words} {format_bytes(other.stored_bytes)} (--keep {option})"
        for other, words, option in (
            (top, f"{top.kept.words} would be", f"top:{top.kept.amount:.0f}"),
            (few, "one element of a thousand above a threshold", "above:0.001"),
        )
        if other.stored_bytes < job.stored_bytes
    ]
    return [f"the product is the problem: {format_bytes(job.stored_bytes)}, {took} to write; {', '.join(less)}"] if less else []


def _needs(job: MatrixJob) -> dict[str, object]:
    m, k, n = job.shape
    return {
        "m": m,
        "k": k,
        "n": n,
        "dtype_a": job.inputs[0],
        "dtype_b": job.inputs[1],
        "dtype_out": job.output,
        "flops": job.flops,
        "bytes_in": job.input_bytes,
        "bytes_out": job.stored_bytes,
        "bytes_out_dense": replace(job, kept=Kept()).stored_bytes,
        "kept": job.kept.form,
        "kept_amount": job.kept.amount,
        "compression": job.kept.ratio,
        "max_error": job.max_error,
    }


def _facts(job: MatrixJob, site: Site) -> tuple[tuple[str, str], ...]:
    dense = replace(job, kept=Kept()).stored_bytes
    kept = "" if dense == job.stored_bytes else f", of {format_bytes(dense)} in all"
    error = "what the inputs' own type certifies" if job.max_error is None else f"at most {job.max_error:g}, certified"
    return (
        ("operations", f"{format_count(job.flops, 'FLOP')}, a multiply-add counting 2"),
        ("inputs", format_bytes(job.input_bytes)),
        ("product", f"{format_bytes(job.stored_bytes)}{kept}, {format_seconds(job.stored_bytes / site.write)} to write"),
        ("error", error),
        ("precision", job.precision or "the cheapest that keeps the error"),
    )
