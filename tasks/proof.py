"""What a tile must prove where its arithmetic does not certify what was asked: `--guarantee measured`.

A tile of op(A)_i op(B)_j is accepted when its own measured bound is below E (|alpha| ||A_i|| ||B_j|| + |beta| ||C0_ij||): squared and
summed over all tiles this is at most E**2 times the square of the whole product's scale, since each factor's squares sum up to
the whole's (Cauchy and Schwarz for the mixed terms). A tile that misses is computed again one rung up.

The doubt. All that is claimed holds together but for a probability of 1 - CONFIDENCE: half of it is shared equally by every tile
in every rung that it may be computed in, MOST_TIMES each (union bound: choosing among computations by their own residuals is
covered), the other half is for the sum over all tiles, which is the sharper claim where no tile was computed twice.
"""

from dataclasses import dataclass
from math import inf, sqrt

from tasks.plan import Plan
from tasks.probes import CONFIDENCE, error_bound, scale_of

HALF_OF_THE_DOUBT = (1 - CONFIDENCE) / 2

MOST_TIMES = 4
"""Times that one tile in doubt is computed in one arithmetic."""


@dataclass(frozen=True)
class Proof:
    """The claim of one tile."""

    asked: float
    """E: largest error of the tile relative to its own scale."""
    doubt: float
    """Probability that the claim is wrong."""
    probes: int


def proof_of(plan: Plan, rung: int) -> Proof | None:
    """What tiles in this rung of the plan must prove; None where the arithmetic certifies it."""
    if plan.rungs[rung].bound <= plan.max_error:
        return None
    return Proof(plan.max_error, doubt_of_a_tile(plan), plan.probes)


def doubt_of_a_tile(plan: Plan) -> float:
    """Probability that one computation of one tile claims too little."""
    return HALF_OF_THE_DOUBT / (plan.tiles * len(plan.rungs) * MOST_TIMES)


Squares = tuple[float, float, float, float]


def tile_bound(proof: Proof, factors: tuple[float, float], squares: Squares, shape: tuple[int, int, int]) -> float:
    """Measured error bound of one tile, relative to its own scale; infinity where that is too small to be known.

    `factors` are alpha and beta, `squares` the squared norms of its panels of A and B, of its part of C0 and of its residual,
    `shape` its rows, depth and columns.
    """
    *norms, residual = map(sqrt, squares)
    scale = scale_of(factors, (norms[0], norms[1], norms[2]))
    if scale is None:
        return 0.0
    return error_bound(residual, scale, shape, (proof.probes, proof.doubt)) if scale else inf
