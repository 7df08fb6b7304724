"""A GEMM's shape: what planning, analysis and the catalogue of devices mean by one product."""

from dataclasses import dataclass

from tasks.errors import BadInput


@dataclass(frozen=True)
class Gemm:
    """`count` products C[m, n] = A[m, k] B[k, n] of one shape.

    >>> Gemm("down", 2, 3, 5, count=7).flops
    420
    """

    name: str
    """Which product it is, for people."""
    m: int
    """Rows of A and C."""
    n: int
    """Columns of B and C."""
    k: int
    """Columns of A, rows of B."""
    count: int = 1
    """How often it is computed."""

    def __post_init__(self) -> None:
        if min(self.m, self.n, self.k, self.count) < 1:
            raise BadInput(f"the product {self.name} of {self.m} x {self.k} and {self.k} x {self.n}, {self.count} times, is empty")

    @property
    def flops(self) -> int:
        """Operations of all; a multiply-add is two."""
        return 2 * self.m * self.n * self.k * self.count

    @property
    def elements(self) -> int:
        """Elements of A, B and C, each once per product, of all."""
        return (self.m * self.k + self.k * self.n + self.m * self.n) * self.count

    @property
    def intensity(self) -> float:
        """Operations per element that crosses the memory, where each crosses once."""
        return self.flops / self.elements
