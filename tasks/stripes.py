"""Which rows and columns of a product are computed to see what it is like, before it is: drawn by seed, one run in each stratum.

          | c0 |    | c1 |      strata: equal parts of the chunk rows, and of the chunk columns, of the product
    r0    |####|    |####|      in each one chunk row is drawn, and of it a run of rows; of a chunk column all columns
          |    |    |    |      every run of rows meets every run of columns, over all of k: # is a block
    r1    |####|    |####|      rows of A and columns of B are read once each, in whole stored chunks

As many as 2 % of the bytes of A, B and C0 allow. Where whole chunks make too few strata of that, more is read, up to MOST_BYTES or
MOST_SHARE; where one run of each does not fit even there, nothing is.

Where it is known which chunks of the product are zero (`filled`), runs are drawn so that they meet in others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from storage import OutputSpec
from tasks.compression import PIECE_BYTES
from tasks.errors import Refused
from tasks.gathered import Part, Span, edge_of, together
from tasks.geometry import block, blocks
from tasks.plan import Plan
from tasks.survey import Operand, Problem
from tasks.units import format_bytes

SHARE = 0.02
"""Of the decoded bytes of A, B and C0: as much is read where that is enough."""

MOST_BYTES = 512 << 20
"""What may be read where that is more."""

MOST_SHARE = 0.1
"""What may be read of A, B and C0 where that is more still."""

STRATA = (8, 6, 4)
"""Along rows, and along columns, by what there is room for."""

LEAST = (4, 3, 2, 1)
"""The same where 2 % are not enough."""

FLOPS = 2e11
"""About what the blocks may cost: a second or two. Runs of rows are shorter where chunks cost more, but not shorter than a piece."""

ELEMENTS = 16 << 20
"""About what the blocks may hold."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Stripes:
    """Runs of rows, or of columns, of the product."""

    places: tuple[int, ...]
    """Chunk rows or columns in which they lie, ascending."""
    spans: tuple[Span, ...]
    """Start and stop of each."""
    extent: int
    """Rows or columns of the whole product."""

    @property
    def lines(self) -> int:
        """All of them."""
        return sum(stop - start for start, stop in self.spans)

    @property
    def seen(self) -> float:
        """Share of the product's rows or columns."""
        return self.lines / self.extent

    @property
    def cuts(self) -> tuple[slice, ...]:
        """Where each lies when they stand one after the other."""
        stops = accumulate((stop - start for start, stop in self.spans), initial=0)
        return tuple(slice(start, stop) for start, stop in pairwise(stops))

    def line(self, at: int) -> int:
        """Row or column of the product that stands at this place then."""
        cut, span = next((cut, span) for cut, span in zip(self.cuts, self.spans, strict=True) if at < cut.stop)
        return span[0] + at - cut.start


@dataclass(frozen=True)
class Drawn:
    """What is computed."""

    rows: Stripes
    cols: Stripes
    depth: int
    """Of the slabs of k in which it is."""
    read: int
    """Bytes of A and B that this decodes, at most."""
    added: int = 0
    """Bytes of C0 that it decodes, at most."""

    @property
    def cost(self) -> int:
        """All of them."""
        return self.read + self.added


@dataclass(frozen=True)
class Drawing:
    """What is drawn from."""

    problem: Problem
    plan: Plan
    spec: OutputSpec
    """How the product is stored."""
    filled: Flags
    """Of each chunk of the product, whether it may hold anything but zeros."""

    @property
    def whole(self) -> int:
        """Decoded bytes of what is stored of A, B and C0."""
        added = self.problem.add
        return self.problem.a.stored_bytes + self.problem.b.stored_bytes + (added.decoded_bytes(slice(None), slice(None)) if added else 0)


def draw(drawing: Drawing) -> Drawn:
    """Rows and columns to compute.

    Raises Refused where whole chunks for one run of rows and one of columns are more than may be read.
    """
    least, whole = 0, drawing.whole
    attempts = [(strata, SHARE * whole) for strata in STRATA] + _more(whole, LEAST)
    for strata, room in attempts:
        drawn = _draw(drawing, strata)
        if drawn.cost <= room:
            return drawn
        least = drawn.cost
    raise Refused(
        f"nothing is sampled: one block of the product needs {format_bytes(least)} of A and B in whole chunks, more than "
        f"{format_bytes(max(MOST_BYTES, MOST_SHARE * whole))}; leave --sample out, or store them in smaller chunks"
    )


def draw_more(drawing: Drawing, than: Drawn) -> Drawn | None:
    """Rows and columns in more strata, where those of `than` tell too little; None where both would read too much."""
    before = len(than.rows.places) + len(than.cols.places)
    for strata, room in _more(drawing.whole, STRATA):
        drawn = _draw(drawing, strata)
        if drawn.cost + than.cost <= room and len(drawn.rows.places) + len(drawn.cols.places) > before:
            return drawn
    return None


