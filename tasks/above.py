"""How many elements of a product are above a threshold, from blocks of it: what `--keep above:T` would keep.

Elements of a row are alike, so what is seen in none of N lines is not 0 but up to the share that N lines would miss in one case
of ten: 1 - 0.1**(1 / N). The same where all are above.
"""

from dataclasses import dataclass

import numpy as np

from storage import Block
from tasks.excerpt import Excerpt
from tasks.spread import Estimate, estimate


@dataclass(frozen=True)
class Threshold:
    """What counts as above."""

    value: float
    magnitude: bool = False
    """Whether the sign is left out."""

    def met(self, values: Block) -> int:
        """How many are above; NaN is not."""
        return int(np.count_nonzero((np.abs(values) if self.magnitude else values) > self.value))


def share_above(excerpt: Excerpt, threshold: Threshold) -> Estimate:
    """Share of the elements that are stored of a product which are above a threshold, with its interval of four in five."""
    counted = excerpt.counted
    zeros = 1.0 if threshold.met(np.zeros(1, excerpt.spec.stored)) else 0.0
    filled, empty = excerpt.elements
    if not filled:
        return Estimate(zeros, zeros, zeros)
    shares, missed = np.zeros(excerpt.shape), _missed(excerpt)
    for row, col in np.argwhere(counted).tolist():
        block = excerpt.block(row, col)
        shares[row, col] = threshold.met(block) / block.size
    found = estimate(shares, counted, excerpt.seen).within(0.0, 1.0)
    if found.expected in (0.0, 1.0):
        found = Estimate(found.expected, min(found.low, 1 - missed), max(found.high, missed))
    return found.scaled(filled / (filled + empty), zeros * empty / (filled + empty))


def _missed(excerpt: Excerpt) -> float:
    """Share of lines that as many as were drawn would show none of in one case of ten; 0 where all were."""
    sides = (excerpt.drawn.rows, excerpt.drawn.cols)
    lines = [stripes.lines for stripes in sides if stripes.seen < 1]
    return 1 - 0.1 ** (1 / min(lines)) if lines else 0.0
