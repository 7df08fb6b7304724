"""Bytes of numbers by precision: of weights, of what flows between matrices, of the cache, and of a training's states."""

import difflib
from dataclasses import dataclass

from tasks.errors import BadInput


@dataclass(frozen=True)
class Precision:
    """One precision of inference, and what training in it is called."""

    weight_bytes: int
    """Of a weight."""
    activation_bytes: int
    """Of a number that flows between matrices, and of a product of one."""
    cache_bytes: int
    """Of a number in the cache of keys and values."""
    states: str | None
    """Usual states of training; None: one does not train in it."""


PRECISIONS: dict[str, Precision] = {
    "float64": Precision(8, 8, 8, "adam-float64"),
    "float32": Precision(4, 4, 4, "adam-float32"),
    "tf32": Precision(4, 4, 4, "adam-float32"),
    "bfloat16": Precision(2, 2, 2, "adam-mixed"),
    "float16": Precision(2, 2, 2, "adam-mixed"),
    "fp8": Precision(1, 2, 2, "adam-mixed"),
    "int8": Precision(1, 2, 2, None),
}
"""With fp8 and int8 the products take one byte per number, while results and cache stay at 16 bits; scales are not counted."""


@dataclass(frozen=True)
class States:
    """Bytes per parameter that training holds."""

    weights: int
    """In which the products are taken."""
    gradients: int
    """Gradients."""
    optimizer: int
    """Moments of Adam, and the weights in full where those above are not."""


STATES: dict[str, States] = {
    "adam-mixed": States(2, 2, 12),
    "adam-mixed-float32-gradients": States(2, 4, 12),
    "adam-float32": States(4, 4, 8),
    "adam-float64": States(8, 8, 16),
}
"""adam-mixed: 16 bytes per parameter; with float32 gradients (Megatron) 18; float32 throughout 16; float64 32."""


def precision_named(name: str) -> Precision:
    """The row of a name. Raises BadInput."""
    return PRECISIONS[one_of("precision", name, tuple(PRECISIONS))]


def one_of(what: str, name: str, known: tuple[str, ...]) -> str:
    """`name`, if it is one of `known`. Raises BadInput."""
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, n=1)
    raise BadInput(f"{what} {name!r} is not known: " + (f"did you mean {close[0]}?" if close else f"give {', '.join(known)}"))