def _more(whole: int, strata: tuple[int, ...]) -> list[tuple[int, float]]:
    """Strata along each side and bytes that may be read for them, where 2 % are not enough."""
    return [(number, room) for room in (MOST_BYTES, MOST_SHARE * whole) for number in strata]


def _draw(drawing: Drawing, strata: int) -> Drawn:
    problem, spec = drawing.problem, drawing.spec
    rng = np.random.default_rng([drawing.plan.seed, *problem.shape])
    rows = _places(rng, np.asarray(drawing.filled.any(1)), strata)
    cols = rows if spec.lower and len(rows) == 1 else _columns(rng, drawing.filled, rows, strata)
    wide = Stripes(tuple(cols), tuple(block(place, problem.n, spec.chunks[1]) for place in cols), problem.n)
    height = _height(drawing, (len(rows), wide.lines))
    edge = edge_of(problem.a.matrix, 1 if problem.a.transposed else 0)
    spans = tuple(_run(rng, block(place, problem.m, spec.chunks[0]), height, edge) for place in rows)
    tall = Stripes(tuple(rows), spans, problem.m)
    depth = _depth(drawing, tall.lines + wide.lines)
    slabs = [block(index, problem.k, depth) for index in range(blocks(problem.k, depth))]
    read = _lines_cost(problem.a, 0, tall, slabs) + _lines_cost(problem.b, 1, wide, slabs)
    return Drawn(tall, wide, depth, read, _added_cost(problem, (tall, wide)))


def _places(rng: np.random.Generator, telling: Flags, strata: int) -> list[int]:
    """One place in each of so many equal parts of those that tell something; of all where none does."""
    known = np.flatnonzero(telling) if telling.any() else np.arange(len(telling))
    count = min(strata, len(known))
    edges = [len(known) * number // count for number in range(count + 1)]
    return [int(known[rng.integers(start, stop)]) for start, stop in pairwise(edges)]


def _columns(rng: np.random.Generator, filled: Flags, rows: Sequence[int], strata: int) -> list[int]:
    """Chunk columns: one in each stratum, or, where some chunks are known to be zero, of those in which a drawn row is not."""
    if filled.all():
        return _places(rng, np.asarray(filled.any(0)), strata)
    met = {place for number in range(strata) for place in _places(rng, filled[rows[number % len(rows)]], 1)}
    return sorted(met)


def _height(drawing: Drawing, sizes: tuple[int, int]) -> int:
    """Rows of a run: a whole chunk's, or what its cost allows, and at least those of a piece on which codecs are tried."""
    (count, cols), spec = sizes, drawing.spec
    height, width = spec.chunks
    most = min(FLOPS / (2 * count * cols * drawing.problem.k), ELEMENTS / (count * cols))
    least = -(-PIECE_BYTES // (min(width, cols) * spec.stored.itemsize))
    return min(height, max(least, int(most)))


def _run(rng: np.random.Generator, chunk: Span, height: int, edge: int) -> Span:
    """So many rows anywhere in a chunk row; in as few chunks of A, of `edge` rows, as that allows."""
    top, bottom = chunk[0], max(chunk[0], chunk[1] - height)
    start = int(rng.integers(top, bottom + 1))
    if edge > 1:
        first = start // edge * edge
        start = min(max(first if height >= edge else min(start, first + edge - height), top), bottom)
    return start, min(start + height, chunk[1])


def _depth(drawing: Drawing, lines: int) -> int:
    """About the plan's, in whole chunks of k; less where slabs would be larger than the blocks may be, and chunks allow it."""
    problem, depth = drawing.problem, drawing.plan.tile.depth
    chunks = [edge_of(problem.a.matrix, 0 if problem.a.transposed else 1), edge_of(problem.b.matrix, 1 if problem.b.transposed else 0)]
    least, most = max(chunks), 2 * ELEMENTS // lines
    if least > 4 * max(depth, most):
        return depth
    return max(min(depth, most) // least, 1) * least


def _added_cost(problem: Problem, sides: tuple[Stripes, Stripes]) -> int:
    """Most bytes of C0 that the blocks decode."""
    if problem.add is None:
        return 0
    tall, wide = (_hulls(stripes, edge_of(problem.add, axis)) for axis, stripes in enumerate(sides))
    return sum(problem.add.decoded_bytes(slice(*high), slice(*long)) for high in tall for long in wide)


def _lines_cost(operand: Operand, side: int, stripes: Stripes, slabs: Sequence[Span]) -> int:
    """Most bytes of A (side 0) or B that all of k of some rows or columns decodes."""
    hulls = _hulls(stripes, edge_of(operand.matrix, 1 - side if operand.transposed else side))
    pairs = ((slice(*hull), slice(*slab)) for hull in hulls for slab in slabs)
    return sum(operand.decoded_bytes(*(pair if side == 0 else pair[::-1])) for pair in pairs)


def _hulls(stripes: Stripes, edge: int) -> list[Span]:
    return [hull for hull, _ in together([Part(span) for span in stripes.spans], edge)]
