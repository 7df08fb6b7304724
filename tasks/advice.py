"""What the plan shows that the caller could do better: one line each."""

from dataclasses import replace

from storage import default_chunks
from tasks.cost import SECONDS_PER_FILE
from tasks.excess import excess_warning
from tasks.fit import Fit
from tasks.geometry import SlabCosts
from tasks.job import Job
from tasks.reads import passes_over_inputs, slab_costs
from tasks.survey import Operand, Problem
from tasks.units import format_bytes, format_seconds

WORTH_SAYING = 0.1
"""Share of the run's time that better chunks must save before a warning is given."""


def warnings_for(job: Job, problem: Problem, fit: Fit, least: int) -> tuple[str, ...]:
    """Warnings of a plan: input chunks that cost much more than they need, workers that find nothing to do, and much more than the
    `least` bytes.
    """
    better = Problem(_rechunked(problem.a), _rechunked(problem.b), None)
    costs = zip(slab_costs(problem, fit.way), slab_costs(better, fit.way), strict=True)
    operands = zip("AB", (problem.a, problem.b), costs, passes_over_inputs(fit.way), strict=True)
    lines = [_chunk_warning(name, operand, pair, passes, fit) for name, operand, pair, passes in operands]
    return tuple(line for line in [*lines, _worker_warning(job, fit), excess_warning(problem, fit, least)] if line)


def _worker_warning(job: Job, fit: Fit) -> str:
    if job.workers is None or fit.way.workers >= job.workers:
        return ""
    return f"{job.workers} workers were asked for, but the product has only {fit.way.tiles} tiles to share: {fit.way.workers} will run"


def _chunk_warning(name: str, operand: Operand, costs: tuple[SlabCosts, SlabCosts], passes: float, fit: Fit) -> str:
    cost, better = costs
    excess = passes * (_seconds(operand, cost, fit) - _seconds(operand, better, fit)) / fit.way.workers
    if not cost.whole_chunks or operand.partial or excess < WORTH_SAYING * fit.cost.seconds:
        return ""
    rows, cols = _better_chunks(operand)
    stored = operand.matrix.chunks
    return (
        f"{name} is stored in chunks of {stored[0]} x {stored[1]}: a pass decodes {format_bytes(cost.one_pass())} for "
        f"{format_bytes(operand.nbytes)} in {cost.files_in_one_pass():,} reads, about {format_seconds(excess)} of this run; "
        f"chunks of {rows} x {cols} would avoid it"
    )


def _seconds(operand: Operand, cost: SlabCosts, fit: Fit) -> float:
    """One worker's time to decode every slab once."""
    rates = fit.way.layout.rates.decode
    return cost.one_pass() / rates.get(operand.matrix.codec, min(rates.values())) + cost.files_in_one_pass() * SECONDS_PER_FILE


def _better_chunks(operand: Operand) -> tuple[int, int]:
    return default_chunks(operand.matrix.shape, operand.matrix.dtype.itemsize)


def _rechunked(operand: Operand) -> Operand:
    chunks = _better_chunks(operand)
    nbytes = chunks[0] * chunks[1] * operand.matrix.dtype.itemsize
    return replace(operand, matrix=replace(operand.matrix, chunks=chunks, chunk_bytes=nbytes))
