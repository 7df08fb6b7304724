"""The error that an arithmetic usually makes on given data: a forecast to plan with, never a promise.

Rounding errors of different elements are taken as independent, each uniform within half a unit in the last place, so that their
root mean square is ROUNDED u for a significand anywhere between 1 and 2 (its logarithm uniform: 2**2 (1 - 1/4) / (24 ln 2) = 0.18
u**2). With rho = sqrt(sum_k ||A_:k||^2 ||B_k:||^2) / (||A||_F ||B||_F) and size = ||C||_F / (||A||_F ||B||_F), relative to
||A||_F ||B||_F:

    converted inputs     sqrt(2) ROUNDED u rho          truncated ones are biased and add up:  u size
    slices               (ROUNDED u)**slices, once for each operand with a rest and each of the largest products left out
    products of a block  ROUNDED u_block partial        stored value  ROUNDED u_out size
    sums                 0.5 u sqrt(terms) partial      where matrix units truncate            0.25 u terms partial / 4

Sums that cancel in the end are as large on their way as sums of random sign: partial = max(size, rho).

Only the first line can be far below what is certified, and it is what makes the cheap arithmetics useful. It holds within a
factor of 2 for data without a pattern, and is at most 7 too high where every value has the same rounding error. Steps of int8 are
never forecast too low, and up to 30 too high where few values are large and the others far below a step. Sums are up to 50 too high,
since libraries sum in several places at once and zeros add nothing. All of it is 2 too low, sums up to 20, where rounding errors are
not independent: equal numbers, added up for every element alike.
"""

from dataclasses import dataclass
from math import hypot, sqrt

from tasks.arithmetic import QUANTIZED, Arithmetic
from tasks.number_types import UNIT_ROUNDOFF, fits, rounding

ROUNDED = 0.43
"""Root mean square of a rounding error over its largest."""

TRUNCATED_TOGETHER = 4
"""Products that a matrix unit sums before it truncates."""


@dataclass(frozen=True)
class Data:
    """What of A and B decides how errors add up."""

    concentration: float
    """rho, between 1 / sqrt(k) where columns of A and rows of B are alike and 1 where one of them holds everything."""
    size: float
    """||C||_F / (||A||_F ||B||_F): 1 / sqrt(k) where signs are random, near 1 where values have one sign."""
    peak: float = 4.0
    """Largest magnitude of a row of A or column of B over its root mean square; of all lines, the root mean square of both."""
    sampled_bytes: int = 0
    """Decoded bytes of A and B that were read to find out; 0 where the data are taken for random numbers."""

    @property
    def partial(self) -> float:
        """How large sums are on their way, relative to ||A||_F ||B||_F: what cancels in the end was as large as random numbers."""
        return max(self.size, self.concentration)


def random_data(k: int) -> Data:
    """Independent numbers of random sign."""
    return Data(1 / sqrt(k), 1 / sqrt(k))


def forecast(row: Arithmetic, data: Data, k: int, inputs: tuple[str, str], output: str, device: str = "cpu") -> float:
    """Expected normwise error, relative to ||A||_F ||B||_F; 0 where integers are exact, and stored as such."""
    stored = ROUNDED * rounding(row.accumulate, output) * data.size
    if row.exact_for(k, inputs, device):
        return stored
    block = ROUNDED * rounding(row.inner, row.block_output[device]) * data.partial
    return hypot(conversion_error(row, data, k, inputs), block, _summing(row, data, k, device), stored)


def conversion_error(row: Arithmetic, data: Data, k: int, inputs: tuple[str, str]) -> float:
    """What of `forecast` is due to inputs that become slices, and to products of slices that are left out."""
    changed = [name for name in inputs if not fits(name, row.compute)]
    if row.compute == "int8":
        return sqrt(len(changed)) * QUANTIZED / sqrt(3) * data.peak / sqrt(k)
    if not changed:
        return 0.0
    unit = UNIT_ROUNDOFF[row.compute]
    if row.compute == "tf32":
        return len(changed) * unit * data.partial / 2
    rests = [name for name in changed if not row.keeps(name)]
    largest = [(i, j) for i in range(row.slices) for j in range(row.slices) if i + j == row.slices]
    dropped = [pair for pair in largest if pair not in row.taken]
    return sqrt(len(rests) + len(dropped)) * (ROUNDED * unit) ** row.slices * data.concentration


def _summing(row: Arithmetic, data: Data, k: int, device: str) -> float:
    block = min(k, row.block or k)
    unit, outer = UNIT_ROUNDOFF.get(row.inner, 0.0), UNIT_ROUNDOFF[row.accumulate]
    inside = unit / 2 * (block / TRUNCATED_TOGETHER if device in row.truncates_on else sqrt(block))
    return (inside + outer * sqrt(len(row.taken) * k / block) / 2) * data.partial
