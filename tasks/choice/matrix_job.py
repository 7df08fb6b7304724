"""A product of matrices as a demand: any size, whether or not the matrices exist.

Each device takes rows of C. It holds a tile of C and streams A and B over its link: with tiles of t x t elements, m n k / t of each
cross, and no schedule with a memory of t x t does with much less than their sum (T. M. Smith, B. Lowery, J. Langou, R. van de Geijn,
A tight I/O lower bound for matrix multiplication, arXiv:1702.02017). Storage is read once: the hosts are taken to keep what they read.
"""

from dataclasses import dataclass, field
from math import ceil, inf, isqrt
from typing import TYPE_CHECKING

from storage.matrix import ACCEPTED
from tasks.choice.demand import Share, Team, Way, Work, on_cpu
from tasks.choice.kept import Kept
from tasks.choice.site import USABLE
from tasks.errors import BadInput
from tasks.gemm import Gemm
from tasks.ladder import ARITHMETICS
from tasks.number_types import UNIT_ROUNDOFF, holds_integers, is_integer, largest_sum, natural_arithmetic, width
from tasks.units import round_up

if TYPE_CHECKING:
    from tasks.arithmetic import Arithmetic
    from tasks.catalogue.device import Device

DEEPEST = 4096
"""Depth of a slab on a device: deeper ones are multiplied no faster."""

TYPES = (*(dtype.name for dtype in ACCEPTED), "bfloat16")
"""Stored types that a question may name: all that are multiplied, and what models are stored as."""

LARGEST_EDGE = 10**12
"""Rows, columns or depth that somebody may have."""


