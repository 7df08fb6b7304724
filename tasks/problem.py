"""A product as its headers describe it: what later stages know of A, B and C0.

A `Problem` holds shapes, types and chunk grids of op(A) and op(B), so that no later stage asks again whether an operand was transposed:
an `Operand` speaks of rows and columns of op(X) and reads the stored matrix accordingly.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from storage import Matrix
from tasks.forecast import Data
from tasks.hands import read_block
from tasks.symmetry import Symmetry, same_matrix
from tasks.warmth import Warmth

T = TypeVar("T")


@dataclass(frozen=True)
class Operand:
    """op(X): a stored matrix, seen as it is or transposed."""

    matrix: Matrix
    transposed: bool

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of op(X)."""
        return self._turn(self.matrix.shape)

    @cached_property
    def chunks(self) -> tuple[int, int]:
        """Rows and columns of a stored chunk, seen in op(X)."""
        return self._turn(self.matrix.chunks)

    @cached_property
    def dtype(self) -> str:
        """Name of the stored type."""
        return self.matrix.dtype.name

    @cached_property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.matrix.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Decoded bytes of the whole matrix."""
        return self.matrix.shape[0] * self.matrix.shape[1] * self.itemsize

    @cached_property
    def sparse(self) -> bool:
        """Whether parts of it are known to be zero, or what is not zero is all that is stored."""
        return self.partial and self.matrix.occupancy is not None and self.matrix.occupancy.zero

    @cached_property
    def partial(self) -> bool:
        """Whether parts of it are not stored, and so not read, whatever their value."""
        occupancy = self.matrix.occupancy
        return occupancy is not None and (occupancy.lines is not None or not occupancy.full)

    @property
    def stored_bytes(self) -> int:
        """Decoded bytes of what is stored, padding of edge chunks included where it is known."""
        return self.matrix.decoded_bytes(slice(None), slice(None)) if self.partial else self.nbytes

    def held(self, axis: int, edges: NDArray[np.int64], across: tuple[int, int]) -> NDArray[np.bool_]:
        """For each block between neighbours of `edges` along an axis of op(X): whether it may hold anything within `across`."""
        return self.matrix.held(1 - axis if self.transposed else axis, edges, across)

    @property
    def cell(self) -> tuple[int, int]:
        """Edges of the smallest part of a partial op(X) that is known to be stored or not."""
        assert self.matrix.occupancy is not None
        return self._turn(self.matrix.occupancy.cell)

    def blocks(self, row_edges: NDArray[np.int64], col_edges: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Of each block of a partial op(X) between neighbours of the edges: whether it may hold anything, and its decoded bytes."""
        held, nbytes = self.matrix.blocks(*self._turn((row_edges, col_edges)))
        return (held.T, nbytes.T) if self.transposed else (held, nbytes)

    def is_zero(self, rows: tuple[int, int], cols: tuple[int, int]) -> bool:
        """Whether op(X)[rows, cols] is known to be zero."""
        return self.sparse and not self.held(0, np.array(rows), cols)[0]

    def decoded_bytes(self, rows: slice, cols: slice) -> int:
        """Most bytes that reading op(X)[rows, cols] decodes: whole chunks."""
        return self.matrix.decoded_bytes(*self._turn((rows, cols)))

    def read_into(self, out: np.ndarray, rows: slice, cols: slice, hands: int = 1) -> int:
        """Read op(X)[rows, cols], by so many threads; `out` is the stored block, so its shape is turned where the operand is.

        Returns bytes decoded.
        """
        return read_block(hands, self.matrix, out, *self._turn((rows, cols)))

    def fetch_ahead(self, rows: slice, cols: slice) -> None:
        """Let the system fetch the bytes of op(X)[rows, cols] while the processor multiplies."""
        self.matrix.fetch_ahead(*self._turn((rows, cols)))

    def block_shape(self, rows: int, cols: int) -> tuple[int, int]:
        """Stored shape of a rows x cols block of op(X)."""
        return self._turn((rows, cols))

    def _turn(self, pair: tuple[T, T]) -> tuple[T, T]:
        return (pair[1], pair[0]) if self.transposed else pair


@dataclass(frozen=True)
class Problem:
    """An m x k by k x n product, from headers only."""

    a: Operand
    b: Operand
    add: Matrix | None
    """C0, or None."""
    data: Data | None = None
    """What was sampled of the values; None where headers were enough."""
    keeps_nonfinite: bool = False
    """Whether NaN and infinity are to reach the product, also where they meet an absent chunk."""
    symmetry: Symmetry = "none"
    """Whether one triangle is enough to compute, and what is to be stored."""
    whole_because: str = ""
    """Why a symmetric product is computed like any other, with the symmetry none; empty where it is not."""
    warmth: Warmth | None = None
    """What of A and B was in the page cache; None where that makes no difference or is not known."""

    @property
    def m(self) -> int:
        """Rows of the product."""
        return self.a.shape[0]

    @property
    def k(self) -> int:
        """Inner dimension."""
        return self.a.shape[1]

    @property
    def n(self) -> int:
        """Columns of the product."""
        return self.b.shape[1]

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(m, k, n)."""
        return self.m, self.k, self.n

    @cached_property
    def of_one_matrix(self) -> bool:
        """Whether A and B are the same stored matrix, turned or not."""
        return self.symmetry != "none" or same_matrix(self.a.matrix, self.b.matrix)

    @property
    def is_symmetric(self) -> bool:
        """Whether op(A) op(B) is symmetric, by what is known of it, also where all of it is computed."""
        return self.symmetry != "none" or (self.of_one_matrix and self.a.transposed != self.b.transposed)

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of the whole product, symmetric or not: one multiply-add counts 2."""
        return 2 * self.m * self.k * self.n

    @cached_property
    def sparse(self) -> bool:
        """Whether parts of A or B need be neither read nor multiplied."""
        return self.symmetry == "none" and (self.a.sparse or self.b.sparse)

    @cached_property
    def partial(self) -> bool:
        """Whether parts of A or B are not stored; they need not be read."""
        return self.a.partial or self.b.partial

    @property
    def dtypes(self) -> tuple[str, str]:
        """Stored types of A and B."""
        return self.a.dtype, self.b.dtype

    @property
    def title(self) -> str:
        """The name of the run."""
        types = self.a.dtype if self.a.dtype == self.b.dtype else f"{self.a.dtype} by {self.b.dtype}"
        return f"{self.m}x{self.k}x{self.n} {types}"
