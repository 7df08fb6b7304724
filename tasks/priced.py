"""What a candidate costs, once what it reads is counted; and with what the page cache holds now, where it was chosen for inputs as they
usually are (`tasks.warmth`)."""

from dataclasses import replace

from tasks.cost import cost_of
from tasks.fit import Fit
from tasks.plan import Inputs
from tasks.reads import planned_reads
from tasks.survey import Problem


def counted(problem: Problem, fit: Fit) -> Fit:
    """The same candidate, what it reads counted instead of estimated."""
    return replace(fit, cost=cost_of(problem, fit.way, planned_reads(problem, fit.way), fit.allocated))


def as_found(problem: Problem, fit: Fit) -> Fit:
    """The same candidate, its price that of now; a candidate that waits for nothing keeps the one it has."""
    warmth = problem.warmth
    if warmth is None or not (warmth.cold_bytes or fit.cost.waiting):
        return fit
    return counted(problem, fit)


def inputs_of(problem: Problem, fit: Fit) -> Inputs | None:
    """What is cached of the inputs' files, and what that is worth; None where it is not known, or there are none."""
    warmth = problem.warmth
    if warmth is None or not warmth.total:
        return None
    uncached = replace(problem, warmth=replace(warmth, cold=(1.0, 1.0)))
    waiting, most = (as_found(one, fit).cost.waiting for one in (problem, uncached))
    return Inputs(warmth.total, 1 - warmth.cold_bytes / warmth.total, waiting, max(0.0, most - waiting))
