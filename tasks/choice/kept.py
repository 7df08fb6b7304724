"""What is stored of a product: all of it, a triangle, the largest of each row, or what is large enough; and its bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from tasks.errors import BadInput
from tasks.number_types import width

Form = Literal["dense", "triangle", "top", "above"]

SMALL_INDEX = 1 << 31
"""Columns up to which an index takes 4 bytes."""


@dataclass(frozen=True)
class Kept:
    """What is stored of each product."""

    form: Form = "dense"
    amount: float = 1.0
    """Entries of each row for `top`, the share of all elements for `above`; else 1."""
    ratio: float = 1.0
    """Bytes before compression over bytes after it, where a sample was measured."""

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise BadInput(f"a product is kept as {', '.join(get_args(Form))}, not as {self.form!r}")
        if self.form == "top" and not (self.amount >= 1 and float(self.amount).is_integer()):
            raise BadInput(f"the top {self.amount:g} of each row cannot be kept: name a whole number, 1 or more")
        if self.form == "above" and not 0 < self.amount <= 1:
            raise BadInput(f"{self.amount:g} of all elements cannot be kept: name a share above 0, at most 1")
        if not 0 < self.ratio < 1e9:
            raise BadInput(f"a compression of {self.ratio:g} is none: name a ratio above 0")

    def stored_bytes(self, rows: int, columns: int, dtype: str) -> int:
        """Bytes of a rows x columns product of this type on disk."""
        return round(_BYTES[self.form](rows, columns, width(dtype), self.amount) / self.ratio)

    @property
    def words(self) -> str:
        """For people."""
        share = f"{self.amount:.3g} of all elements"
        return {"dense": "all of it", "triangle": "one triangle", "top": f"the top {self.amount:.0f} of each row", "above": share}[
            self.form
        ]


def _index_bytes(columns: int) -> int:
    return 4 if columns <= SMALL_INDEX else 8


def _dense(rows: int, columns: int, size: int, _amount: float) -> float:
    return rows * columns * size


def _triangle(rows: int, columns: int, size: int, _amount: float) -> float:
    if rows != columns:
        raise BadInput(f"a product of {rows} x {columns} has no triangle to keep: it is not symmetric")
    return rows * (rows + 1) // 2 * size


def _top(rows: int, columns: int, size: int, amount: float) -> float:
    return rows * min(int(amount), columns) * (size + _index_bytes(columns))


def _above(rows: int, columns: int, size: int, amount: float) -> float:
    """Compressed sparse rows: a value and a column for each entry, a start for each row."""
    return amount * rows * columns * (size + _index_bytes(columns)) + 8 * (rows + 1)


_BYTES: dict[Form, Callable[[int, int, int, float], float]] = {"dense": _dense, "triangle": _triangle, "top": _top, "above": _above}
