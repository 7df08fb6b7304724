"""Near-ties: candidates whose times differ by less than anybody can predict, and which of them is taken."""

from tasks.fit import Fit
from tasks.priced import counted
from tasks.survey import Problem

NEAR_TIE = 0.02
"""Candidates whose times differ by less are equal: `first_fastest` says which is taken."""

BYTES_TIE = 0.01
"""Among near-ties those that move more than the fewest bytes by no more than this are equal, too: then shorter steps are better."""

MOST_COUNTED = 16
"""Near-ties whose bytes are counted exactly."""


def settle(problem: Problem, fits: list[Fit]) -> Fit:
    """The best of the near-ties, once the bytes of the most promising are counted exactly instead of estimated."""
    ties = sorted(near_ties(fits), key=_preference)
    by_steps = sorted(of_fewest_bytes(ties), key=lambda fit: fit.wait)
    promising = {id(fit): fit for group in (ties, by_steps) for fit in group[:MOST_COUNTED]}
    return first_fastest([counted(problem, fit) for fit in promising.values()])


def near_ties(fits: list[Fit]) -> list[Fit]:
    """Those that cost about as little as any, deaths included."""
    limit = min(fit.price for fit in fits) * (1 + NEAR_TIE)
    return [fit for fit in fits if fit.price <= limit]


def of_fewest_bytes(fits: list[Fit]) -> list[Fit]:
    """Those of fewest BLAS threads a worker that move about as few bytes as any of them."""
    threads = min(fit.way.layout.threads for fit in fits)
    fits = [fit for fit in fits if fit.way.layout.threads == threads]
    limit = min(fit.cost.bytes_moved for fit in fits) * (1 + BYTES_TIE)
    return [fit for fit in fits if fit.cost.bytes_moved <= limit]


def first_fastest(fits: list[Fit]) -> Fit:
    """The fastest; among near-ties fewer BLAS threads a worker, then about the fewest bytes moved, then short steps, then fewer bytes,
    then whole tiles, then less memory, then the first.

    Raises ValueError when there is none.
    """
    return min(of_fewest_bytes(near_ties(fits)), key=lambda fit: (fit.wait, _preference(fit)))


def _preference(fit: Fit) -> tuple[int, int, bool, int]:
    return fit.way.layout.threads, fit.cost.bytes_moved, fit.way.parts > 1, fit.total_bytes
