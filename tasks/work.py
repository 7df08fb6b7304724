"""What a candidate multiplies, probes and reads where parts of A or B are known to be zero: sums over slabs, never over tiles.

A slab of depth d that r rows of A and c columns of B hold anything in costs 2 d r c operations, whatever the tiles are called. So with

    r(k)  rows of the panels of A that hold anything in slab k        c(k)  columns of those of B
    i(k)  panels of A                                                 j(k)  panels of B

all counts are sums over k of products of two of them: cheap enough to compare thousands of candidates. Cut more finely, slabs hold
less; cut at every edge of a chunk (`FINEST`), they hold the least that any candidate can have.
"""

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.sparsity import Edges, Flags, edges_of, rule_of
from tasks.survey import Operand, Problem

FINEST = 0
"""Instead of a tile's edge or a slab's depth: cut at the edges of what is stored."""

MOST_BLOCKS = 1_000_000
"""Blocks of an operand that are looked at for one candidate; of more, the finest cut stands in."""

Sums = NDArray[np.float64]


class Work(NamedTuple):
    """What is done, all tiles together."""

    flops: float
    passed: tuple[float, float]
    """Elements of A and of B, as often as a tile takes them."""
    once_b: float
    """Elements of B that any tile takes."""
    accumulated: float
    """Elements of C, as often as a slab's product is added to them."""
    slabs: float
    """Slabs of all tiles that are read."""
    elements: float
    """Elements of C in accumulators, which are probed."""
    converted: tuple[float, float]
    """Elements of A and of B, as often as they are made ready: a tile on a symmetric product's diagonal makes only A ready."""


class Panels(NamedTuple):
    """One operand, cut into panels of lines and slabs along k: float64 [slabs] each, over the panels that hold anything there."""

    lines: Sums
    """Rows of A, columns of B."""
    panels: Sums
    nbytes: Sums
    """Decoded to read each of these blocks once."""


