"""One matrix of weights: from these lists both the parameters and the products follow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Linear:
    """y[outputs] = W[outputs, inputs] x[inputs] (+ bias), for each token.

    >>> Linear("down", 14336, 4096).weights
    58720256
    """

    name: str
    """Which, for people."""
    inputs: int
    """Length of x."""
    outputs: int
    """Length of y."""
    bias: bool = False
    """Whether something is added."""
    copies: int = 1
    """How many matrices of this shape there are, each with an input of its own (one for each head)."""

    @property
    def weights(self) -> int:
        """Elements of W, of all copies; a token costs twice as many operations."""
        return self.inputs * self.outputs * self.copies

    @property
    def parameters(self) -> int:
        """Elements of W and of the bias, of all copies."""
        return self.weights + (self.outputs * self.copies if self.bias else 0)