@dataclass(frozen=True)
class MatrixJob:
    """C = A B, m x k times k x n."""

    shape: tuple[int, int, int]
    """m, k, n."""
    inputs: tuple[str, str] = ("float32", "float32")
    """Stored types of A and B."""
    output: str = "float32"
    """Stored type of C."""
    max_error: float | None = None
    """Largest normwise error that a way may certify; None for what the type of the inputs certifies in its own arithmetic."""
    precision: str | None = None
    """One row of the ladder; None for all that keep the error."""
    symmetric: bool = False
    """Whether C is A Aᵀ: half of the operations, and A is all that is read."""
    kept: Kept = field(default_factory=Kept)
    """What of C is stored."""
    added: str | None = None
    """Stored type of a C0 that is added; None where nothing is."""
    scaled: bool = False
    """Whether the product has a factor."""

    def __post_init__(self) -> None:
        m, k, n = self.shape
        if not all(1 <= edge <= LARGEST_EDGE for edge in self.shape):
            raise BadInput(f"a product of {m} x {k} and {k} x {n} is none: edges are 1 to {LARGEST_EDGE:.0e}")
        for dtype in (*self.inputs, self.output):
            if dtype not in TYPES:
                raise BadInput(f"type {dtype} is unknown: name one of {', '.join(TYPES)}")
        if self.max_error is not None and not 0 < self.max_error <= 1:
            raise BadInput(f"max_error is {self.max_error:g}: give a number above 0 and at most 1, such as 1e-6")
        if self.symmetric and m != n:
            raise BadInput(f"a symmetric product has as many rows as columns, not {m} x {n}: leave out --symmetric or give m = n")
        if self.kept.form == "triangle" and not self.symmetric:
            raise BadInput("only a symmetric product, A Aᵀ, can be kept as a triangle: add --symmetric, or keep all")
        if self.output == "int64" and not all(map(is_integer, self.inputs)):
            raise BadInput(f"a product of {' and '.join(dict.fromkeys(self.inputs))} is not stored as int64: name a type of floats")
        if self.precision is not None and self.precision not in ARITHMETICS:
            raise BadInput(f"precision {self.precision} is unknown: name one of {', '.join(ARITHMETICS)}")
        self.stored_bytes  # noqa: B018 - refuses what cannot be kept

    @property
    def title(self) -> str:
        """Shape, types and what is kept."""
        m, k, n = self.shape
        product = f"{m:,} x {k:,} times its transpose" if self.symmetric else f"{m:,} x {k:,} times {k:,} x {n:,}"
        return f"{product}, {' and '.join(dict.fromkeys(self.inputs))}, keeping {self.kept.words} as {self.output}"

    @property
    def flops(self) -> float:
        """2 m n k, about half of it where the product is symmetric."""
        m, k, n = self.shape
        return m * (m + 1) * k if self.symmetric else 2 * m * n * k

    @property
    def input_bytes(self) -> int:
        """Of A, B and C0, decoded; without B where the product is symmetric."""
        m, k, n = self.shape
        return m * k * width(self.inputs[0]) + (0 if self.symmetric else k * n * width(self.inputs[1])) + self.added_bytes

    @property
    def added_bytes(self) -> int:
        """Of C0, decoded."""
        return 0 if self.added is None else self.shape[0] * self.shape[2] * width(self.added)

    @property
    def stored_bytes(self) -> int:
        """Of what is kept of C."""
        return self.kept.stored_bytes(self.shape[0], self.shape[2], self.output)

    def ways(self, device: "Device") -> tuple[Way, ...]:
        """Rows of the ladder that certify the error on this kind of device."""
        where = "cpu" if on_cpu(device) else "cuda"
        rows = [row for row in ARITHMETICS.values() if where in row.devices and self._keeps(row, where)]
        return tuple(Way(row.name, row.compute, len(row.taken)) for row in rows)

    def resident_bytes(self, way: Way) -> int:
        """A tile of C that is worth a multiplication: 256 x 256, or all of C."""
        m, _, n = self.shape
        return min(m, 256) * min(n, 256) * width(ARITHMETICS[way.name].accumulate) + 2 * 256 * width(way.precision) * way.products

    def work(self, way: Way, team: Team) -> Work:
        """Rows of C are divided; each device streams what its tiles need."""
        m, k, n = self.shape
        rows = ceil(m / team.count)
        half = 0.5 + 0.5 / m if self.symmetric else 1.0
        gemm = Gemm("C = A B", rows, n, k)
        return Work(
            shares=(Share(gemm, way.products * half),),
            link_bytes=self._streams(way, team, rows) * half + (0 if on_cpu(team.device) else self.stored_bytes + self.added_bytes),
            read_bytes=self.input_bytes,
            written_bytes=self.stored_bytes,
        )

    def is_exact(self, row: "Arithmetic", where: str) -> bool:
        """Whether no sum of these integers leaves the exact ones of a row of the ladder, on a kind of device; alpha and C0 are rounded."""
        return row.exact_for(self.shape[1], self.inputs, where) and not self._has_epilogue

    @property
    def can_be_kept(self) -> bool:
        """Whether any arithmetic, on any kind of device, keeps the error with the type that is stored."""
        return any(self._keeps(row, where) for row in ARITHMETICS.values() for where in row.devices)

    def best_bound(self) -> tuple[str, float]:
        """The arithmetic, of any kind of device, that certifies least, and what it does."""
        bounds = [(self._bound(row, where), row.name) for row in ARITHMETICS.values() for where in row.devices]
        least, name = min((bound, name) for bound, name in bounds if self.precision in (None, name))
        return name, least

    def _keeps(self, row: "Arithmetic", where: str) -> bool:
        if self.precision not in (None, row.name) or (self.precision is None and row.may_overflow(self.shape[1], self.inputs)):
            return False
        if self.output == "int64":
            return self.is_exact(row, where)
        return self._bound(row, where) <= self._asked(where)

    def _bound(self, row: "Arithmetic", where: str) -> float:
        """Certified, rounding to the stored type included."""
        k = self.shape[1]
        if self.is_exact(row, where):
            return 0.0 if holds_integers(self.output, largest_sum(k, self.inputs)) else UNIT_ROUNDOFF[self.output]
        return row.bound(k, self.inputs, self.output, where, self._has_epilogue)

    @property
    def _has_epilogue(self) -> bool:
        return self.added is not None or self.scaled

    def _asked(self, where: str) -> float:
        """As `tasks.precision.asked_error` has it for matrices that exist."""
        if self.max_error is not None:
            return self.max_error
        if self.precision is not None:
            return inf
        rungs = list(ARITHMETICS)[list(ARITHMETICS).index(natural_arithmetic(self.inputs)) :]
        bounds = [self._bound(ARITHMETICS[name], where) for name in rungs if where in ARITHMETICS[name].devices]
        return float(round_up(next((bound for bound in bounds if bound < 1), 0.0)))

    def _streams(self, way: Way, team: Team, rows: int) -> float:
        """Bytes of A and B over all links."""
        _, k, n = self.shape
        room = team.device.memory_bytes
        if on_cpu(team.device) or room is None:
            return 0.0
        cell, slab = width(ARITHMETICS[way.name].accumulate), 4 * min(k, DEEPEST) * width(way.precision)
        edge = _largest_edge(USABLE * room, cell, slab)
        tile = min(rows, edge), min(n, edge)
        across = rows * k * width(self.inputs[0]) * ceil(n / tile[1]) + k * n * width(self.inputs[1]) * ceil(rows / tile[0])
        return float(team.count * across)


def _largest_edge(room: float, cell: int, slab: int) -> int:
    """Largest t with t t cell + t slab <= room."""
    return max(1, int((isqrt(int(slab * slab + 4 * cell * room)) - slab) // (2 * cell)))