class Sparsity:
    """A problem of which something is not stored; where that is known to be zero, it is not multiplied either."""

    def __init__(self, problem: Problem) -> None:
        self.rule, self.shape = rule_of(problem), problem.shape
        self._a, self._b = problem.a, problem.b
        self.panels_a, self.panels_b = (lru_cache(maxsize=4096)(panels) for panels in (self._panels_of_a, self._panels_of_b))
        self.slab_edges = lru_cache(maxsize=256)(self._slab_edges)

    def work(self, tile: tuple[int, int, int]) -> Work:
        """What tiles with these edges and slabs of this depth do."""
        (m, _, n), (rows, cols, depth) = self.shape, tile
        deep, a, b = self._depths(depth), self.panels_a(rows, depth), self.panels_b(cols, depth)
        tall, wide = self._counts(rows, cols)
        area = self._both((a.lines, b.lines), (m, n))
        passed = (
            float((deep * self._both((a.lines, b.panels), (m, wide))).sum()),
            float((deep * self._both((a.panels, b.lines), (tall, n))).sum()),
        )
        return Work(
            flops=2 * float((deep * area).sum()),
            passed=passed,
            once_b=float((deep * b.lines * self._any(a.panels, self.rule.whole_b)).sum()),
            accumulated=float(area.sum() if depth else area.max(initial=0)),
            slabs=float(self._both((a.panels, b.panels), (tall, wide)).sum()),
            elements=m * n,
            converted=passed,
        )

    def reads(self, tile: tuple[int, int, int], passes: tuple[float, float]) -> tuple[float, float]:
        """Bytes of A and of B, if each block that is needed at all is read once, and again as often as `passes` over a dense one say."""
        rows, cols, depth = tile
        a, b = self.panels_a(rows, depth), self.panels_b(cols, depth)
        tall, wide = self._counts(rows, cols)
        return (
            _between(a.nbytes, (self._any(b.panels, self.rule.whole_a), np.where(self.rule.whole_a, wide, b.panels)), (passes[0], wide)),
            _between(b.nbytes, (self._any(a.panels, self.rule.whole_b), np.where(self.rule.whole_b, tall, a.panels)), (passes[1], tall)),
        )

    def whole_reads(self, tile: tuple[int, int, int], passes: tuple[float, float]) -> tuple[float, float]:
        """Bytes of A and of B, if all that is stored is read so often, whatever it meets."""
        rows, cols, depth = tile
        a, b = self.panels_a(rows, depth), self.panels_b(cols, depth)
        return float(a.nbytes.sum()) * passes[0], float(b.nbytes.sum()) * passes[1]

    def stored(self) -> tuple[Panels, Panels]:
        """What is stored of A and of B, cut at every edge of it: that is what somebody must move."""
        rows, slabs, cols = self.row_edges(FINEST), self.slab_edges(FINEST), self.col_edges(FINEST)
        (_, bytes_a), (_, bytes_b) = blocks_of(self._a, rows, slabs), blocks_of(self._b, slabs, cols)
        whole = (FINEST, FINEST)
        shares_a, shares_b = _shares(self._a, (rows, slabs), whole), _shares(self._b, (slabs, cols), whole)
        return _panels(bytes_a > 0, bytes_a * shares_a, rows), _panels((bytes_b > 0).T, (bytes_b * shares_b).T, cols)

    def _both(self, held: tuple[Sums, Sums], everything: tuple[int, int]) -> Sums:
        """Sum over pairs that are needed of the products of their weights, from the sums of the weights that are held."""
        (a, b), (all_a, all_b) = held, everything
        return a * b + (a * (all_b - b) if self.rule.whole_a else 0) + ((all_a - a) * b if self.rule.whole_b else 0)

    def _any(self, panels: Sums, always: bool) -> Flags:
        return (panels > 0) | always

    def _counts(self, rows: int, cols: int) -> tuple[int, int]:
        return self.row_edges(rows).size - 1, self.col_edges(cols).size - 1

    def _depths(self, depth: int) -> Sums:
        return np.diff(self.slab_edges(depth)).astype(np.float64)

    def _slab_edges(self, depth: int) -> Edges:
        """Where slabs start, and where the last one ends."""
        if depth:
            return edges_of(self.shape[1], depth)
        return np.unique(np.concatenate([_finest(self._a, 1), _finest(self._b, 0)]))

    def row_edges(self, rows: int) -> Edges:
        """Where panels of A start, and where the last one ends."""
        return edges_of(self.shape[0], rows) if rows else _finest(self._a, 0)

    def col_edges(self, cols: int) -> Edges:
        """Where panels of B start, and where the last one ends."""
        return edges_of(self.shape[2], cols) if cols else _finest(self._b, 1)

    def _panels_of_a(self, rows: int, depth: int) -> Panels:
        cut = self.row_edges(rows), self.slab_edges(depth)
        if depth and cut[0].size * cut[1].size > MOST_BLOCKS:
            return self._spread(self.panels_a(FINEST, FINEST), depth, cut[0], _cuts(self._a.chunks, (rows, depth)))
        held, nbytes = blocks_of(self._a, *cut)
        return _panels(held, nbytes * _shares(self._a, cut, (rows, depth)), cut[0])

    def _panels_of_b(self, cols: int, depth: int) -> Panels:
        cut = self.slab_edges(depth), self.col_edges(cols)
        if depth and cut[0].size * cut[1].size > MOST_BLOCKS:
            return self._spread(self.panels_b(FINEST, FINEST), depth, cut[1], _cuts(self._b.chunks, (depth, cols)))
        held, nbytes = blocks_of(self._b, *cut)
        return _panels(held.T, (nbytes * _shares(self._b, cut, (depth, cols))).T, cut[1])

    def _spread(self, finest: Panels, depth: int, cut: Edges, times: float) -> Panels:
        """Slabs of this depth and panels with these edges, as if what is held were spread at random and decoded so many times."""
        edges, slabs = self.slab_edges(FINEST), self.slab_edges(depth)
        share = _integral(finest.lines * np.diff(edges), edges, slabs) / np.diff(slabs) / cut[-1]
        cells = finest.panels.max(initial=1) / (finest.lines.max(initial=1) or 1) * cut[1] * max(1.0, depth / np.diff(edges).mean())
        held = 1 - (1 - np.minimum(share, 1.0)) ** max(1.0, cells)
        return Panels(held * cut[-1], held * (cut.size - 1), times * _integral(finest.nbytes, edges, slabs))


