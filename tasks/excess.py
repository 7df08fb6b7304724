"""Why a plan moves more bytes than the least possible: what each cause adds, in one line.

bytes moved =  A, B and C, each once           nobody can do with less
             + A and B again                   passes - 1: tiles are as large as memory allows, and every worker reads its own
             + padding                         edge chunks are stored whole, and decoded whole with every pass
             + chunks decoded more than once   edges of tiles and slabs cut them
             + partial sums                    of parts of k, written once and read once
"""

from dataclasses import dataclass

from tasks.fit import Fit
from tasks.geometry import SlabCosts
from tasks.reads import planned_reads, slab_costs
from tasks.survey import Operand, Problem
from tasks.units import format_bytes
from tasks.wording import plural

WORTH_EXPLAINING = 1.5
"""Times the least possible bytes."""

WORTH_NAMING = 0.05
"""Share of the least possible bytes that a cause adds."""


@dataclass(frozen=True)
class Reading:
    """Decoded bytes of one operand."""

    name: str
    once: int
    """Of its elements."""
    padding: int
    """Of what edge chunks hold beyond them."""
    cut: int
    """Of chunks that one pass of the tiles decodes more than once."""
    passes: float
    """How often all of it is read."""

    @property
    def again(self) -> float:
        """Bytes that further passes add."""
        return (self.passes - 1) * self.once


@dataclass(frozen=True)
class Excess:
    """A plan's bytes by cause."""

    readings: tuple[Reading, ...]
    written: int
    """Of C."""
    partial: int
    """Of partial sums, both ways."""

    @property
    def moved(self) -> float:
        """Everything."""
        once = sum(reading.once for reading in self.readings)
        return once + self.again + self.padding + self.cut + self.written + self.partial

    @property
    def again(self) -> float:
        """Of reading more than once."""
        return sum(reading.again for reading in self.readings)

    @property
    def padding(self) -> float:
        """Of padding, with every pass."""
        return sum(reading.passes * reading.padding for reading in self.readings)

    @property
    def cut(self) -> float:
        """Of chunks that are cut, with every pass."""
        return sum(reading.passes * reading.cut for reading in self.readings)


def excess_of(problem: Problem, fit: Fit) -> Excess:
    """The bytes of a candidate by cause; of operands of which all is stored."""
    costs, by_operand = slab_costs(problem, fit.way), planned_reads(problem, fit.way).by_operand
    operands = list(zip("AB", (problem.a, problem.b), costs, by_operand, strict=True))
    if problem.of_one_matrix:  # what is read as either is read of one matrix
        operands = [("A", problem.a, costs[0], sum(by_operand))]
    readings = tuple(_reading(name, operand, cost, nbytes) for name, operand, cost, nbytes in operands)
    return Excess(readings, fit.cost.bytes_written, 2 * fit.cost.bytes_of_parts)


def excess_warning(problem: Problem, fit: Fit, least: int) -> str:
    """Why so much more than the `least` bytes are moved, causes in order of size; empty where it is not much more."""
    if problem.partial or fit.cost.bytes_moved < WORTH_EXPLAINING * least:
        return ""
    excess = excess_of(problem, fit)
    causes = (
        (excess.again, _passes_words(excess, fit)),
        (excess.padding, f"edge chunks{_chunks_words(problem)} are padded"),
        (excess.cut, f"tiles and slabs cut chunks{_chunks_words(problem)}, which are then decoded more than once"),
        (excess.partial, f"the sums of {fit.way.parts} parts of k are written and read"),
    )
    named = [f"{words} (+{format_bytes(size)})" for size, words in sorted(causes, reverse=True) if size >= WORTH_NAMING * least]
    return (
        f"{format_bytes(fit.cost.bytes_moved)} are moved, {fit.cost.bytes_moved / least:.2f} times the least possible: {'; '.join(named)}"
    )


def _reading(name: str, operand: Operand, cost: SlabCosts, nbytes: int) -> Reading:
    one_pass, everything = cost.one_pass(), slice(None)
    stored = operand.decoded_bytes(everything, everything)
    return Reading(name, operand.nbytes, stored - operand.nbytes, one_pass - stored, nbytes / one_pass)


def _passes_words(excess: Excess, fit: Fit) -> str:
    way, tile = fit.way, fit.way.tile
    passes = " and ".join(f"{reading.name} is read {reading.passes:.1f} times" for reading in excess.readings)
    tiles = f"{way.grid[0]} x {way.grid[1]} tiles of {tile.rows} x {tile.cols} in slabs of {tile.depth}"
    return f"{passes} by {plural(way.workers, 'worker')} of {format_bytes(fit.host_bytes)} each in {tiles}"


def _chunks_words(problem: Problem) -> str:
    a, b = (" x ".join(map(str, operand.matrix.chunks)) for operand in (problem.a, problem.b))
    return f" of {a}" if a == b else f" of {a} (A) and {b} (B)"