def _cuts(chunks: tuple[int, int], steps: tuple[int, int]) -> float:
    """How many blocks touch a chunk that is larger than they are, about."""
    return prod(max(1.0, chunk / step) for chunk, step in zip(chunks, steps, strict=True))


def _integral(parts: Sums, edges: Edges, slabs: Edges) -> Sums:
    """Sums over slabs of what is known of the parts between `edges`."""
    return np.diff(np.interp(slabs, edges, np.append(0, parts.cumsum())))


def blocks_of(operand: Operand, row_edges: Edges, col_edges: Edges) -> tuple[Flags, NDArray[np.int64]]:
    """Of every block of op(X): whether it may hold anything, and the bytes that reading it decodes."""
    if operand.partial:
        return operand.blocks(row_edges, col_edges)
    rows, cols = (_touched(operand, axis, edges) for axis, edges in enumerate((row_edges, col_edges)))
    nbytes = rows[:, None] * cols * (operand.matrix.chunk_bytes or operand.matrix.dtype.itemsize)
    return np.ones(nbytes.shape, np.bool_), nbytes


def _shares(operand: Operand, cut: tuple[Edges, Edges], steps: tuple[int, int]) -> Sums:
    """Which part of the chunks that a block touches it counts: its own elements, along an axis that is cut finer than by any candidate."""
    shares = np.ones((1, 1))
    for axis, (edges, step) in enumerate(zip(cut, steps, strict=True)):
        if not step:
            touched = _touched(operand, axis, edges) * operand.chunks[axis]
            along = np.minimum(1.0, np.diff(edges) / np.maximum(touched, 1))
            shares = shares * (along[:, None] if axis == 0 else along)
    return shares


def _touched(operand: Operand, axis: int, edges: Edges) -> NDArray[np.int64]:
    chunk = operand.chunks[axis]
    return -(-edges[1:] // chunk) - edges[:-1] // chunk


def _finest(operand: Operand, axis: int) -> Edges:
    step = operand.cell[axis] if operand.partial else operand.shape[axis]
    return edges_of(operand.shape[axis], step)


def _panels(held: Flags, nbytes: Sums, edges: Edges) -> Panels:
    """From blocks [panels, slabs]."""
    return Panels(np.diff(edges).astype(np.float64) @ held, held.sum(axis=0, dtype=np.float64), nbytes.sum(axis=0, dtype=np.float64))


def _between(nbytes: Sums, needed: tuple[Flags, Sums], passes: tuple[float, int]) -> float:
    """Bytes between one pass over what is needed and a pass for every tile that needs it."""
    once, often = float((nbytes * needed[0]).sum()), float((nbytes * needed[1]).sum())
    count, most = passes
    return once + max(0.0, often - once) * (count - 1) / (most - 1) if most > 1 else once


@lru_cache(maxsize=4)
def _sparsity(problem: Problem) -> Sparsity:
    return Sparsity(problem)


def sparsity_of(problem: Problem) -> Sparsity | None:
    """What is known to be zero of A and B; None where that is nothing, or it is multiplied all the same."""
    return _sparsity(problem) if problem.sparse else None


def stored_of(problem: Problem) -> Sparsity | None:
    """What is stored of A and B; None where that is all of both."""
    return _sparsity(problem) if problem.partial else None
